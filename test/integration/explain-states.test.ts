/** Every state that `explain` tells, each produced for real. */
import { hostname } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import type { Answer } from "../../src/admin/api.ts";
import { Snooze, type ActorConfig, type ActorSystem } from "../../src/index.ts";
import { actorOf, gate, type Gate } from "../support/actors.ts";
import { callerOf, Dependency } from "../support/guard/dependency.ts";
import { record } from "../support/record.ts";
import { startGatedWorker } from "../support/start-gated-worker.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const gates: Gate[] = [];

afterEach(() => {
  for (const one of gates.splice(0)) one.open();
});

/** A gate that the end of the test opens. */
function held(): Gate {
  const one = gate();
  gates.push(one);
  return one;
}

/** What is known of the one message that has this id. */
async function explain(system: ActorSystem, id: string): Promise<Answer> {
  const { found } = await new Inspector(system).explain(id);
  expect(found).toHaveLength(1);
  return found[0] as Answer;
}

/** Polls until that is the answer, and gives it. */
async function becomes(system: ActorSystem, id: string, expected: object): Promise<Answer> {
  await expect.poll(() => explain(system, id), patient).toMatchObject(expected);
  return explain(system, id);
}

const here = { id: expect.any(String), host: hostname(), pid: process.pid };

describe("waiting, and why nobody takes it", () => {
  test("no worker; paused, also until a time; then it runs", async () => {
    const system = await stage.connect();
    const Plain = actorOf({ name: "plain" }, () => undefined);
    await (await system.work([Plain])).stop();
    const inspector = new Inspector(system);
    await system.tell("plain", 1, { id: "first" });
    await system.tell("plain", 2, { id: "m" });
    expect(await explain(system, "m")).toMatchObject({
      state: "waiting",
      ahead: 1,
      holdUps: [{ why: "no-worker", silent: [] }],
    });
    await inspector.pause("plain");
    const worker = await system.work([Plain]);
    const seen = record(worker);
    expect(await explain(system, "m")).toMatchObject({ state: "waiting", holdUps: [{ why: "paused" }] });
    const { until } = await inspector.pause("plain", { for: "1h" });
    expect(await explain(system, "m")).toMatchObject({ state: "waiting", holdUps: [{ why: "paused", until }] });
    await inspector.resume("plain");
    await seen.until("completed", 2);
    expect((await inspector.explain("m")).found).toEqual([]);
  });

  test("every handler is busy", async () => {
    const system = await stage.connect();
    const one = held();
    await system.work([actorOf({ name: "slow", concurrency: 1 }, () => one.opened)]);
    await system.tellMany("slow", [1, 2, 3, 4], { id: (n) => `m${n}` });
    const busy = { why: "busy", workers: 1, running: 1, concurrency: 1 };
    await becomes(system, "m4", { state: "waiting", holdUps: [busy] });
    expect((await new Inspector(system).status()).actors).toMatchObject([
      { actor: "slow", workers: 1, holdUps: [busy] },
    ]);
  });

  test("a silent worker is named", async () => {
    const system = await stage.connect();
    const worker = await startGatedWorker(stage.url, stage.namespace);
    try {
      await worker.freeze();
      await system.tellMany("gated", [1, 2, 3, 4], { id: (n) => `m${n}` });
      expect(await explain(system, "m4")).toMatchObject({
        holdUps: [{ why: "no-worker", silent: [{ host: hostname(), pid: worker.pid }] }],
      });
    } finally {
      await worker.end();
    }
  });
});

