/** The state that a fleet's circuit breakers share: leases, notices, and a bucket that is away. */
import { headers } from "@nats-io/transport-node";
import { afterEach, expect, test } from "vitest";
import { breakerShape } from "../../src/actor/guard-config.ts";
import { Bucket } from "../../src/broker/bucket.ts";
import { Bus } from "../../src/broker/bus.ts";
import { Connection } from "../../src/broker/connection.ts";
import { Pipeline } from "../../src/broker/pipeline.ts";
import { Publisher } from "../../src/broker/publisher.ts";
import { ServerClock } from "../../src/broker/server-clock.ts";
import { BreakerGuard } from "../../src/guard/breaker/breaker-guard.ts";
import { Breaker, type BreakerEvent } from "../../src/guard/breaker/breaker.ts";
import { SharedState } from "../../src/guard/shared-state.ts";
import { Proxy } from "../support/faults/proxy.ts";
import { callerOf, Dependency, historyOf } from "../support/guard/dependency.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const endings: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** A breaker on a connection of its own, as in a process of its own. */
async function breaker(resetAfter: number, url = stage.url): Promise<{ breaker: Breaker; events: BreakerEvent[] }> {
  const connection = await Connection.open({ servers: [url], name: "test" });
  const pipeline = new Pipeline(connection);
  const { names } = stage;
  const bucket = new Bucket(names.breakersBucket, pipeline, new Publisher(connection, pipeline));
  const events: BreakerEvent[] = [];
  const settings = breakerShape.parse({ name: "api", volume: 1, resetAfter });
  const one = new Breaker("api", settings, {
    state: new SharedState(bucket, new Bus(connection), names),
    clock: new ServerClock(pipeline, `KV_${names.limitsBucket}`),
    onUp: (listener) => connection.onUp(listener),
    onEvent: (event) => events.push(event),
  });
  endings.push(async () => {
    one.close();
    pipeline.close();
    await connection.close();
  });
  await one.start();
  return { breaker: one, events };
}

const fail = (): never => {
  throw new Error("down");
};

async function open(one: Breaker): Promise<void> {
  await one.run(fail, () => "failed").catch(() => undefined);
  expect(one.phase).not.toBe("closed");
}

/** Two processes, the first one of which has the probe; `overtake`: once it has hung for too long the other has the next one. */
async function probing() {
  await stage.connect();
  // A probe must begin within that time.
  const [a, b] = [await breaker(1_000), await breaker(1_000)];
  await open(a.breaker);
  await expect.poll(() => a.breaker.phase, patient).toBe("half-open");
  await expect.poll(() => b.breaker.phase, patient).toBe("half-open");
  const first = await a.breaker.probe();
  const overtake = async () => {
    await expect.poll(() => b.breaker.phase, patient).toBe("open");
    await expect.poll(() => b.breaker.phase, patient).toBe("half-open");
    return b.breaker.probe();
  };
  return { a, b, first, overtake };
}

test("of ten that want to probe at once one may, and the next only resetAfter later", async () => {
  await stage.connect();
  const all = await Promise.all(Array.from({ length: 10 }, () => breaker(300)));
  await open((all[0] as (typeof all)[0]).breaker);
  for (let round = 0; round < 3; round++) {
    for (const one of all) await expect.poll(() => one.breaker.phase, patient).toBe("half-open");
    const probes = await Promise.all(all.map((one) => one.breaker.probe()));
    expect(probes.filter((probe) => probe !== undefined)).toHaveLength(1);
    for (const one of all) await expect.poll(() => one.breaker.phase, patient).toBe("open");
  }
});

test("a probe that was not made is given back, and another may try at once rather than after resetAfter", async () => {
  await stage.connect();
  const [a, b] = [await breaker(1_000), await breaker(1_000)];
  await open(a.breaker);
  await expect.poll(() => a.breaker.phase, patient).toBe("half-open");
  await expect.poll(() => b.breaker.phase, patient).toBe("half-open");
  const probe = await a.breaker.probe();
  await expect.poll(() => b.breaker.phase, patient).toBe("open");
  const beganMs = performance.now();
  probe?.giveBack();
  await expect.poll(() => b.breaker.phase, patient).toBe("half-open");
  expect(performance.now() - beganMs).toBeLessThan(900);
  await expect(b.breaker.probe()).resolves.toBeDefined();
});

