/** Time limits: what becomes of a handler that takes too long, and of its message meanwhile. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Terminal, TimeLimitError, type Context } from "../../src/index.ts";
import { runActor } from "../../src/testing/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

/** Resolves when the signal aborts. */
function aborted({ signal }: Context): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

test("soft aborts the signal and says so, and the handler is judged by what it gives; hard does not come to it", async () => {
  const system = await stage.connect();
  const reasons: unknown[] = [];
  const Soft = actorOf({ name: "soft", timeLimit: { soft: 100, hard: 400 } }, async (_input, ctx) => {
    await aborted(ctx);
    reasons.push(ctx.signal.reason);
    return "in time";
  });
  const recorder = record(await system.work([Soft]));
  expect(await system.ask(Soft, 1)).toBe("in time");
  await recorder.until("completed");
  expect(String(reasons[0])).toContain("soft time limit of 100 ms");
  expect(recorder.of("overdue")).toEqual([]);
});

test("a handler that ends within a second after the hard limit is judged by what it gave", async () => {
  const system = await stage.connect();
  let reason: unknown;
  const Late = actorOf({ name: "late", timeLimit: { hard: 150 } }, async (input, ctx) => {
    await aborted(ctx);
    reason = ctx.signal.reason;
    await sleep(100);
    if (input === "fail") throw new Terminal("gave up by itself");
    return "late, and good";
  });
  const worker = await system.work([Late]);
  const recorder = record(worker);
  expect(await system.ask(Late, "give")).toBe("late, and good");
  await system.tell(Late, "fail");
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ reason: "terminal", error: { message: "gave up by itself" } });
  expect(reason).toBeInstanceOf(TimeLimitError);
  expect(recorder.of("overdue").map(({ data }) => data)).toMatchObject([{ actor: "late", limitMs: 150 }, {}]);
  expect(recorder.of("abandoned")).toEqual([]);
  expect(worker.stats).toMatchObject({ healthy: true, unhealthyReasons: [], actors: { late: { overdue: 2 } } });
});

test("after that second the attempt has failed, but no second run begins before the handler has ended, and its value is dropped", async () => {
  const system = await stage.connect();
  const { opened, open } = gate();
  const runs: { attempt: number; deliveries: number }[] = [];
  const Slow = actorOf(
    {
      name: "slow",
      concurrency: 1,
      ackWait: 1_000,
      timeLimit: { hard: 100, abandonAfter: "1m" },
      retry: { base: 10, max: 10, jitter: "none" },
      result: { ttl: "1m" },
    },
    async (_input, { attempt, deliveries }) => {
      runs.push({ attempt, deliveries });
      if (attempt === 1) await opened;
      return `attempt ${attempt}`;
    },
  );
  const worker = await system.work([Slow]);
  const recorder = record(worker);
  const { id } = await system.tell(Slow, 1);
  await recorder.until("started");
  // Nobody else gets the message either.
  const other = record(await system.work([Slow]));
  await recorder.until("overdue");
  await sleep(3_000); // Three ack-waits, in which time itself might do harm.
  expect(runs).toHaveLength(1);
  expect([...recorder.of("retry"), ...other.of("started"), ...recorder.of("lost")]).toEqual([]);
  expect(worker.stats.actors["slow"]).toMatchObject({ inHand: 1, overdue: 1, abandoned: 0 });
  open();
  const [retry] = await recorder.until("retry");
  expect(retry?.data.error).toMatchObject({ name: "TimeLimitError", code: "TIME_LIMIT" });
  expect(retry?.data.error.message).toContain("slow did not end within its hard time limit of 100 ms");
  expect(await system.result("slow", id, { wait: "10s" })).toEqual({ state: "completed", value: "attempt 2" });
  expect(runs).toEqual([
    { attempt: 1, deliveries: 1 },
    { attempt: 2, deliveries: 2 },
  ]);
  expect(worker.stats.healthy).toBe(true);
});

