/** The admin HTTP API with real requests: what it answers, who may ask, and how the event stream ends. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type {
  ApiError,
  BulkResult,
  DeadDetail,
  DeadGroups,
  DeadPage,
  Frame,
  History,
  Session,
} from "../../src/admin/api.ts";
import { startDashboard, type Dashboard, type DashboardOptions } from "../../src/admin/http/dashboard.ts";
import { Terminal, type ActorSystem } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
let open: Dashboard[] = [];

afterEach(async () => {
  for (const dashboard of open) await dashboard.stop();
  open = [];
});

async function serve(
  options: Partial<DashboardOptions> = {},
): Promise<{ system: ActorSystem; url: string; dashboard: Dashboard }> {
  const system = await stage.connect();
  const dashboard = await startDashboard(system, { port: 0, ...options });
  open.push(dashboard);
  return { system, url: dashboard.url, dashboard };
}

async function get<T>(url: string, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(url, { headers });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

function post(url: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const text = body === undefined ? null : JSON.stringify(body);
  return fetch(url, { method: "POST", body: text, headers: { "Content-Type": "application/json", ...headers } });
}

/** Status and code of a refusal. */
async function refusal(response: Response | Promise<Response>): Promise<{ status: number; code: string }> {
  const answer = await response;
  const { error } = (await answer.json()) as ApiError;
  expect(error.message).toMatch(/^[A-Z].*\.$/);
  return { status: answer.status, code: error.code };
}

/** Sends what no browser would let a page send. */
function raw(url: string, headers: Record<string, string>, method = "GET"): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** A handler that can be mended. */
interface Mail {
  up: boolean;
  /** Ids. */
  done: string[];
}

/** So many dead letters of `mail`, and their worker. */
async function letters(system: ActorSystem, count: number): Promise<Mail> {
  const mail: Mail = { up: false, done: [] };
  const Mail = actorOf<{ secret: string }>({ name: "mail" }, (_body, ctx) => {
    if (!mail.up) throw new Terminal(`no route for ${ctx.id}`);
    mail.done.push(ctx.id);
  });
  await system.work([Mail]);
  const bodies = Array.from({ length: count }, (_, n) => ({ secret: `s3cret-${n}` }));
  let n = 0;
  await system.tellMany("mail", bodies, { id: () => `m${++n}` });
  const { reader, names } = system.parts;
  await expect.poll(async () => (await reader.state(names.dead))?.messages, patient).toBe(count);
  return mail;
}

