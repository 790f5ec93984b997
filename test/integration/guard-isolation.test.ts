/** Isolation: handlers in threads, which can be killed, and what becomes of their messages. */
import { writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { MsgHdrs } from "@nats-io/transport-node";
import { ConfigError, type MessageRef, type Sent } from "../../src/index.ts";
import { configOf } from "../../src/actor/registry.ts";
import { IsolatedActor } from "../../src/guard/isolation/isolated-actor.ts";
import { Names } from "../../src/message/subjects.ts";
import { Recorder as SentRecorder } from "../../src/testing/recorder.ts";
import { TestDelivery } from "../../src/testing/test-delivery.ts";
import { TestTools } from "../../src/testing/test-tools.ts";
import { Run, type RunTools } from "../../src/worker/run.ts";
import { actorOf } from "../support/actors.ts";
import {
  BadStart,
  Choosy,
  Compensating,
  Counting,
  Demanding,
  Hard,
  hidden,
  Moody,
  moodVariable,
  NoModule,
  Plain,
  Shaped,
  Soft,
  stopsChannel,
} from "../support/isolation/actors.ts";
import { Running } from "../support/cli/run.ts";
import { AtHome, Guarded, InThread } from "../support/isolation/context.ts";
import { collectLogs } from "../support/logs.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

interface Told {
  isMainThread: boolean;
  sent: Sent[];
  facts: Record<string, unknown>;
}

/** The headers of a stored message, but for what time and namespace make of them. */
function fieldsOf(headers: MsgHdrs, namespace: string): Record<string, string> {
  const fields = headers.keys().map((name) => [name, headers.get(name).replaceAll(namespace, "")]);
  return Object.fromEntries(fields) as Record<string, string>;
}

function runOf(actor: string, tools: RunTools): Run {
  const names = new Names("test");
  const body = new Uint8Array();
  const facts = { stream: names.tasks, subject: names.taskSubject(actor), count: 1, ackWaitMs: 30_000 };
  return new Run(
    new TestDelivery({ ...facts, storedAtMs: Date.now(), headers: {}, body }),
    {
      actor,
      sender: new SentRecorder(names),
      log: collectLogs().log,
      onProgress: () => undefined,
      tools,
      isTask: () => true,
    },
    performance.now(),
  );
}

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
    expect(declined?.error.stack).toMatch(/isolation.actors\.[jt]s/);
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

  test("leaves to retry.when an error that it knows by its class, and to onDead an instance that was started", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Choosy, Compensating]));
    await system.tell(Choosy, { do: "throw", what: "error" }, { id: "declined" });
    await system.tell(Choosy, { do: "throw", what: "string" }, { id: "other" });
    await system.tell(Compensating, "paid");
    await recorder.until("dead", 3);
    const reasons = recorder.of("dead").map(({ data }) => `${data.actor} ${data.id.slice(0, 8)} ${data.reason}`);
    expect(reasons).toContain("iso.choosy declined terminal");
    expect(reasons).toContain("iso.choosy other exhausted");
    expect(Compensating.compensations).toEqual([{ input: "paid", main: true, error: "Terminal" }]);
  });

  test("whose handler gives what cannot cross is not run again: who asked gets the reason, nobody else needs it", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Plain]));
    await system.tell(Plain, { do: "answer-function" });
    await recorder.until("completed");
    const asked = system.ask(Plain, { do: "answer-function" });
    await expect(asked).rejects.toMatchObject({ code: "TASK_FAILED", reason: "unanswerable" });
    await recorder.until("completed", 2);
    expect(recorder.of("retry")).toEqual([]);
  });

  test("whose ctx.once gives what cannot cross has made its effect, and makes it no second time", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Plain]));
    await system.tell(Plain, { do: "once-function" });
    const [dead] = await recorder.until("dead");
    expect(dead?.data.error).toMatchObject({ code: "UNENCODABLE", message: expect.stringContaining("not run again") });
    expect(recorder.of("retry").length).toBeGreaterThan(0);
    expect(recorder.of("progress").length).toBe(1);
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
    await worker.stop({ grace: 50 });
    await system.work([Soft]);
    expect(await asked).toEqual({ again: 2 });
    expect(recorder.of("interrupted")).toHaveLength(1);
    expect(recorder.of("progress").map(({ data }) => data.value)).toEqual([
      "begun",
      expect.stringContaining("the worker stops"),
    ]);
  });

  test("that is blocked keeps no worker from stopping; its message is put back", async () => {
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

describe("a thread that replaces another and cannot be made ready", () => {
  let folder: string;
  const setMood = (mood: "throw" | "well"): void => writeFileSync(join(folder, "mood"), mood);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "godwit-mood-"));
    process.env[moodVariable] = join(folder, "mood");
    setMood("well");
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  test("since its start() throws, fails no attempt: messages are put back until it is ready", async () => {
    const system = await stage.connect();
    const recorder = record(await system.work([Moody]));
    setMood("throw");
    await system.tell(Moody, { do: "exit", code: 7 });
    await recorder.until("dead");
    const asked = system.ask(Moody, { do: "answer", value: 1 });
    const [deferred] = await recorder.until("deferred");
    expect(deferred?.data).toMatchObject({ reason: "unavailable", delayMs: 1_000 });
    expect(recorder.of("problem")[0]?.data.error).toMatchObject({ code: "ACTOR_START_FAILED" });
    setMood("well");
    expect(await asked).toMatchObject({ value: 1 });
    const [completed] = await recorder.until("completed");
    expect(completed?.data).toMatchObject({ attempt: 1 });
    expect(recorder.of("dead")).toHaveLength(1);
  });
});