test("a handler that never ends is abandoned: the slot is free, the message settled, the worker unhealthy until it ends after all", async () => {
  const system = await stage.connect();
  const { opened, open } = gate();
  const Stuck = actorOf<string>(
    {
      name: "stuck",
      concurrency: 1,
      timeLimit: { hard: 100, abandonAfter: 1_400 },
      retry: { attempts: 1 },
    },
    async (input) => {
      if (input !== "stick") return;
      await opened;
      throw new Error("too late to be heard");
    },
  );
  const worker = await system.work([Stuck]);
  const recorder = record(worker);
  await system.tell(Stuck, "stick");
  await recorder.until("started");
  await system.tell(Stuck, "pass");
  await recorder.until("completed");
  const [abandoned] = recorder.of("abandoned");
  expect(abandoned?.data).toMatchObject({ actor: "stuck", attempt: 1 });
  expect(abandoned?.data.ms).toBeGreaterThanOrEqual(1_390);
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ reason: "exhausted", error: { code: "TIME_LIMIT" } });
  expect((await onlyDead(system)).reason).toBe("exhausted");
  expect(worker.stats).toMatchObject({ healthy: false, actors: { stuck: { overdue: 1, abandoned: 1, inHand: 0 } } });
  expect(worker.stats.unhealthyReasons).toEqual([expect.stringContaining("abandoned handlers of stuck still run: 1")]);
  open();
  // That its error is no unhandled rejection, the stage sees to.
  await expect.poll(() => worker.stats.healthy, patient).toBe(true);
  expect(worker.stats.actors["stuck"]).toMatchObject({ abandoned: 1 });
});

test("abandonAfter is five times the hard limit unless given", async () => {
  const Stuck = actorOf({ name: "stuck.default", timeLimit: { hard: 300 } }, () => new Promise<void>(() => undefined));
  const beganMs = performance.now();
  const { outcome } = await runActor(Stuck, 1);
  const tookMs = performance.now() - beganMs;
  expect(outcome).toMatchObject({ kind: "retry", error: { code: "TIME_LIMIT" } });
  expect(tookMs).toBeGreaterThanOrEqual(1_490);
  expect(tookMs).toBeLessThan(4_000);
});

test("stop() does not wait for an overdue handler beyond its grace, and the attempt counts as failed", async () => {
  const system = await stage.connect();
  const Stuck = actorOf<number>(
    { name: "stopped", timeLimit: { hard: 100, abandonAfter: "1h" }, retry: { base: 10, max: 10, jitter: "none" } },
    (_input, { attempt }) => (attempt === 1 ? new Promise<void>(() => undefined) : undefined),
  );
  const worker = await system.work([Stuck]);
  const recorder = record(worker);
  await system.tell(Stuck, 1);
  await recorder.until("overdue");
  await sleep(1_200); // The second in which it may still obey.
  await worker.stop({ grace: 100 });
  expect(recorder.of("retry").map(({ data }) => data.error.name)).toEqual(["TimeLimitError"]);
  expect(recorder.of("interrupted")).toEqual([]);
  const next = record(await system.work([Stuck]));
  const [completed] = await next.until("completed");
  expect(completed?.data).toMatchObject({ attempt: 2, deliveries: 2 });
});

test("a breaker hears of a handler that hangs when its attempt has failed, not when it ends", async () => {
  const system = await stage.connect();
  const { opened, open } = gate();
  const Hanging = actorOf(
    {
      name: "hanging",
      timeLimit: { hard: 100, abandonAfter: "1h" },
      breaker: { name: "hanging-api", volume: 1, resetAfter: "1h" },
    },
    () => opened,
  );
  const worker = await system.work([Hanging]);
  const recorder = record(worker);
  const opens = new Promise((resolve) => worker.once("breaker", resolve));
  await system.tell(Hanging, 1);
  expect(await opens).toMatchObject({ name: "hanging-api", state: "open", error: { code: "TIME_LIMIT" } });
  expect(recorder.of("retry")).toEqual([]);
  expect(worker.stats.actors["hanging"]).toMatchObject({ inHand: 1 });
  open();
  await recorder.until("retry");
});