describe("answers", () => {
  test("session, frame, history and one actor", async () => {
    const { system, url } = await serve();
    await letters(system, 4);
    expect(await get<Session>(`${url}/api/session`)).toEqual({
      namespace: stage.namespace,
      servers: [stage.url],
      version: expect.stringMatching(/^\d+\.\d+/),
      bodies: false,
      readOnly: false,
    });
    const frame = await get<Frame>(`${url}/api/frame`);
    expect(frame.actors).toMatchObject([{ actor: "mail", dead: 4, errorShare: 1, workers: 1 }]);
    expect((await get<History>(`${url}/api/history`)).actors["mail"]?.depth.length).toBeGreaterThan(0);
    expect(await get(`${url}/api/actors/mail`)).toMatchObject({ actor: "mail", dead: 4 });
    expect(await get(`${url}/api/doctor`)).toMatchObject({ namespace: stage.namespace, findings: expect.any(Array) });
    expect(await refusal(fetch(`${url}/api/actors/no.such`))).toEqual({ status: 404, code: "NOT_FOUND" });
    expect(await refusal(fetch(`${url}/api/nothing`))).toEqual({ status: 404, code: "NOT_FOUND" });
  });

  test("fifty dead letters found, grouped, requeued by a query, and completed", async () => {
    const { system, url } = await serve();
    const mail = await letters(system, 50);
    const page = await get<DeadPage>(`${url}/api/dead?actor=mail&reason=terminal&limit=20`);
    expect(page).toMatchObject({ looked: 20, of: 50, next: 31 });
    expect(page.letters.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 20 }, (_, n) => 50 - n));
    const next = await get<DeadPage>(`${url}/api/dead?actor=mail&reason=terminal&limit=40&before=${page.next}`);
    expect(next.letters).toHaveLength(30);
    const { groups } = await get<DeadGroups>(`${url}/api/dead/groups`);
    expect(groups).toMatchObject([{ count: 50, error: "Terminal: no route for m<n>" }]);
    mail.up = true;
    const requeued = await post(`${url}/api/dead/requeue`, { query: { group: groups[0]?.group } });
    expect((await requeued.json()) as BulkResult).toEqual({ done: 50, failures: [], more: false });
    await expect.poll(() => mail.done.length, patient).toBe(50);
    expect(new Set(mail.done).size).toBe(50);
    expect(await get<DeadPage>(`${url}/api/dead`)).toMatchObject({ letters: [], of: 0 });
  });

  test("letters named are deleted; what is not there is told", async () => {
    const { system, url } = await serve();
    await letters(system, 3);
    const result = (await (await post(`${url}/api/dead/delete`, { sequences: [1, 3, 9] })).json()) as BulkResult;
    expect(result).toMatchObject({ done: 2, failures: [{ sequence: 9, code: "NOT_FOUND" }], more: false });
    expect((await get<DeadPage>(`${url}/api/dead`)).letters).toMatchObject([{ sequence: 2 }]);
  });

  test("pause, resume, breakers, limits and explain act on the fleet", async () => {
    const { system, url } = await serve();
    const Guarded = actorOf(
      { name: "guarded", breaker: { name: "api" }, rateLimit: { name: "quota", limit: 10, per: "1s" } },
      () => "done",
    );
    await system.work([Guarded]);
    const actor = async () => (await get<Frame>(`${url}/api/frame`)).actors[0];
    expect((await post(`${url}/api/actors/guarded/pause`, { for: "1h" })).status).toBe(200);
    const later = Date.now() + 3_600_000;
    await expect.poll(async () => Date.parse((await actor())?.pausedUntil ?? "") > later - 60_000, patient).toBe(true);
    await system.tell("guarded", 1, { id: "waits" });
    expect(await get(`${url}/api/explain?id=waits`)).toMatchObject({ found: [{ actor: "guarded" }] });
    expect((await post(`${url}/api/actors/guarded/resume`)).status).toBe(200);
    await expect.poll(async () => (await actor())?.paused, patient).toBe(false);
    expect((await post(`${url}/api/breakers/api/open`)).status).toBe(200);
    const breaker = async () => (await get<Frame>(`${url}/api/frame`)).breakers[0];
    await expect.poll(breaker, patient).toMatchObject({ name: "api", state: "open", byHand: true });
    expect((await post(`${url}/api/breakers/api/close`)).status).toBe(200);
    await expect.poll(breaker, patient).toMatchObject({ state: "closed", byHand: false });
    expect((await post(`${url}/api/limits/quota/hold`, { for: "10m" })).status).toBe(200);
    const limit = async () => (await get<Frame>(`${url}/api/frame`)).limits[0];
    await expect.poll(limit, patient).toMatchObject({ name: "quota", heldUntil: expect.any(String) });
    expect((await post(`${url}/api/limits/quota/release`)).status).toBe(200);
    await expect.poll(async () => (await limit()) && !("heldUntil" in ((await limit()) ?? {})), patient).toBe(true);
    expect(await refusal(post(`${url}/api/breakers/nobodys/open`))).toEqual({ status: 404, code: "NOT_FOUND" });
    expect(await refusal(post(`${url}/api/actors/nobodys/pause`))).toEqual({ status: 404, code: "NOT_FOUND" });
  }, 60_000);

  test.each([
    ["GET", "/api/dead?limit=0"],
    ["GET", "/api/dead?limit=501"],
    ["GET", "/api/dead?before=x"],
    ["GET", "/api/dead?reason=boredom"],
    ["GET", "/api/dead?actor=a..b"],
    ["GET", "/api/dead?colour=red"],
    ["GET", "/api/dead/groups?limit=1"],
    ["GET", "/api/dead/x"],
    ["GET", "/api/explain"],
    ["POST", "/api/dead/requeue", "{}"],
    ["POST", "/api/dead/requeue", "[1]"],
    ["POST", "/api/dead/requeue", "{"],
    ["POST", "/api/dead/delete", '{"sequences":[]}'],
    ["POST", "/api/dead/delete", '{"sequences":[1.5]}'],
    ["POST", "/api/dead/delete", `{"sequences":[${Array.from({ length: 1_001 }, (_, n) => n + 1).join()}]}`],
    ["POST", "/api/dead/delete", '{"sequences":[1],"query":{}}'],
    ["POST", "/api/dead/delete", '{"query":{"actr":"a"}}'],
    ["POST", "/api/actors/mail/pause", '{"for":"soon"}'],
    ["POST", "/api/actors/mail/pause", '{"for":1e300}'],
    ["POST", "/api/limits/quota/hold", "{}"],
  ])("%s %s %.60s is refused, and nothing is done", async (method, path, body?: string) => {
    const { system, url } = await serve();
    const headers = { "Content-Type": "application/json" };
    const response = fetch(url + path, { method, headers, ...(body !== undefined && { body }) });
    expect(await refusal(response)).toEqual({ status: 400, code: "INVALID_CONFIG" });
    expect(await system.parts.reader.state(system.parts.names.dead)).toMatchObject({ lastSequence: 0 });
  });
});