describe("guards", () => {
  test("a circuit that opened by itself, and one opened by hand", async () => {
    const system = await stage.connect();
    const inspector = new Inspector(system);
    const dependency = new Dependency();
    dependency.up = false;
    const worker = await system.work([callerOf(dependency, { attempts: 50, volume: 1, resetAfter: "1h" })]);
    await system.tell("caller", 1, { id: "opens" });
    await expect.poll(async () => (await inspector.breakers())[0]?.state, patient).toBe("open");
    await system.tellMany("caller", [1, 2, 3, 4, 5], { id: (n) => `m${n}` });
    const byItself = { why: "breaker-open", name: "api", byHand: false, probeAt: expect.any(String) };
    const waits = await becomes(system, "m5", { state: "waiting", holdUps: [byItself] });
    expect(waits).toMatchObject({ listening: 0 });
    // What had failed comes back, and finds it open.
    await becomes(system, "opens", {
      attempt: 2,
      errors: [{ message: "the dependency is down" }],
      holdUps: [byItself],
    });
    await inspector.openBreaker("api");
    expect(await explain(system, "m5")).toMatchObject({
      holdUps: [{ why: "breaker-open", name: "api", byHand: true }],
    });
    await worker.stop();
  });

  test("put back by an open circuit, until about the next probe", async () => {
    const system = await stage.connect();
    const dependency = new Dependency();
    const worker = await system.work([callerOf(dependency)]);
    const seen = record(worker);
    await new Inspector(system).openBreaker("api", { for: "20s" });
    // Its open pull brings one.
    await system.tell("caller", 1, { id: "m" });
    await seen.until("deferred");
    const putBack = await explain(system, "m");
    expect(putBack).toMatchObject({ state: "put-back", reason: "breaker-open", attempt: 1, errors: [] });
    expect((putBack as { until: string }).until > new Date().toISOString()).toBe(true);
  });

  test("no slot under a rate limit; then the limit is held", async () => {
    const system = await stage.connect();
    const config: ActorConfig = { name: "sender", rateLimit: { name: "mail", limit: 1, per: "1h" } };
    const worker = await system.work([actorOf(config, () => undefined)]);
    const seen = record(worker);
    await system.tell("sender", 0, { id: "first" });
    await seen.until("completed");
    await system.tellMany("sender", [1, 2, 3, 4], { id: (n) => `m${n}` });
    await becomes(system, "m4", {
      state: "waiting",
      holdUps: [{ why: "rate-limited", name: "mail", held: false, until: expect.any(String) }],
    });
    await new Inspector(system).holdLimit("mail", "2h");
    expect(await explain(system, "m4")).toMatchObject({
      holdUps: [{ why: "rate-limited", name: "mail", held: true, until: expect.any(String) }],
    });
  });

  test("a key without a slot: put back, and by which reason", async () => {
    const system = await stage.connect();
    const config: ActorConfig = { name: "sender", rateLimit: { name: "mail", limit: 1, per: "1h", key: String } };
    const worker = await system.work([actorOf(config, () => undefined)]);
    const seen = record(worker);
    await system.tell("sender", "a", { id: "first" });
    await seen.until("completed");
    await system.tell("sender", "a", { id: "m" });
    await seen.until("deferred");
    expect(await explain(system, "m")).toMatchObject({ state: "put-back", reason: "rate-limited", attempt: 1 });
  });

  test("a concurrency limit: in hand, waiting for a permit; then put back", async () => {
    const system = await stage.connect();
    const one = held();
    const config: ActorConfig = { name: "one.by.one", concurrencyLimit: { name: "db", limit: 1 } };
    const worker = await system.work([actorOf(config, () => one.opened)]);
    const seen = record(worker);
    await system.tell("one.by.one", 1, { id: "first" });
    await seen.until("started");
    await system.tell("one.by.one", 2, { id: "m" });
    await becomes(system, "m", { state: "held", by: "concurrency limit db", worker: here, attempt: 1 });
    await seen.until("deferred");
    await system.tellMany("one.by.one", [1, 2, 3, 4, 5, 6], { id: (n) => `n${n}` });
    const usedUp = { why: "concurrency-limited", name: "db", limit: 1, inUse: 1 };
    const waits = await becomes(system, "n6", { state: "waiting", holdUps: [usedUp] });
    expect(waits).toMatchObject({ actor: "one.by.one" });
  });
});

