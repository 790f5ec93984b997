/** Results: what a task's outcome looks like from outside, how long it is kept, and that nothing is kept unasked. */
import { describe, expect, test } from "vitest";
import { Snooze, Terminal } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { until } from "../support/embedded/until.ts";
import { record } from "../support/record.ts";
import { spyOnBuckets } from "../support/spy.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage({ maxPayloadBytes: 64 * 1_024 });

describe("the state of a task", () => {
  test("is unknown, then pending, then completed with its value", async () => {
    const system = await stage.connect();
    const { opened, open } = gate();
    const Slow = actorOf({ name: "slow", result: { ttl: "1m" } }, async (input) => {
      await opened;
      return { got: input, at: new Date(5), big: 2n ** 60n };
    });
    expect(await system.result(Slow, "s")).toBeUndefined();
    await system.tell(Slow, "x", { id: "s" });
    expect(await system.result(Slow, "s"), "before any worker runs").toEqual({ state: "pending" });
    const recorder = record(await system.work([Slow]));
    await recorder.until("started");
    expect(await system.result(Slow, "s"), "while it runs").toEqual({ state: "pending" });
    open();
    await recorder.until("completed");
    const wanted = { state: "completed", value: { got: "x", at: new Date(5), big: 2n ** 60n } };
    expect(await system.result(Slow, "s")).toEqual(wanted);
    expect(await system.result("slow", "s"), "by name too").toEqual(wanted);
    expect(await system.result("slow", "other")).toBeUndefined();
    expect(await system.result("other", "s")).toBeUndefined();
  });

  test("is failed with the reason and the error, once it is a dead letter; pending while it is retried", async () => {
    const system = await stage.connect();
    const { opened, open } = gate();
    const Failing = actorOf(
      { name: "failing", result: { ttl: "1m" }, retry: { attempts: 2, base: 1 } },
      async (_, ctx) => {
        if (ctx.attempt === 2) await opened;
        throw new RangeError("out of stock");
      },
    );
    const recorder = record(await system.work([Failing]));
    await system.tell(Failing, {}, { id: "f" });
    await recorder.until("started", 2);
    expect(await system.result(Failing, "f")).toEqual({ state: "pending" });
    open();
    await recorder.until("dead");
    const outcome = await system.result(Failing, "f");
    expect(outcome).toMatchObject({
      state: "failed",
      error: {
        name: "TaskFailedError",
        code: "TASK_FAILED",
        id: "f",
        reason: "exhausted",
        message: "The task f became a dead letter (exhausted): out of stock",
        cause: { name: "RangeError", message: "out of stock" },
      },
    });
  });

  test("is known of a task that was sent by name, once it is done", async () => {
    const system = await stage.connect();
    const Keeping = actorOf({ name: "keeping", result: { ttl: "1m" } }, () => 42);
    await system.tell("keeping", {}, { id: "n" });
    expect(await system.result("keeping", "n")).toBeUndefined();
    await system.work([Keeping]);
    expect(await system.result("keeping", "n", { wait: "10s" })).toEqual({ state: "completed", value: 42 });
  });

  test("keeps nothing returned apart from null, and both from unknown", async () => {
    const system = await stage.connect();
    const Quiet = actorOf({ name: "quiet", result: { ttl: "1m" } }, (input) => (input === null ? null : undefined));
    await system.work([Quiet]);
    await system.tell(Quiet, null, { id: "null" });
    await system.tell(Quiet, 1, { id: "nothing" });
    expect(await system.result(Quiet, "null", { wait: "10s" })).toEqual({ state: "completed", value: null });
    expect(await system.result(Quiet, "nothing", { wait: "10s" })).toEqual({ state: "completed", value: undefined });
  });

  test("changes from failed to completed when the dead letter is requeued", async () => {
    const system = await stage.connect();
    let broken = true;
    const Mended = actorOf({ name: "mended", result: { ttl: "1m" } }, () => {
      if (broken) throw new Terminal("no");
      return "yes";
    });
    const recorder = record(await system.work([Mended]));
    await system.tell(Mended, {}, { id: "m" });
    await recorder.until("dead");
    expect(await system.result(Mended, "m")).toMatchObject({ state: "failed" });
    broken = false;
    await system.dead.requeue((await onlyDead(system)).sequence);
    await recorder.until("completed");
    expect(await system.result(Mended, "m")).toEqual({ state: "completed", value: "yes" });
  });
});