describe("the event stream", () => {
  test("delivers frames until the reader goes away, and ends with the server", async () => {
    const { url, dashboard } = await serve();
    const response = await fetch(`${url}/api/stream`);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    const frames = (): Frame[] =>
      [...text.matchAll(/^event: frame\ndata: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data ?? "") as Frame);
    const read = async (): Promise<boolean> => {
      const { done, value } = await reader.read();
      text += Buffer.from(value ?? []).toString();
      return !done;
    };
    while (frames().length < 2) expect(await read()).toBe(true);
    const [one, other] = frames();
    expect(one?.namespace).toBe(stage.namespace);
    expect(Date.parse(other?.at ?? "")).toBeGreaterThan(Date.parse(one?.at ?? ""));
    const stopped = dashboard.stop();
    // It ends as a stream does, and is not cut off.
    while (await read());
    await stopped;
    await expect(fetch(`${url}/api/session`)).rejects.toThrow("fetch failed");
  });
});

describe("who may ask", () => {
  test("elsewhere than on loopback only with a token, as bearer or after a login", async () => {
    const { url } = await serve({ host: "0.0.0.0", token: "open sesame" });
    const api = url.replace("0.0.0.0", "127.0.0.1");
    expect(await refusal(fetch(`${api}/api/session`))).toEqual({ status: 401, code: "NO_TOKEN" });
    expect(await refusal(fetch(`${api}/api/session`, { headers: { Authorization: "Bearer open" } }))).toMatchObject({
      status: 401,
    });
    expect(
      await refusal(fetch(`${api}/api/session`, { headers: { Cookie: "godwit_session=open%20sesame" } })),
    ).toMatchObject({ status: 401 });
    expect(await refusal(post(`${api}/api/dead/delete`, { query: {} }))).toEqual({ status: 401, code: "NO_TOKEN" });
    expect((await get<Session>(`${api}/api/session`, { Authorization: "Bearer open sesame" })).namespace).toBe(
      stage.namespace,
    );
    // A browser gets a page to log in with.
    const page = await fetch(`${api}/`, { headers: { Accept: "text/html" } });
    expect(page.status).toBe(401);
    expect(await page.text()).toContain('<form method="post" action="/login">');
    const wrong = await fetch(`${api}/login?token=open`, { redirect: "manual" });
    expect({ status: wrong.status, cookie: wrong.headers.get("set-cookie") }).toEqual({ status: 401, cookie: null });
    const body = new URLSearchParams({ token: "open sesame" });
    const logins = [
      fetch(`${api}/login?token=open+sesame`, { redirect: "manual" }),
      fetch(`${api}/login`, { method: "POST", body, redirect: "manual", headers: { Origin: api } }),
    ];
    for (const login of await Promise.all(logins)) {
      expect({ status: login.status, location: login.headers.get("location") }).toEqual({ status: 303, location: "/" });
      const cookie = login.headers.get("set-cookie") ?? "";
      expect(cookie).toMatch(/^godwit_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
      const session = await get<Session>(`${api}/api/session`, { Cookie: cookie.split(";")[0] ?? "" });
      expect(session.namespace).toBe(stage.namespace);
    }
  });

  test("without a token it is not served elsewhere", async () => {
    const system = await stage.connect();
    const refused = startDashboard(system, { port: 0, host: "0.0.0.0" });
    await expect(refused).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("--token"),
    });
    await expect(startDashboard(system, { port: 0, host: "::", token: "" })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
    });
  });

  test("on loopback not under another name, which a page of another site may let point here", async () => {
    const { url } = await serve();
    const { port } = new URL(url);
    for (const host of [`evil.example:${port}`, "evil.example", "127.0.0.1.evil.example"]) {
      const { status, body } = await raw(`${url}/api/session`, { Host: host });
      expect({ host, status, wrong: body.includes("WRONG_HOST") }).toEqual({ host, status: 403, wrong: true });
    }
    for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, "127.0.0.1"]) {
      expect((await raw(`${url}/api/session`, { Host: host })).status).toBe(200);
    }
  });

  test("on loopback under the address that it listens on", async () => {
    const { url } = await serve({ host: "127.0.0.2" });
    expect((await get<Session>(`${url}/api/session`)).namespace).toBe(stage.namespace);
    expect((await raw(`${url}/api/session`, { Host: "127.0.0.3" })).status).toBe(403);
  });

  test("a page of another site can write nothing", async () => {
    const { system, url } = await serve();
    await letters(system, 2);
    const everything = { query: {} };
    const remove = (headers: Record<string, string>): Promise<Response> =>
      post(`${url}/api/dead/delete`, everything, headers);
    const crossSite = { status: 403, code: "CROSS_SITE" };
    expect(await refusal(remove({ "Sec-Fetch-Site": "cross-site" }))).toEqual(crossSite);
    expect(await refusal(remove({ "Sec-Fetch-Site": "same-site" }))).toEqual(crossSite);
    expect(await refusal(remove({ Origin: "https://evil.example" }))).toEqual(crossSite);
    expect(await refusal(remove({ Origin: "null" }))).toEqual(crossSite);
    expect(await refusal(remove({ Origin: url.replace(/\d+$/, "1") }))).toEqual(crossSite);
    // What a form of any page can send.
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]) {
      expect(await refusal(remove({ "Content-Type": type }))).toEqual(crossSite);
    }
    expect((await raw(`${url}/api/actors/mail/resume`, {}, "POST")).status).toBe(403);
    expect((await get<DeadPage>(`${url}/api/dead`)).of).toBe(2);
    expect((await remove({ Origin: url, "Sec-Fetch-Site": "same-origin" })).status).toBe(200);
    expect((await get<DeadPage>(`${url}/api/dead`)).of).toBe(0);
  });

  test("bodies and headers only where they may be shown", async () => {
    const hidden = await serve();
    await letters(hidden.system, 1);
    const text = await (await fetch(`${hidden.url}/api/dead/1`)).text();
    expect(JSON.parse(text)).toMatchObject({ sequence: 1, headers: [], id: "m1" });
    expect(text).not.toContain("s3cret");
    const shown = await serve({ bodies: true });
    const detail = await get<DeadDetail>(`${shown.url}/api/dead/1`);
    expect(detail.body).toEqual({ text: '{\n  "secret": "s3cret-0"\n}', format: "json", cut: false });
    expect(detail.headers).toContainEqual(["Godwit-Id", ["m1"]]);
  });

  test("stored results only where bodies may be shown", async () => {
    const { system, url } = await serve();
    await system.work([actorOf({ name: "sum", result: { ttl: "1h" } }, () => "s3cret")]);
    await system.tell("sum", 1, { id: "r1" });
    expect(await system.result("sum", "r1", { wait: "10s" })).toMatchObject({ state: "completed" });
    const text = await (await fetch(`${url}/api/explain?id=r1`)).text();
    expect(text).toContain('"completed"');
    expect(text).not.toContain("s3cret");
    const shown = await serve({ bodies: true });
    expect(await (await fetch(`${shown.url}/api/explain?id=r1`)).text()).toContain("s3cret");
  });

  test("nothing can be changed where that is not wanted", async () => {
    const { system, url } = await serve({ readOnly: true });
    await letters(system, 1);
    const readOnly = { status: 403, code: "READ_ONLY" };
    const writes = [
      "dead/requeue",
      "dead/delete",
      "actors/mail/pause",
      "actors/mail/resume",
      "breakers/x/open",
      "breakers/x/close",
      "limits/x/hold",
      "limits/x/release",
    ];
    for (const path of writes) expect(await refusal(post(`${url}/api/${path}`, {}))).toEqual(readOnly);
    expect((await get<DeadPage>(`${url}/api/dead`)).of).toBe(1);
    expect((await get<Session>(`${url}/api/session`)).readOnly).toBe(true);
  });
});