describe("the context in a thread", () => {
  test("is the same as without one: facts, log, progress, and children with the same ids, checked and sent as their classes say", async () => {
    const client = await stage.client();
    const run = async (actor: typeof InThread | typeof AtHome, namespace: string) => {
      const names = new Names(namespace);
      const logs = collectLogs();
      const system = await stage.connect({ namespace, log: logs.log });
      const recorder = record(await system.work([actor]));
      const headers = { "X-Tenant": "acme" };
      const told = (await system.ask(actor, 1, { id: "parent", headers })) as Told;
      const stored = async (stream: string, subject: string) => {
        const message = await client.last(stream, subject);
        return message && { body: message.json(), headers: fieldsOf(message.header, namespace) };
      };
      return {
        isMainThread: told.isMainThread,
        told: {
          ...told,
          isMainThread: undefined,
          sent: told.sent.map(({ id, duplicate }) => ({ id, duplicate })),
          facts: { ...told.facts, storedAtMs: typeof told.facts["storedAtMs"] },
        },
        low: await stored(names.tasks, names.taskSubject("iso.child", "low")),
        high: await stored(names.tasks, names.taskSubject("iso.child", "high")),
        pending: await system.result("iso.child", "given"),
        progress: recorder.of("progress").map(({ data }) => data.value),
        logged: logs.lines
          .filter(({ fields }) => fields["id"] === "parent")
          .map(({ level, fields, message }) => ({
            level,
            message,
            fields: { ...fields, odd: "odd" in fields },
          })),
      };
    };
    const inThread = await run(InThread, `${stage.namespace}t`);
    const atHome = await run(AtHome, `${stage.namespace}h`);
    expect([inThread.isMainThread, atHome.isMainThread]).toEqual([false, true]);
    expect({ ...inThread, isMainThread: undefined }).toEqual({ ...atHome, isMainThread: undefined });
    // And not because both are empty.
    expect(inThread).toMatchObject({
      told: {
        refused: "INVALID_MESSAGE",
        header: "acme",
        headers: [["X-Tenant", ["acme"]]],
        facts: { id: "parent", actor: "iso.everything", attempt: 1, deliveries: 1, young: true, aborted: false },
      },
      low: { body: { n: 2 }, headers: { "Content-Type": "application/json" } },
      high: { body: { n: 3 }, headers: { "Godwit-Id": "given" } },
      pending: { state: "pending" },
      progress: [{ percent: 50 }],
      logged: [
        { level: "info", message: "with fields", fields: { actor: "iso.everything", step: 1, odd: true } },
        { level: "warn", message: "from a child", fields: { part: "deep" } },
      ],
    });
    expect(inThread.told.sent).toHaveLength(5);
  });

  test("asks the guards: functions run in the thread, their errors and values stay what they are", async () => {
    const penalties: unknown[] = [];
    const settingsSeen: unknown[] = [];
    const memory = new TestTools();
    const tools: RunTools = {
      breaker: (_run, name, settings) => {
        settingsSeen.push(settings);
        const open = name === "shut";
        return {
          open,
          fire: async (fn, fallback) => {
            if (!open) return fn();
            if (fallback === undefined) throw new Error("the circuit shut is open");
            return fallback();
          },
        };
      },
      rateLimit: (_run, name) => {
        if (name !== "api") throw new ConfigError(`no actor has the limit ${name}`);
        return { penalize: async (delay) => void penalties.push(delay) };
      },
      once: (run, key, fn) => memory.once(run, key, fn),
    };
    const run = runOf("iso.guarded", tools);
    const actor = new IsolatedActor<Run>({
      config: configOf(Guarded),
      instance: new Guarded(),
      startTimeoutMs: 60_000,
      onOverdue: () => undefined,
      onProblem: () => undefined,
    });
    await actor.start();
    try {
      expect(await actor.receive(1 as never, run as never)).toEqual({
        open: false,
        shutIsOpen: true,
        fallback: "instead",
        refused: "the circuit shut is open",
        tried: true,
        read: "read",
        unknownLimit: "INVALID_CONFIG",
        once: [1, 1, 1],
      });
      expect(penalties).toEqual(["30s"]);
      expect(settingsSeen[0]).toEqual({ volume: 3 });
    } finally {
      await actor.stop();
    }
  });
});