test("a result that is there before its task was noted as pending stays", async () => {
  const system = await stage.connect();
  const { results } = system.parts;
  await results.completed("fast", "f", 42, 60_000, 5_000);
  await results.pending("fast", "f");
  expect(await system.result("fast", "f")).toEqual({ state: "completed", value: 42 });
});

describe("waiting for a result", () => {
  test("ends as soon as it is there, for each of many waiters, without a consumer", async () => {
    const system = await stage.connect();
    const other = await stage.connect();
    const client = await stage.client();
    const { opened, open } = gate();
    const Slow = actorOf({ name: "slow", result: { ttl: "1m" } }, async (input) => {
      await opened;
      return input;
    });
    const recorder = record(await system.work([Slow]));
    const ids = Array.from({ length: 30 }, (_, n) => `id ${n}`);
    await system.tellMany(Slow, ids, { id: (id) => String(id) });
    const waits = ids.flatMap((id) => [
      system.result(Slow, id, { wait: "20s" }),
      other.result("slow", id, { wait: "20s" }),
    ]);
    await recorder.until("started", 10);
    const { state } = await client.jsm.streams.info(`KV_${stage.names.resultsBucket}`);
    expect(state.consumer_count).toBe(0);
    const startMs = performance.now();
    open();
    const outcomes = await Promise.all(waits);
    expect(performance.now() - startMs, "nobody waited in vain").toBeLessThan(10_000);
    expect(outcomes).toEqual(
      ids.flatMap((id) => [
        { state: "completed", value: id },
        { state: "completed", value: id },
      ]),
    );
  });

  test("ends with what is known when its time is up", async () => {
    const system = await stage.connect();
    const Never = actorOf({ name: "never", result: { ttl: "1m" } }, () => {});
    await system.tell(Never, {}, { id: "n" });
    const startMs = performance.now();
    expect(await system.result(Never, "n", { wait: 200 })).toEqual({ state: "pending" });
    expect(await system.result(Never, "unknown", { wait: 200 })).toBeUndefined();
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(395);
  });

  test("may begin before the task is sent", async () => {
    const system = await stage.connect();
    const Late = actorOf({ name: "late", result: { ttl: "1m" } }, () => "done");
    await system.work([Late]);
    const waiting = system.result(Late, "l", { wait: "20s" });
    await system.tell(Late, {}, { id: "l" });
    expect(await waiting).toEqual({ state: "completed", value: "done" });
  });

  test("hears of a failure as well", async () => {
    const system = await stage.connect();
    const Failing = actorOf({ name: "fails", result: { ttl: "1m" } }, () => {
      throw new Terminal("no");
    });
    const waiting = system.result(Failing, "f", { wait: "20s" });
    await system.work([Failing]);
    await system.tell(Failing, {}, { id: "f" });
    expect(await waiting).toMatchObject({ state: "failed", error: { reason: "terminal" } });
  });
});

test("a result disappears when its own time to live is over", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const Brief = actorOf({ name: "brief", result: { ttl: "1s" } }, () => "here");
  const Lasting = actorOf({ name: "lasting", result: { ttl: "1m" } }, () => "here");
  const recorder = record(await system.work([Brief, Lasting]));
  const startMs = performance.now();
  await system.tell(Brief, {}, { id: "x" });
  await system.tell(Lasting, {}, { id: "x" });
  await recorder.until("completed", 2);
  expect(await system.result(Brief, "x")).toEqual({ state: "completed", value: "here" });
  // At no moment in between is it an error to ask, also while the server's marker of its end stands in its place.
  await until("the result is gone", async () => (await system.result(Brief, "x")) === undefined);
  expect(performance.now() - startMs, "not before").toBeGreaterThanOrEqual(950);
  expect(await system.result(Lasting, "x")).toEqual({ state: "completed", value: "here" });
  await expect.poll(() => client.count(`KV_${stage.names.resultsBucket}`), patient).toBe(1);
});