test("the dashboard's files: the page at /, hashed ones kept for ever, nothing from above; no script but our own", async () => {
  const folder = await mkdtemp(join(tmpdir(), "godwit-dashboard-"));
  try {
    const files = join(folder, "dashboard");
    await mkdir(join(files, "assets"), { recursive: true });
    await writeFile(join(files, "index.html"), "<!doctype html><title>Godwit</title>");
    await writeFile(join(files, "assets", "main-1a2b.js"), "1;");
    await writeFile(join(folder, "secret.txt"), "s3cret");
    const { url } = await serve({ files });
    const page = await fetch(`${url}/`);
    expect({ type: page.headers.get("content-type"), cache: page.headers.get("cache-control") }).toEqual({
      type: expect.stringContaining("text/html"),
      cache: "no-cache",
    });
    expect(await page.text()).toContain("<title>Godwit</title>");
    expect(page.headers.get("content-security-policy")).toMatch(
      /default-src 'none'; script-src 'self';.*frame-ancestors 'none'/,
    );
    expect(page.headers.get("x-content-type-options")).toBe("nosniff");
    const script = await fetch(`${url}/assets/main-1a2b.js`);
    expect(script.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(script.headers.get("content-type")).toContain("javascript");
    expect((await fetch(`${url}/api/session`)).headers.get("cache-control")).toBe("no-store");
    for (const path of ["/../secret.txt", "/..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/no-such.js"]) {
      const { status, body } = await raw(url + path, {});
      expect({ path, status, leaked: body.includes("s3cret") }).toEqual({ path, status: 404, leaked: false });
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
