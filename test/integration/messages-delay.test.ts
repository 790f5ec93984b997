/** Delay: a task that waits for its time fires then, not before, and once. */
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

/** An actor that notes what it was given, when. */
function clock(name: string) {
  const seen: { input: unknown; id: string; atMs: number; stream: string }[] = [];
  const Clock = actorOf({ name }, (input, ctx) => {
    seen.push({ input, id: ctx.id, atMs: Date.now(), stream: "" });
  });
  return { Clock, seen };
}

test("fires not before its time, with its id, its body and its headers", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { Clock, seen } = clock("clock");
  const recorder = record(await system.work([Clock]));
  const startMs = Date.now();
  const sent = await system.tell(Clock, { n: 1 }, { delay: "700ms", id: "tick", headers: { "X-A": "b" } });
  expect(sent).toMatchObject({ id: "tick", stream: stage.names.schedule, duplicate: false });
  expect(await client.count(stage.names.tasks)).toBe(0);
  const [completed] = await recorder.until("completed");
  expect(completed?.data).toMatchObject({ id: "tick", stream: stage.names.schedule, attempt: 1, deliveries: 1 });
  expect(seen).toMatchObject([{ input: { n: 1 }, id: "tick" }]);
  const lateMs = (seen[0]?.atMs ?? 0) - startMs - 700;
  expect(lateMs).toBeGreaterThanOrEqual(0);
  expect(lateMs).toBeLessThan(2_000);
  expect(await client.count(stage.names.schedule), "neither the schedule nor what it fired is left").toBe(0);
});

test("several fire in the order of their times, not of their sending", async () => {
  const system = await stage.connect();
  const { Clock, seen } = clock("order");
  const recorder = record(await system.work([Clock]));
  const delays = { third: 1_500, first: 300, second: 900 };
  await Promise.all(Object.entries(delays).map(([id, delay]) => system.tell(Clock, id, { id, delay })));
  await system.tell(Clock, "now", { id: "now" });
  await recorder.until("completed", 4);
  expect(seen.map(({ id }) => id)).toEqual(["now", "first", "second", "third"]);
});

test("the same id with another delay moves the task: it fires once, at the later sending's time", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { Clock, seen } = clock("moved");
  const recorder = record(await system.work([Clock]));
  await system.tell(Clock, "an hour", { id: "m 1", delay: "1h" });
  expect(await system.tell(Clock, "soon", { id: "m 1", delay: "400ms" })).toMatchObject({ duplicate: false });
  await system.tell(Clock, "soon", { id: "m 2", delay: "200ms" });
  await system.tell(Clock, "an hour", { id: "m 2", delay: "1h" });
  await recorder.until("completed");
  expect(seen).toMatchObject([{ input: "soon", id: "m 1" }]);
  expect(await client.count(stage.names.schedule), "the other one waits for its hour").toBe(1);
});

test("the same id with the same delay is a duplicate, so that a repeat is harmless", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { Clock, seen } = clock("again");
  const recorder = record(await system.work([Clock]));
  await system.tell(Clock, 1, { id: "a", delay: "100ms" });
  await recorder.until("completed");
  expect(await system.tell(Clock, 1, { id: "a", delay: "100ms" })).toMatchObject({ duplicate: true });
  expect(await client.count(stage.names.schedule)).toBe(0);
  expect(seen).toHaveLength(1);
});

test("delayed and immediate sends of one id are two tasks", async () => {
  const system = await stage.connect();
  const { Clock, seen } = clock("both");
  const recorder = record(await system.work([Clock]));
  await system.tell(Clock, "now", { id: "x" });
  await system.tell(Clock, "later", { id: "x", delay: 100 });
  await recorder.until("completed", 2);
  expect(seen.map(({ input }) => input)).toEqual(["now", "later"]);
});

test("one that came due while no worker ran waits for one", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { Clock, seen } = clock("waiting");
  await system.tell(Clock, "due", { delay: 50, lane: "low" });
  await expect
    .poll(() => client.last(stage.names.schedule, stage.names.dueSubject("waiting", "low")), patient)
    .toBeDefined();
  const recorder = record(await system.work([Clock]));
  await recorder.until("completed");
  expect(seen.map(({ input }) => input)).toEqual(["due"]);
});

test("a delayed task that fails is retried, and dies where it came from", async () => {
  const system = await stage.connect();
  const attempts: number[] = [];
  const Failing = actorOf({ name: "failing", retry: { attempts: 3, base: 1, max: 1 } }, (_input, ctx) => {
    attempts.push(ctx.attempt);
    throw new Error("no");
  });
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {}, { delay: 50 });
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ stream: stage.names.schedule, reason: "exhausted" });
  expect(attempts).toEqual([1, 2, 3]);
});

test("expiresIn counts from its due time", async () => {
  const system = await stage.connect();
  const { Clock, seen } = clock("expiring");
  const recorder = record(await system.work([Clock]));
  await system.tell(Clock, "in time", { delay: 600, expiresIn: 5_000 });
  await recorder.until("completed");
  expect(seen).toHaveLength(1);
});

test("a delay that cannot be is refused in one sentence", async () => {
  const system = await stage.connect();
  for (const delay of ["soon", -1, Number.NaN, "2y", Infinity] as never[]) {
    await expect(system.tell("clock", 1, { delay })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(/^delay is .*which is no duration.*\.$/),
    });
  }
  await expect(system.tell("clock", 1, { delay: "400d" })).rejects.toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringContaining("longer than a year"),
  });
});
