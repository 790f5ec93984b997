/** Who works: leases and answers, joined. */
import { expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { Live } from "../../src/admin/live/live.ts";
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
  } finally {
    process.kill(worker.pid, "SIGCONT");
    await expect.poll(async () => (await inspector.workers()).map(({ state }) => state), patient).toEqual(["running"]);
    await worker.stop();
  }
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