describe("nothing is stored unless asked for", () => {
  test("a message that succeeds at once reads and writes no KV and enters no machine", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const buckets = [stage.names.resultsBucket, stage.names.runsBucket].map((bucket) => `KV_${bucket}`);
    const Forget = actorOf({ name: "forget", subscribe: ["went.by"] }, () => "a result nobody asked for");
    const Keep = actorOf({ name: "keep", result: { ttl: "1m" } }, () => "kept");
    const worker = await system.work([Forget, Keep]);
    const recorder = record(worker);
    const spy = await spyOnBuckets(client);
    await system.tellMany(
      Forget,
      Array.from({ length: 200 }, (_, n) => n),
    );
    await system.tell(Forget, "later", { delay: 50 });
    await system.publish("went.by", {});
    expect(await system.ask(Forget, "asked")).toBe("a result nobody asked for");
    await recorder.until("completed", 203);
    // A worker renews its lease by the clock, whatever it does.
    const lease = `$KV.${stage.names.workersBucket}.`;
    const seen = async (): Promise<string[]> => (await spy.subjects()).filter((subject) => !subject.startsWith(lease));
    expect(await seen()).toEqual([]);
    for (const bucket of buckets) expect(await client.lastSequence(bucket)).toBe(0);
    expect(worker.stats.lifecycleEntries).toBe(0);

    // And the spy would have seen it.
    await system.tell(Keep, {}, { id: "k" });
    await recorder.until("completed", 204);
    const key = `$KV.${stage.names.resultsBucket}.keep.k`;
    expect(await seen()).toEqual([key, key]);
    await system.result(Keep, "k");
    expect(await spy.subjects()).toContain(`$JS.API.STREAM.MSG.GET.KV_${stage.names.resultsBucket}`);
    expect(worker.stats.lifecycleEntries, "keeping a result is no failure").toBe(0);
    expect(await system.result("forget", "k")).toBeUndefined();
  });

  test("a first failure writes one record and reads it once; a message that is put back writes none", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Odd = actorOf({ name: "odd", retry: { attempts: 2, base: 1 } }, (input, ctx) => {
      if (ctx.deliveries > 1) return;
      if (input === "fail") throw new Error("no");
      if (input === "snooze") throw new Snooze(1);
    });
    const worker = await system.work([Odd]);
    const recorder = record(worker);
    const sent = await system.tell(Odd, "fail");
    await recorder.until("completed", 1);
    expect(worker.stats.lifecycleEntries).toBe(1);
    const key = `$KV.${stage.names.runsBucket}.${stage.names.tasks}.${sent.sequence}.odd`;
    expect((await client.last(`KV_${stage.names.runsBucket}`, key))?.header.get("Nats-TTL")).toMatch(/^\d+s$/);
    expect(await client.lastSequence(`KV_${stage.names.resultsBucket}`)).toBe(0);
  });
});

describe("a result that cannot be stored", () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;

  test.each([
    ["too large", "x".repeat(100_000), /bytes with its headers and the server takes 65536/],
    ["a function", () => 1, /cannot be/],
    ["a function inside", { inside: { f: () => 1 } }, /cannot be/],
    ["a symbol", { s: Symbol("s") }, /cannot be/],
    ["a circle", circle, /cannot be/],
    ["an integer beyond 64 bits", 2n ** 70n, /cannot be/],
  ])(
    "because it is %s is stored as completed with the error, and the task does not run again",
    async (_what, value, text) => {
      const system = await stage.connect();
      const client = await stage.client();
      let runs = 0;
      const Bulky = actorOf({ name: "bulky", result: { ttl: "1m" }, retry: { base: 1 } }, () => {
        runs += 1;
        return value;
      });
      const recorder = record(await system.work([Bulky]));
      await system.tell(Bulky, {}, { id: "b" });
      await recorder.until("completed");
      const outcome = await system.result(Bulky, "b");
      expect(outcome).toMatchObject({
        state: "completed",
        value: undefined,
        error: { message: expect.stringMatching(text) },
      });
      expect(await client.count(stage.names.tasks)).toBe(0);
      expect(await client.count(stage.names.dead)).toBe(0);
      expect(runs).toBe(1);
    },
  );
});

test("result() refuses an id and a wait that cannot be", async () => {
  const system = await stage.connect();
  for (const id of ["", " x", "x".repeat(129), 7] as never[]) {
    await expect(system.result("actor", id)).rejects.toMatchObject({ code: "INVALID_NAME" });
  }
  await expect(system.result("actor", "x", { wait: "soon" as never })).rejects.toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringContaining("wait is"),
  });
});