describe("in a worker's hands", () => {
  test("runs: where, since when, in which attempt, after which errors with their causes", async () => {
    const system = await stage.connect();
    const one = held();
    const beganAt = new Date().toISOString();
    await system.work([
      actorOf({ name: "twice", retry: { base: 10, jitter: "none" } }, async (_, ctx) => {
        if (ctx.attempt === 1) throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
        await one.opened;
      }),
    ]);
    await system.tell("twice", 1, { id: "m" });
    const running = await becomes(system, "m", {
      state: "running",
      attempt: 2,
      stalls: 0,
      worker: here,
      errors: [{ attempt: 1, name: "TypeError", message: "fetch failed: connect ECONNREFUSED" }],
    });
    const { since } = running as { since: string };
    expect(since > beganAt && since <= new Date().toISOString()).toBe(true);
  });

  test("runs in another process, is with a silent one, and comes again after its death", async () => {
    const system = await stage.connect();
    const worker = await startGatedWorker(stage.url, stage.namespace);
    const where = { id: expect.any(String), host: hostname(), pid: worker.pid };
    try {
      await system.tell("gated", 1, { id: "m" });
      await becomes(system, "m", { state: "running", worker: where, attempt: 1 });
      await worker.freeze();
      expect(await explain(system, "m")).toMatchObject({ state: "in-flight", suspects: [where], ackWaitMs: 2_000 });
    } finally {
      await worker.end();
    }
    // Nobody has it, until its visibility timeout is over. Then another runs it.
    const one = held();
    await system.work([actorOf({ name: "gated", ackWait: "2s" }, () => one.opened)]);
    await becomes(system, "m", { state: "running", worker: here });
  });

  test("an event: runs, is put back, is done", async () => {
    const system = await stage.connect();
    const one = held();
    const worker = await system.work([
      actorOf({ name: "listener", subscribe: ["orders.placed"] }, async (_, ctx) => {
        if (ctx.deliveries === 1) throw new Snooze("1s");
        await one.opened;
      }),
    ]);
    const seen = record(worker);
    await system.publish("orders.placed", 1, { id: "e" });
    await seen.until("deferred");
    expect(await explain(system, "e")).toMatchObject({ actor: "listener", state: "put-back", reason: "snooze" });
    await becomes(system, "e", { state: "running", worker: here });
    one.open();
    await seen.until("completed");
    await becomes(system, "e", { state: "settled" });
  });
});

describe("to come again", () => {
  test("snoozed; backing off with the last error; both wait longer where the actor is paused", async () => {
    const system = await stage.connect();
    const worker = await system.work([
      actorOf({ name: "again", retry: { base: 300, jitter: "none" } }, (input) => {
        if (input === "snooze") throw new Snooze("1h");
        throw new RangeError("too large");
      }),
    ]);
    const seen = record(worker);
    await system.tell("again", "snooze", { id: "s" });
    await seen.until("deferred");
    expect(await explain(system, "s")).toMatchObject({ state: "put-back", reason: "snooze", attempt: 1, holdUps: [] });
    await new Inspector(system).pause("again");
    await new Inspector(system).resume("again");
    await system.tell("again", "fail", { id: "f" });
    await seen.until("retry");
    await new Inspector(system).pause("again");
    const failed = await explain(system, "f");
    expect(failed).toMatchObject({
      state: "backing-off",
      errors: [{ name: "RangeError", message: "too large" }],
      holdUps: [{ why: "paused" }],
    });
    await expect.poll(() => (failed as { until: string }).until < new Date().toISOString(), patient).toBe(true);
    expect(await explain(system, "f")).toMatchObject({ state: "backing-off", holdUps: [{ why: "paused" }] });
    await worker.stop();
    // Whoever put it back has ended, and nobody remembers why; it is not taken for one that runs.
    expect(await explain(system, "s")).toMatchObject({ state: "in-flight", suspects: [] });
  });
});

