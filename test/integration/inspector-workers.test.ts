/** Who works: leases and answers, joined. */
import { describe, expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { Live } from "../../src/admin/live/live.ts";
import { readLeases } from "../../src/worker/leases.ts";
import { actorOf, gate } from "../support/actors.ts";
import { freeze } from "../support/freeze.ts";
import { patient, useStage } from "../support/stage.ts";
import { startWorkerProcess } from "../support/start-worker.ts";

const stage = useStage();

test("lists each worker with what it says of itself, and none that has stopped", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  expect(await inspector.workers({ waitMs: 50 })).toEqual([]);
  const held = gate();
  const Busy = actorOf({ name: "busy", concurrency: 3 }, () => held.opened);
  const one = await system.work([Busy]);
  const other = await system.work([actorOf({ name: "idle" }, () => undefined)]);
  await system.tell("busy", 1);
  await expect
    .poll(() => inspector.workers(), patient)
    .toMatchObject([
      { identity: { pid: process.pid, actors: ["busy"] }, state: "running", snapshot: { running: 1, concurrency: 3 } },
      { identity: { actors: ["idle"] }, state: "running", snapshot: { running: 0 } },
    ]);
  const stopping = one.stop();
  await expect.poll(async () => (await inspector.workers())[0]?.state, patient).toBe("draining");
  held.open();
  await stopping;
  expect((await inspector.workers()).map(({ identity }) => identity.actors)).toEqual([["idle"]]);
  await other.stop();
  expect(await inspector.workers({ waitMs: 50 })).toEqual([]);
});

test("names a worker that has a lease and does not answer, until it does", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  const worker = await startWorkerProcess(stage.url, stage.namespace);
  try {
    await expect.poll(async () => (await inspector.workers()).map(({ state }) => state), patient).toEqual(["running"]);
    await freeze(worker.pid);
    const silent = await inspector.workers({ waitMs: 100 });
    expect(silent).toMatchObject([{ identity: { pid: worker.pid, actors: ["shared"] }, state: "silent" }]);
    expect(silent[0]).not.toHaveProperty("snapshot");
    // What it had left before.
    expect(silent[0]?.last).toMatchObject({ state: "running", inHand: 0, running: 0, loopP99Ms: expect.any(Number) });
    expect(silent[0]?.last?.rssBytes).toBeGreaterThan(10_000_000);
  } finally {
    process.kill(worker.pid, "SIGCONT");
    await expect.poll(async () => (await inspector.workers()).map(({ state }) => state), patient).toEqual(["running"]);
    await worker.stop();
  }
});

describe("the lease", () => {
  test("says at once when its worker has started, and when it drains", async () => {
    const system = await stage.connect();
    const inspector = new Inspector(system);
    const leases = async (): Promise<unknown[]> =>
      (await readLeases(system.parts)).map(({ figures }) => [figures?.state, figures?.inHand]);
    const [start, end] = [gate(), gate()];
    const Slow = actorOf({ name: "slow" }, () => end.opened, { start: () => start.opened });
    const working = system.work([Slow]);
    await expect.poll(() => inspector.workers({ waitMs: 50 }), patient).toMatchObject([{ state: "starting" }]);
    start.open();
    const worker = await working;
    // Far sooner than it is renewed.
    const sinceMs = performance.now();
    await expect.poll(leases, patient).toEqual([["running", 0]]);
    await system.tell("slow", 1);
    await expect.poll(() => worker.stats.actors["slow"]?.inHand, patient).toBe(1);
    const stopping = worker.stop();
    await expect.poll(leases, patient).toEqual([["draining", 1]]);
    expect(performance.now() - sinceMs).toBeLessThan(8_000);
    end.open();
    await stopping;
    expect(await leases()).toEqual([]);
  });

  test("of another version is understood as far as it goes", async () => {
    const system = await stage.connect();
    const { workers } = system.parts;
    const own = await system.work([actorOf({ name: "mail" }, () => undefined)]);
    const { identity } = own;
    await own.stop();
    const figures = { state: "running", at: identity.startedAt, running: 1, inHand: 2, rssBytes: 3, loopP99Ms: 4 };
    const write = (id: string, more: object): Promise<unknown> =>
      workers.put(id, Buffer.from(JSON.stringify({ ...identity, id, ...more })), { ttlMs: 30_000 });
    await write("older", {});
    await write("newer", { figures: { ...figures, shards: [1] }, shards: [1] });
    await write("far-newer", { figures: { ...figures, state: "hibernating" } });
    await write("odd", { figures: "none" });
    await write("other-identity", { v: 2 });
    const found = (await readLeases(system.parts)).map(({ id, figures: its }) => [id, its?.inHand]);
    expect(Object.fromEntries(found)).toEqual({ older: undefined, newer: 2, "far-newer": undefined, odd: undefined });
    const newer = (await readLeases(system.parts)).find(({ id }) => id === "newer");
    expect(newer).not.toHaveProperty("shards");
    expect(newer?.figures).not.toHaveProperty("shards");
    // By the server's clock, whatever the worker's says.
    expect(Date.parse(newer?.figures?.at ?? "")).toBeGreaterThan(Date.parse(identity.startedAt));
    const listed = await new Inspector(system).workers({ waitMs: 50 });
    expect(new Set(listed.map(({ state }) => state))).toEqual(new Set(["silent"]));
  });
});