test("a run that was to probe and leaves without having run gives the probe back", async () => {
  await stage.connect();
  const [a, b] = [await breaker(1_000), await breaker(1_000)];
  await open(a.breaker);
  const none = (): void => undefined;
  const guard = new BreakerGuard({
    breaker: a.breaker,
    counts: () => true,
    fallback: undefined,
    onProblem: none,
    onClose: none,
  });
  const run = { id: "m", deliveries: 1, open: true, abort: none, delivery: { lost: false }, blocked: false };
  await expect.poll(() => a.breaker.phase, patient).toBe("half-open");
  await expect.poll(() => b.breaker.phase, patient).toBe("half-open");
  await expect(guard.prober.enter(run, {})).resolves.toBeUndefined();
  // Again after something was waited for in between.
  expect(await guard.prober.enter(run, {})).toBeUndefined();
  expect(await guard.prober.enter({ ...run, id: "other" }, {})).toMatchObject({
    reason: "breaker-open",
  });
  await expect.poll(() => b.breaker.phase, patient).toBe("open");
  const beganMs = performance.now();
  guard.leave(run);
  await expect.poll(() => b.breaker.phase, patient).toBe("half-open");
  expect(performance.now() - beganMs).toBeLessThan(900);
});

test("what was written while the connection was down is read when it is back", async () => {
  await stage.connect();
  const proxy = await Proxy.start(stage.url);
  endings.push(() => proxy.stop());
  const [near, far] = [await breaker(60_000), await breaker(60_000, proxy.url)];
  proxy.cut();
  await open(near.breaker);
  const client = await stage.client();
  await expect.poll(() => client.count(`KV_${stage.names.breakersBucket}`), patient).toBe(1);
  expect(far.breaker.phase).toBe("closed");
  proxy.mend();
  await expect.poll(() => far.breaker.phase, patient).toBe("open");
});

test("a probe overtaken by another: its failure changes nothing, its success closes", async () => {
  const { a, first, overtake } = await probing();
  let end = (): void => undefined;
  const hanging = first?.run(
    () => new Promise((_resolve, reject) => (end = () => reject(new Error("at last")))),
    () => "failed",
  );
  const client = await stage.client();
  const second = await overtake();
  await expect.poll(() => first?.current, patient).toBe(false);
  const sequence = await client.lastSequence(`KV_${stage.names.breakersBucket}`);
  end();
  await expect(hanging).rejects.toMatchObject({ reason: "breaker-open" });
  const value = await second?.run(
    () => "well",
    () => "failed",
  );
  expect(value).toBe("well");
  await expect.poll(() => a.breaker.phase, patient).toBe("closed");
  // The success alone was written.
  expect(await client.lastSequence(`KV_${stage.names.breakersBucket}`)).toBe(sequence + 1);
});

test("a probe that hangs for longer than another's failure, and then succeeds, closes the circuit", async () => {
  const { b, first, overtake } = await probing();
  let end = (): void => undefined;
  const hanging = first?.run(
    () => new Promise<void>((resolve) => (end = resolve)),
    () => "failed",
  );
  const second = await overtake();
  await expect(second?.run(fail, () => "failed")).rejects.toMatchObject({ reason: "breaker-open" });
  end();
  await hanging;
  await expect.poll(() => b.breaker.phase, patient).toBe("closed");
});

