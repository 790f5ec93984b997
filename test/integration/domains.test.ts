/** A hub and its leaf nodes, in one account: a namespace lives in one JetStream domain, and two are told of. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { permissionsOf } from "../../src/admin/rights/permissions.ts";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { Names } from "../../src/message/subjects.ts";
import { actorOf } from "../support/actors.ts";
import { consult, consultAs, said } from "../support/doctor/consult.ts";
import { freePort } from "../support/free-port.ts";
import { ownServer, type OwnServer } from "../support/nats/own-server.ts";
import { record } from "../support/record.ts";
import { patient } from "../support/stage.ts";

let stores: string;
let hub: OwnServer;
let leaf: OwnServer;
/** A leaf node without JetStream of its own. */
let bare: OwnServer;
const opened: ActorSystem[] = [];

beforeAll(async () => {
  const port = await freePort();
  stores = await mkdtemp(join(tmpdir(), "godwit-domains-"));
  const jetstream = (domain: string): string => `jetstream: { domain: ${domain}, store_dir: "${stores}/${domain}" }`;
  const remote = `leafnodes { remotes [ { url: "nats://127.0.0.1:${port}" } ] }`;
  hub = await ownServer({ config: `${jetstream("hub")}\nleafnodes { listen: "127.0.0.1:${port}" }` });
  leaf = await ownServer({ config: `${jetstream("leaf")}\n${remote}` });
  bare = await ownServer({ config: `jetstream: false\n${remote}` });
});
afterAll(async () => {
  await Promise.all(opened.map((system) => system.close()));
  for (const server of [bare, leaf, hub]) await server.stop();
  await rm(stores, { recursive: true, force: true });
});

async function connect(server: OwnServer, namespace: string, options: SystemOptions = {}): Promise<ActorSystem> {
  const servers = `nats://127.0.0.1:${server.port}`;
  const system = await ActorSystem.connect({ servers, namespace, log: "silent", ...options });
  opened.push(system);
  return system;
}

/** Resolves once what one of them publishes reaches the other. */
async function joined(one: ActorSystem, other: ActorSystem): Promise<void> {
  let heard = 0;
  other.parts.connection.subscribe("joined", () => (heard += 1));
  await other.parts.connection.ping();
  await expect
    .poll(async () => {
      one.parts.connection.nc.publish("joined");
      await one.parts.connection.ping();
      return heard;
    }, patient)
    .toBeGreaterThan(0);
}

test("a namespace in two domains is a problem of whoever sends, told once, and a fault to the doctor", async () => {
  const lines: string[] = [];
  const note = (fields: unknown): void => void lines.push(JSON.stringify(fields));
  const log = { debug: () => undefined, info: () => undefined, warn: note, error: note, child: () => log };
  const atHub = await connect(hub, "twice", { log });
  expect(said(await consult(atHub), "domains")).toMatchObject([{ level: "ok", subject: "twice_TASKS" }]);
  const atLeaf = await connect(leaf, "twice");
  await joined(atHub, atLeaf);
  const Counting = actorOf({ name: "counting" }, () => undefined);
  const [here, there] = [record(await atHub.work([Counting])), record(await atLeaf.work([Counting]))];
  const problem = here.until("problem");
  await atHub.tell("counting", 1);
  await atHub.tell("counting", 2);
  await Promise.all([here.until("completed", 2), there.until("completed", 2)]);
  expect((await problem)[0]?.data.error).toMatchObject({ code: "TWO_DOMAINS" });
  expect((await problem)[0]?.data.error.message).toMatch(/in the JetStream domain 'leaf' too, beside the domain 'hub'/);
  // By the system, and by its worker.
  expect(lines.filter((line) => line.includes("JetStream domain 'leaf'"))).toHaveLength(2);
  for (const system of [atHub, atLeaf]) {
    const [finding] = said(await consult(system), "domains");
    expect(finding).toMatchObject({ level: "fault", subject: "twice_TASKS" });
    expect(finding?.finding).toMatch(/stored 2 times/);
  }
  const servers = `nats://127.0.0.1:${hub.port}`;
  expect(said(await consultAs({ servers, namespace: "twice" }), "domains")).toMatchObject([{ level: "fault" }]);
});

