/** Requests to the dashboard: bodies of any length coding within the limit, and guesses at its token. */
import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startDashboard, type Dashboard } from "../../src/admin/http/dashboard.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const token = "a-token-of-some-length";
let dashboard: Dashboard;

beforeEach(async () => {
  dashboard = await startDashboard(await stage.connect(), { port: 0, token });
});
afterEach(() => dashboard.stop());

interface Answer {
  status: number | undefined;
  body: string;
  retryAfter: string | undefined;
}

/** A POST in chunks, without a content-length. */
function chunked(path: string, chunks: readonly (string | Buffer)[], headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(`${dashboard.url}${path}`, { method: "POST", headers }, (answer) => {
      let body = "";
      answer.on("data", (data: Buffer) => (body += data.toString()));
      answer.on("end", () => resolve({ status: answer.statusCode, body, retryAfter: answer.headers["retry-after"] }));
    });
    sent.on("error", reject);
    for (const chunk of chunks) sent.write(chunk);
    sent.end();
  });
}

const authorized = { authorization: `Bearer ${token}`, "content-type": "application/json" };
const guess = async (given: string): Promise<Response> =>
  fetch(`${dashboard.url}/api/session`, { headers: { authorization: `Bearer ${given}` } });

test("a chunked POST is understood as any other, and one beyond the limit is refused", async () => {
  const missing = await chunked("/api/dead/delete", ['{"seq', 'uences":[1]}'], authorized);
  expect(missing.status).toBe(200);
  expect(JSON.parse(missing.body)).toMatchObject({ done: 0, failures: [{ sequence: 1, code: "NOT_FOUND" }] });
  expect((await chunked("/api/dead/delete", ["{"], authorized)).status).toBe(400);
  const form = { "content-type": "application/x-www-form-urlencoded", origin: dashboard.url };
  expect((await chunked("/login", ["token=", encodeURIComponent(token)], form)).status).toBe(303);
  const large = Array.from({ length: 20 }, () => Buffer.alloc(65_536, " "));
  const refused = await chunked("/api/dead/delete", large, authorized);
  expect(refused.status).toBe(413);
  expect(JSON.parse(refused.body)).toMatchObject({ error: { code: "TOO_LARGE" } });
});

test("guesses at the token are slowed, and the right one is not locked out", async () => {
  for (let n = 0; n < 10; n++) expect((await guess(`wrong-${n}`)).status).toBe(401);
  const began = performance.now();
  for (let n = 0; n < 3; n++) expect((await guess(`wrong-${n}`)).status).toBe(401);
  expect(performance.now() - began).toBeGreaterThan(300);
  expect((await guess(token)).status).toBe(200);
  // The count begins again.
  const again = performance.now();
  expect((await guess("wrong")).status).toBe(401);
  expect(performance.now() - again).toBeLessThan(200);
});

test("guesses at once are not looked at at once: those that are too many are told when to come again", async () => {
  for (let n = 0; n < 12; n++) await guess(`wrong-${n}`);
  const answers = Array.from({ length: 40 }, async (_, n) => guess(`wrong-${n}`));
  const first = await Promise.race(answers.map(async (one) => headersOf(await one)));
  expect(first).toEqual({ status: 429, retryAfter: "32" });
});

function headersOf(answer: Response): { status: number; retryAfter: string | null } {
  return { status: answer.status, retryAfter: answer.headers.get("retry-after") };
}