test("a notice of an older revision, or of what is no record, changes nothing", async () => {
  await stage.connect();
  const { breaker: one, events } = await breaker(60_000);
  const client = await stage.client();
  await client.publish(`$KV.${stage.names.breakersBucket}.other`, "so that there is an older revision");
  await open(one);
  const subject = stage.names.noticeSubject(stage.names.breakersBucket, "api");
  const tell = async (record: unknown, revision: number): Promise<void> => {
    const fields = headers();
    fields.set("Godwit-Revision", String(revision));
    client.nc.publish(subject, JSON.stringify(record), { headers: fields });
    await client.nc.flush();
  };
  const kv = `KV_${stage.names.breakersBucket}`;
  await expect.poll(() => client.count(kv), patient).toBe(2);
  const known = await client.lastSequence(kv);
  const closed = { v: 1, state: "closed", probeAtMs: 0, by: "x" };
  await tell(closed, known - 1);
  await tell(closed, known);
  await tell({ v: 9 }, known + 1);
  await tell("rubbish", known + 2);
  // The last one alone is believed: its probe is due.
  await tell({ ...closed, state: "open" }, known + 3);
  await expect.poll(() => one.phase, patient).toBe("half-open");
  expect(events.map(({ state }) => state)).toEqual(["open"]);
});

test(
  "without the bucket it works alone and says so once; shared again once the bucket is back",
  { timeout: 90_000 },
  async () => {
    const dependency = new Dependency();
    const Caller = callerOf(dependency, { attempts: 50, resetAfter: 500 });
    await (await stage.connect()).provision([Caller]);
    // One that may makes it again.
    const system = await stage.connect({ provision: "check" });
    const worker = await system.work([Caller]);
    const history = historyOf(worker);
    const client = await stage.client();
    const kv = `KV_${stage.names.breakersBucket}`;
    await client.jsm.streams.delete(kv);
    dependency.up = false;
    await system.tellMany("caller", [1, 2, 3, 4, 5], { id: (n) => `m${n}` });
    await expect.poll(() => history, patient).toContain("api open, alone");
    const opened = dependency.calls.length;
    await expect.poll(() => dependency.calls.length, patient).toBeGreaterThanOrEqual(opened + 4);
    const times = dependency.calls.slice(opened).map(({ atMs }) => atMs);
    for (const [index, atMs] of times.slice(1).entries())
      expect(atMs - (times[index] ?? 0)).toBeGreaterThanOrEqual(490);
    const problems = history.filter((line) => line.startsWith("problem"));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/circuit of api cannot be shared .*goes by its own calls until it can/);
    // Another system makes the bucket anew.
    await stage.connect();
    await expect.poll(() => client.count(kv), patient).toBe(1);
    dependency.up = true;
    await expect.poll(() => history, patient).toContain("api closed");
    for (const n of [1, 2, 3, 4, 5])
      await expect.poll(() => history.some((line) => line.startsWith(`completed m${n}`)), patient).toBe(true);
    expect(history.filter((line) => line.startsWith("dead"))).toEqual([]);
  },
);

test("alone, too, one may probe and the next only resetAfter later", async () => {
  await stage.connect();
  const { breaker: one } = await breaker(400);
  const client = await stage.client();
  await client.jsm.streams.delete(`KV_${stage.names.breakersBucket}`);
  await open(one);
  await expect.poll(() => one.phase, patient).toBe("half-open");
  const [first, second] = await Promise.all([one.probe(), one.probe()]);
  expect([first, second, await one.probe()].filter((probe) => probe !== undefined)).toHaveLength(1);
  await expect.poll(() => one.phase, patient).toBe("half-open");
  await expect(one.probe()).resolves.toBeDefined();
});

test("a bucket that is deleted and made anew closes no open circuit", async () => {
  await stage.connect();
  const { breaker: one, events } = await breaker(60_000);
  const client = await stage.client();
  const kv = `KV_${stage.names.breakersBucket}`;
  await open(one);
  await expect.poll(() => client.count(kv), patient).toBe(1);
  await client.jsm.streams.delete(kv);
  await stage.connect();
  await expect.poll(() => client.count(kv), patient).toBe(1);
  expect(one.phase).toBe("open");
  expect(new Set(events.map(({ state }) => state))).toEqual(new Set(["open"]));
});