describe("what is easily taken for another", () => {
  test("an id that reads like a place in a stream that there is", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { namespace, names } = stage;
    await client.jsm.streams.add({ name: `orders${namespace}`, subjects: [`orders${namespace}`] });
    const id = `orders${namespace}-1`;
    const { sequence } = await system.tell("mail", 1, { id });
    const mine = { id, state: "unserved", place: { stream: names.tasks, sequence } };
    expect(await explain(system, id)).toMatchObject(mine);
    await client.publish(`orders${namespace}`, "1");
    const theirs = { state: "unserved", place: { stream: `orders${namespace}`, sequence: 1 } };
    const inspector = new Inspector(system);
    expect((await inspector.explain(id)).found).toMatchObject([theirs, mine]);
    expect((await inspector.explain(id.replace("-", ":"))).found).toMatchObject([theirs]);
    // The id that a message without one is given is found both ways.
    const plain = await client.publish(names.taskSubject("mail"), "2");
    expect(await explain(system, `${names.tasks}-${plain}`)).toMatchObject({ place: { sequence: plain } });
    await client.jsm.streams.delete(`orders${namespace}`);
  });

  test("what stands at a dead letter's place and is none", async () => {
    const system = await stage.connect();
    const one = held();
    await system.work([actorOf({ name: "mail" }, () => one.opened)]);
    const { stream, sequence } = await system.tell("mail", 1, { id: "m" });
    const client = await stage.client();
    await client.publish(stage.names.deadSubject("mail", stream, sequence), "not a letter");
    await becomes(system, "m", { state: "running" });
    const inspector = new Inspector(system);
    expect((await inspector.explain(`${stream}:${sequence}`)).found).toMatchObject([{ state: "running" }]);
    expect((await inspector.explain(`${stage.names.dead}:1`)).found).toEqual([]);
  });

  test("what one failed with before it was sent again", async () => {
    const system = await stage.connect();
    const one = held();
    let fails = true;
    const worker = await system.work([
      actorOf({ name: "mail", retry: { attempts: 1 }, result: { ttl: "1h" } }, () => {
        if (fails) throw new Error("no");
        return one.opened;
      }),
    ]);
    const seen = record(worker);
    await system.tell("mail", 1, { id: "m" });
    await seen.until("dead");
    expect(await explain(system, "m")).toMatchObject({ state: "dead" });
    fails = false;
    await new Inspector(system).requeueDead({ query: {} });
    await becomes(system, "m", { state: "running", place: { sequence: 2 } });
    one.open();
    await seen.until("completed");
    await becomes(system, "m", { state: "completed" });
  });

  test("what was settled, or begun, while it was looked for", async () => {
    const system = await stage.connect();
    const first = held();
    const second = held();
    const worker = await system.work([
      actorOf({ name: "slow", concurrency: 1 }, (n) => (n === 1 ? first : second).opened),
    ]);
    const seen = record(worker);
    await system.tellMany("slow", [1, 2], { id: (n) => `m${n}` });
    await seen.until("started");
    const inspector = new Inspector(system);
    const { reader } = system.parts;
    const last = reader.last.bind(reader);
    // The stored message has been found, and what it is about is looked up.
    const meanwhile = (act: () => Promise<unknown>): void => {
      reader.last = async (stream, subject) => {
        if (stream === stage.names.dead) {
          reader.last = last;
          await act();
        }
        return last(stream, subject);
      };
    };
    meanwhile(async () => {
      first.open();
      await seen.until("started", 2);
    });
    expect((await inspector.explain("m2")).found).toMatchObject([{ state: "running", worker: here }]);
    meanwhile(async () => {
      second.open();
      await seen.until("completed", 2);
    });
    expect((await inspector.explain("m2")).found).toMatchObject([{ id: "m2", state: "gone" }]);
  });
});