describe("a leaf node without JetStream", () => {
  test("is refused without a domain, and with one that does not answer, and told what to do", async () => {
    await expect(connect(bare, "lost")).rejects.toMatchObject({ code: "UNSUPPORTED_SERVER" });
    await expect(connect(bare, "lost")).rejects.toThrow(/name the hub's domain with \{ domain \} or --domain/);
    await expect(connect(bare, "lost", { domain: "moon" })).rejects.toThrow(/No JetStream domain 'moon' answers/);
    await expect(connect(bare, "lost", { domain: "a.b" })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
  });

  test("works in its hub's domain: everything that a system does there", async () => {
    const atHub = await connect(hub, "once");
    const atBare = await connect(bare, "once", { domain: "hub" });
    await joined(atBare, atHub);
    const large = "x".repeat(1_200_000);
    let failures = 0;
    const effects: string[] = [];
    const Working = actorOf<{ text: string; how?: string }>(
      {
        name: "working",
        result: { ttl: "1m" },
        retry: { attempts: 2, base: 1 },
        rateLimit: { name: "pace", limit: 1_000, per: "1s" },
        concurrencyLimit: { name: "few", limit: 3 },
        breaker: { name: "dependency" },
        payload: { compressAbove: false },
      },
      async ({ text, how }, ctx) => {
        if (how === "retry" && ctx.attempt === 1) throw new Error(`failure ${++failures}`);
        if (how === "dead") throw new Error("always");
        await ctx.once("effect", () => effects.push(ctx.id));
        return text.length;
      },
    );
    const recorder = record(await atBare.work([Working]));
    await atHub.tell("working", { text: "a" }, { id: "small" });
    await atBare.tell("working", { text: large }, { id: "large" });
    await atBare.tell("working", { text: "later" }, { id: "later", delay: 50 });
    await atBare.tell("working", { text: "again", how: "retry" }, { id: "again" });
    await atBare.tell("working", { text: "dead", how: "dead" }, { id: "dead" });
    await recorder.until("completed", 4);
    await recorder.until("dead");
    expect(await atBare.ask("working", { text: "asked" })).toBe(5);
    expect(await atHub.result("working", "large", { wait: "10s" })).toMatchObject({ value: large.length });
    expect(await atBare.result("working", "small")).toMatchObject({ state: "completed", value: 1 });
    expect(effects).toEqual(expect.arrayContaining(["small", "large", "later", "again"]));
    expect(recorder.of("problem")).toEqual([]);
    for await (const letter of atBare.dead.list()) expect(letter.id).toBe("dead");
    const diagnosis = await consult(atBare);
    expect(said(diagnosis, "domains")).toMatchObject([{ level: "ok" }]);
    expect(said(diagnosis, "rights")).toMatchObject([{ level: "ok" }]);
  });

  test("takes the domain from the environment", async () => {
    process.env["NATS_DOMAIN"] = "hub";
    try {
      const system = await connect(bare, "named");
      expect((await system.tell("nobody", 1)).stream).toBe("named_TASKS");
    } finally {
      delete process.env["NATS_DOMAIN"];
    }
  });
});

test("a leaf node with JetStream of its own works in its hub's where that is named, and all runs once", async () => {
  const atHub = await connect(hub, "shared");
  const atLeaf = await connect(leaf, "shared", { domain: "hub" });
  await joined(atLeaf, atHub);
  const recorder = record(await atLeaf.work([actorOf({ name: "shares", result: { ttl: "1m" } }, (input) => input)]));
  await atLeaf.tell("shares", 1, { id: "s" });
  await recorder.until("completed");
  expect(await atHub.result("shares", "s")).toMatchObject({ value: 1 });
  expect(said(await consult(atHub), "domains")).toMatchObject([{ level: "ok" }]);
  expect(recorder.of("problem")).toEqual([]);
});

test("the rights for a domain are those of its API, and what goes to its buckets goes through that", () => {
  const { permissions } = permissionsOf(new Names("godwit"), ["worker", "publisher"], undefined, "hub");
  const { allow } = permissions.publish;
  expect(allow.filter((subject) => /^\$JS\.API|^\$KV/.test(subject))).toEqual([]);
  expect(allow).toContain("$JS.hub.API.STREAM.INFO.godwit_TASKS");
  expect(allow).toContain("$JS.hub.API.$KV.godwit_runs.godwit_TASKS.*.*");
  expect(allow).toContain("$JS.ACK.godwit_TASKS.*.*.*.*.*.*");
});
