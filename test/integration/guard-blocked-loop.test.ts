/** Blocked event loops: noticed, named and counted; a process that was stopped is none. */
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { actorOf, gate } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { collectLogs } from "../support/logs.ts";
import { Hard } from "../support/isolation/actors.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

function spin(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs;);
}

test("a handler that holds the loop before its first await is named for sure, among others in progress", async () => {
  const logs = collectLogs();
  const system = await stage.connect({ log: logs.log });
  const { opened, open } = gate();
  const Holder = actorOf({ name: "holder" }, async () => spin(700));
  const Waiter = actorOf({ name: "waiter" }, () => opened);
  const worker = await system.work([Holder, Waiter]);
  const recorder = record(worker);
  await system.tell(Waiter, 1);
  await recorder.until("started");
  await system.tell(Holder, 1);
  const [blocked] = await recorder.until("blocked");
  expect(blocked?.data).toMatchObject({ actors: ["holder"], certain: true });
  expect(blocked?.data.ms).toBeGreaterThanOrEqual(690);
  expect(blocked?.data.ms).toBeLessThan(5_000);
  expect(blocked?.data.cpuMs).toBeGreaterThan(100);
  expect(worker.stats.blocked).toBe(1);
  const line = logs.lines.find(({ message }) => message.includes("the event loop stood still"));
  expect(line).toMatchObject({ level: "warn", fields: { actors: ["holder"], certain: true } });
  expect(line?.message).toContain('isolate: "thread"');
  open();
});

test("one that holds it later is named with those that were in progress too, and with no others", async () => {
  const system = await stage.connect();
  const Later = actorOf({ name: "later" }, async () => {
    await turn();
    spin(700);
  });
  const Done = actorOf({ name: "done" }, () => undefined);
  const worker = await system.work([Later, Done, Hard]);
  const recorder = record(worker);
  await Promise.all([system.tell(Done, 1), system.ask(Hard, { do: "answer" })]);
  await recorder.until("completed", 2);
  const spinning = system.ask(Hard, { do: "spin-for", ms: 1_200 });
  await recorder.until("started", 3);
  await system.tell(Later, 1);
  const [blocked] = await recorder.until("blocked");
  expect(blocked?.data).toMatchObject({ actors: ["later"], certain: false });
  await spinning;
});

test("blockedAfter is the threshold, and what stays below it is not reported", async () => {
  const system = await stage.connect();
  const Holder = actorOf<number>({ name: "holder" }, async (ms) => spin(ms));
  const strict = await system.work([Holder], { blockedAfter: "100ms" });
  const recorder = record(strict);
  await system.tell(Holder, 200);
  const [blocked] = await recorder.until("blocked");
  expect(blocked?.data).toMatchObject({ actors: ["holder"], certain: true });
  await strict.stop();
  const lax = await system.work([Holder], { blockedAfter: "30s" });
  const other = record(lax);
  await system.tell(Holder, 700);
  await other.until("completed");
  await sleep(150); // A beat of the watch.
  expect(lax.stats.blocked).toBe(0);
  await expect(system.work([Holder], { blockedAfter: 1 })).rejects.toThrow('"blockedAfter" must be at least 50 ms');
});

test("what throws in a listener of it harms nothing", async () => {
  const logs = collectLogs();
  const system = await stage.connect({ log: logs.log });
  const Holder = actorOf({ name: "holder" }, async () => spin(600));
  const worker = await system.work([Holder]);
  worker.on("blocked", () => {
    throw new Error("the listener's own");
  });
  const recorder = record(worker);
  await system.tell(Holder, 1);
  await recorder.until("blocked");
  expect(logs.lines.map(({ message }) => message)).toContain('a listener of "blocked" threw');
});

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

test("a process that is stopped while its loop waits is not blocked; one that spins is", async () => {
  const worker = await scene.spawn({ worker: "stopped", ackWaitMs: 10_000 });
  const system = await scene.connect();
  worker.kill("SIGSTOP");
  await sleep(1_500);
  worker.kill("SIGCONT");
  await system.tell("faults.work", { do: "work" }, { id: "after" });
  await until("it works again", () => scene.journal.of("completed", "after").length === 1);
  expect(scene.journal.of("blocked")).toEqual([]);
  await system.tell("faults.work", { do: "block", ms: 800 }, { id: "spin" });
  await until("it has noticed", () => scene.journal.of("blocked").length === 1);
  expect(scene.journal.of("blocked")).toMatchObject([{ reason: expect.stringContaining("faults.work") }]);
  await untilDrained(system);
});
