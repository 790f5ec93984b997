/** Isolation: handlers in threads, which can be killed, and what becomes of their messages. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ConfigError, type MessageRef } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import {
  BadStart,
  Counting,
  Demanding,
  Hard,
  hidden,
  NoModule,
  Plain,
  Shaped,
  Soft,
  stopsChannel,
} from "../support/isolation/actors.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const ascending = (a: number, b: number): number => a - b;

test("a handler that spins for ever is killed within a second of its hard limit; all others run on, and nothing else comes again", async () => {
  const system = await stage.connect();
  const Other = actorOf({ name: "other", concurrency: 4 }, (input) => input);
  const worker = await system.work([Hard, Other]);
  const recorder = record(worker);
  // Both threads are ready then.
  const warm = (await Promise.all([1, 2].map(() => system.ask(Hard, { do: "wait", ms: 50 })))) as { thread: number }[];
  expect(warm[0]?.thread).not.toBe(warm[1]?.thread);
  await system.tell(Hard, { do: "spin" }, { id: "spin" });
  await recorder.until("started", 3);
  const spinsSinceMs = performance.now();
  let sent = 0;
  // The worker goes on all the while, in its other thread and in its own.
  while (recorder.of("dead").length === 0) {
    await Promise.all([system.ask(Hard, { do: "answer", value: sent }), system.ask(Other, sent)]);
    sent += 1;
  }
  const [dead] = recorder.of("dead");
  expect(dead?.data).toMatchObject({ id: "spin", reason: "exhausted", deliveries: 1, error: { code: "TIME_LIMIT" } });
  const tookMs = (dead?.atMs ?? 0) - spinsSinceMs;
  expect(tookMs).toBeGreaterThanOrEqual(1_490);
  expect(tookMs).toBeLessThan(2_500);
  expect(sent).toBeGreaterThan(10);
  // The thread is replaced: two at once again.
  await Promise.all([1, 2].map(() => system.ask(Hard, { do: "wait", ms: 50 })));
  const completed = (await recorder.until("completed", 2 + 2 * sent + 2)).map(({ data }) => data as MessageRef);
  expect(completed).toHaveLength(2 + 2 * sent + 2);
  expect(completed.filter(({ deliveries }) => deliveries !== 1)).toEqual([]);
  expect([...recorder.of("lost"), ...recorder.of("retry"), ...recorder.of("problem")]).toEqual([]);
  expect(worker.stats).toMatchObject({ healthy: true, actors: { "iso.hard": { overdue: 1, abandoned: 0, dead: 1 } } });
});

describe("a thread", () => {
  test("makes, starts and stops its actor once, runs one message at a time, and there are as many as handlers at once", async () => {
    const system = await stage.connect();
    const worker = await system.work([Counting]);
    const seen = (await Promise.all(Array.from({ length: 12 }, (_, n) => system.ask(Counting, n)))) as {
      thread: number;
      runs: number;
    }[];
    const threads = [...new Set(seen.map(({ thread }) => thread))];
    expect(threads).toHaveLength(2);
    for (const thread of threads) {
      const own = seen.filter((one) => one.thread === thread).toSorted((a, b) => a.runs - b.runs);
      expect(own.map(({ runs }) => runs)).toEqual(own.map((_, index) => index + 1));
      expect(own.every((one) => "started" in one && one.started === 1 && "overlaps" in one && one.overlaps === 0)).toBe(
        true,
      );
    }
    const stopped: number[] = [];
    const channel = new BroadcastChannel(stopsChannel);
    channel.addEventListener("message", (said) => void stopped.push((said as Event & { data: number }).data));
    await worker.stop();
    await expect.poll(() => stopped.toSorted(ascending), patient).toEqual(threads.toSorted(ascending));
    channel.close();
  });

  test("gets what the schema gives, by structured clone", async () => {
    const system = await stage.connect();
    await system.work([Shaped]);
    expect(await system.ask(Shaped, { n: 1 })).toEqual({ isDate: true, n: 1 });
  });

  test("that ends by itself or throws where nobody catches is a failed attempt with a clear error, and is replaced", async () => {
    const system = await stage.connect();
    const worker = await system.work([Plain]);
    const recorder = record(worker);
    await system.tell(Plain, { do: "exit", code: 7 }, { id: "exit" });
    const [exit] = await recorder.until("retry");
    expect(exit?.data.error).toMatchObject({ name: "ThreadError", code: "THREAD_ENDED" });
    expect(exit?.data.error.message).toContain("iso.plain has ended, and is replaced: worker exited with code: 7");
    await recorder.until("dead");
    await system.tell(Plain, { do: "throw-later" });
    await recorder.until("dead", 2);
    expect(recorder.of("retry").at(-1)?.data.error.message).toContain("nobody caught this");
    expect(await system.ask(Plain, { do: "answer", value: 1 })).toMatchObject({ value: 1, main: false });
    expect(recorder.of("problem")).toEqual([]);
  });

  test("hands back signals and errors as what they were", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Plain]));
    const dead = async (what: "error" | "terminal" | "config" | "string") => {
      const before = recorder.of("dead").length;
      await system.tell(Plain, { do: "throw", what });
      return (await recorder.until("dead", before + 1)).at(-1)?.data;
    };
    expect(await dead("terminal")).toMatchObject({
      reason: "terminal",
      attempt: 1,
      error: { name: "Terminal", message: "never" },
    });
    const declined = await dead("error");
    expect(declined).toMatchObject({
      reason: "exhausted",
      attempt: 2,
      error: {
        name: "Error",
        message: "no funds",
        code: "CARD_DECLINED",
        card: { last: "4242" },
        cause: { name: "RangeError", message: "the deeper reason" },
      },
    });
    expect(declined?.error.stack).toMatch(/isolation.actors\.ts/);
    expect((await dead("config"))?.error).toBeInstanceOf(ConfigError);
    expect((await dead("string"))?.error.message).toBe("only text");
    await system.tell(Plain, { do: "throw", what: "snooze" }, { id: "snooze" });
    const [deferred] = await recorder.until("deferred");
    expect(deferred?.data).toMatchObject({ reason: "snooze", delayMs: 30 });
    await system.tell(Plain, { do: "throw", what: "retry-after" }, { id: "later" });
    await expect
      .poll(() => recorder.of("retry").find(({ data }) => data.id === "later")?.data.delayMs, patient)
      .toBeGreaterThanOrEqual(40);
  });

  test("whose handler gives what cannot cross fails with a sentence that says so", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Plain]));
    await system.tell(Plain, { do: "answer-function" });
    const [retry] = await recorder.until("retry");
    expect(retry?.data.error).toMatchObject({ code: "UNENCODABLE" });
    expect(retry?.data.error.message).toContain("must be plain data");
  });

  test("that is blocked stops no heartbeat: nobody else gets the message", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Plain]));
    const asked = system.ask(Plain, { do: "spin-for", ms: 2_500 });
    await recorder.until("started");
    const other = record(await system.work([Plain]));
    await asked;
    const [completed] = await recorder.until("completed");
    expect(completed?.data).toMatchObject({ deliveries: 1 });
    expect([...other.of("started"), ...recorder.of("lost")]).toEqual([]);
  });

  test("hears of the soft limit, and that its worker stops", async () => {
    const system = await stage.connect();
    const worker = await system.work([Soft]);
    const recorder = record(worker);
    expect(await system.ask(Soft, { do: "obey" })).toEqual({
      reason: expect.stringContaining("soft time limit of 200 ms"),
    });
    const asked = system.ask(Soft, { do: "obey-stop" });
    await recorder.until("progress");
    await worker.stop({ grace: 400 });
    await system.work([Soft]);
    expect(await asked).toEqual({ again: 2 });
    expect(recorder.of("interrupted")).toHaveLength(1);
  });

  test("that is blocked keeps no worker from stopping, and its message runs again elsewhere", async () => {
    const system = await stage.connect();
    const worker = await system.work([Plain]);
    const recorder = record(worker);
    await system.tell(Plain, { do: "spin" }, { id: "spin" });
    await recorder.until("started");
    await sleep(100); // It spins by then, or is about to.
    const sinceMs = performance.now();
    await worker.stop({ grace: 200 });
    const tookMs = performance.now() - sinceMs;
    expect(tookMs).toBeLessThan(5_000);
    expect(recorder.of("interrupted")).toHaveLength(1);
    expect(recorder.of("retry")).toEqual([]);
  });
});

describe("an actor that cannot run in threads is refused when the worker starts", () => {
  test.each([
    [
      "without a module",
      NoModule,
      /iso\.no-module is to run in threads, and its config has no module; add: module: import\.meta\.url/,
    ],
    ["not exported", hidden, /exports no actor class whose config has the name "iso\.hidden"; export the class there/],
    ["made with arguments", () => new Demanding({}), /iso\.demanding takes arguments, but a thread makes it without/],
  ])("%s", async (_what, source, text) => {
    const system = await stage.connect();
    const refused = system.work([source]);
    await expect(refused).rejects.toThrow(ConfigError);
    await expect(refused).rejects.toThrow(text);
  });

  test("and so is one whose start() throws there", async () => {
    const system = await stage.connect();
    const refused = system.work([BadStart]);
    await expect(refused).rejects.toThrow(
      /iso\.bad-start could not start, because its start\(\) threw \(Error: no licence\)/,
    );
    await expect(refused).rejects.toMatchObject({ code: "ACTOR_START_FAILED" });
  });
});