test.each([
  ["JavaScript", "actor.mjs", ""],
  ["TypeScript", "actor.ts", "private readonly typed: number = 1"],
])("the built package, in a process of its own, finds %s modules anywhere on disk", async (_what, file, parameter) => {
  const folder = await mkdtemp(join(tmpdir(), "godwit-isolation-"));
  const system = await stage.connect();
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  await writeFile(
    join(folder, file),
    `import { Actor, Snooze } from "godwit";
import { isMainThread } from "node:worker_threads";
export class Far extends Actor {
  static config = { name: "iso.far", isolate: "thread", module: import.meta.url, concurrency: 1, timeLimit: { hard: 1000 }, retry: { attempts: 1 } };
  constructor(${parameter}) { super(); }
  async receive(input, ctx) {
    if (input === "spin") for (;;);
    if (ctx.deliveries === 1) throw new Snooze(1);
    return { isMainThread, deliveries: ctx.deliveries };
  }
}
`,
  );
  const running = new Running(["worker", file, "--servers", stage.url, "--namespace", stage.namespace], {
    cwd: folder,
  });
  try {
    expect(await system.ask("iso.far", 1)).toEqual({ isMainThread: false, deliveries: 2 });
    await expect(system.ask("iso.far", "spin")).rejects.toThrow("hard time limit of 1000 ms");
    running.signal("SIGTERM");
    expect((await running.ended).code).toBe(0);
    expect(running.stderr).not.toContain("Warning");
  } finally {
    running.signal("SIGKILL");
    await running.ended;
    await rm(folder, { recursive: true, force: true });
  }
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

test("what code in a thread posts to its parent does the worker no harm", async () => {
  const system = await stage.connect();
  await system.work([Plain]);
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException").on("uncaughtException", note);
  try {
    for (const message of [null, undefined, "hello", { kind: "godwit.thread-ready" }]) {
      expect(await system.ask(Plain, { do: "post", message })).toEqual({ posted: true });
    }
  } finally {
    process.removeAllListeners("uncaughtException");
    for (const listener of before) process.on("uncaughtException", listener);
  }
  expect(uncaught).toEqual([]);
});