test("takes no notice of what others write into the bucket or answer", async () => {
  const system = await stage.connect();
  const { workers, bus, names } = system.parts;
  await workers.put("foreign", Buffer.from("{}"), { ttlMs: 5_000 });
  const off = bus.subscribe(names.workersSubject, ({ headers }) => {
    const address = headers.get("Godwit-Reply");
    if (address !== undefined) bus.publish(names.replySubject(address), Buffer.from("no JSON"));
  });
  expect(await new Inspector(system).workers({ waitMs: 100 })).toEqual([]);
  off();
});

test("a worker whose answer this version does not understand is listed as silent, and breaks nothing", async () => {
  const system = await stage.connect();
  const { bus, names, workers } = system.parts;
  const own = await system.work([actorOf({ name: "mail" }, () => undefined)]);
  const { perActor, ...rest } = own.snapshot();
  const others = [
    rest,
    { ...rest, perActor: { mail: {} } },
    { ...rest, perActor, loop: undefined },
    { ...rest, perActor: null },
  ];
  const identity = Buffer.from(JSON.stringify({ ...own.identity, id: "other-0" }));
  await workers.put("other-0", identity, { ttlMs: 30_000 });
  let asked = 0;
  const off = bus.subscribe(names.workersSubject, ({ headers }) => {
    const address = headers.get("Godwit-Reply");
    if (address === undefined) return;
    const { [asked++ % others.length]: other } = others;
    bus.publish(names.replySubject(address), Buffer.from(JSON.stringify({ ...other, id: "other-0" })));
  });
  const inspector = new Inspector(system);
  for (const _ of others) {
    const states = (await inspector.workers()).map(({ identity: { id }, state }) => [id, state]);
    expect(Object.fromEntries(states)).toEqual({ [own.identity.id]: "running", "other-0": "silent" });
  }
  const live = new Live(system);
  const frame = await live.frame();
  expect(frame.workers.map(({ id }) => id)).toContain("other-0");
  expect((await inspector.status()).actors.map(({ actor }) => actor)).toEqual(["mail"]);
  await live.close();
  off();
});

test("what waits for a guard does not run", async () => {
  const system = await stage.connect();
  const leave = gate();
  const concurrencyLimit = { name: "one", limit: 1, key: () => "the same" };
  const worker = await system.work([actorOf({ name: "narrow", concurrency: 5, concurrencyLimit }, () => leave.opened)]);
  for (let n = 0; n < 5; n++) await system.tell("narrow", n);
  // One that waits has its slot.
  await expect.poll(() => worker.snapshot().perActor["narrow"]?.inHand, patient).toBeGreaterThan(1);
  expect(worker.snapshot()).toMatchObject({ running: 1, perActor: { narrow: { running: 1, concurrency: 5 } } });
  leave.open();
  await expect.poll(() => worker.stats.actors["narrow"]?.completed, patient).toBe(5);
});

test("buckets that are gone hide nothing else", async () => {
  const system = await stage.connect();
  await system.work([actorOf({ name: "plain" }, () => undefined)]);
  const { jsm } = await stage.client();
  const { workersBucket, breakersBucket, resultsBucket } = stage.names;
  for (const bucket of [workersBucket, breakersBucket, resultsBucket]) {
    await jsm.streams.delete(`KV_${bucket}`);
  }
  await system.tell("nobody", 1, { id: "m" });
  const inspector = new Inspector(system);
  expect(await inspector.workers()).toMatchObject([{ state: "running" }]);
  expect((await inspector.status()).actors).toMatchObject([{ actor: "plain", workers: 1 }]);
  expect((await inspector.explain("m")).found).toMatchObject([{ state: "unserved" }]);
});
