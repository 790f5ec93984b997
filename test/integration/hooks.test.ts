/** Hooks of users that never end: each has its bound and is named in the log, and the worker goes on. */
import { expect, test, vi } from "vitest";
import { event } from "../../src/index.ts";
import { defaultPayload } from "../../src/message/limits.ts";
import { Names } from "../../src/message/subjects.ts";
import { Producer } from "../../src/producer/producer.ts";
import { actorOf } from "../support/actors.ts";
import { NeverReady, NeverStops } from "../support/isolation/never-ready.ts";
import { collectLogs, type LogLine } from "../support/logs.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

const never = (): Promise<never> => new Promise(() => undefined);
/** What a call is refused with. */
const ending = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
const errorsOf = (lines: LogLine[], text: string): LogLine[] =>
  lines.filter(({ level, message }) => level === "error" && message.includes(text));

test("a stop() that never ends has the grace, is named in the log, and the others are stopped all the same", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const stopped: string[] = [];
  const First = actorOf({ name: "first" }, () => undefined, { stop: () => void stopped.push("first") });
  const Hung = actorOf({ name: "hung" }, () => undefined, { stop: never });
  const Last = actorOf({ name: "last" }, () => undefined, { stop: () => void stopped.push("last") });
  const worker = await system.work([First, Hung, Last, NeverStops]);
  const beganMs = performance.now();
  await worker.stop({ grace: "1s" });
  expect(performance.now() - beganMs).toBeLessThan(5_000);
  expect(worker.state).toBe("stopped");
  expect(stopped).toEqual(["last", "first"]);
  expect(errorsOf(lines, "stop() has not ended").map(({ fields }) => fields["actor"])).toEqual([
    "iso.never-stops",
    "hung",
  ]);
  await system.close();
});

test("a start() that never ends fails work() after startTimeout, in a thread too, and the error names it", async () => {
  const system = await stage.connect();
  const Hung = actorOf({ name: "hung" }, () => undefined, { start: never });
  await expect(system.work([Hung], { startTimeout: "300ms" })).rejects.toMatchObject({
    code: "ACTOR_START_FAILED",
    actor: "hung",
    message: expect.stringContaining("did not end within 300 ms"),
  });
  await expect(system.work([NeverReady], { startTimeout: "300ms" })).rejects.toMatchObject({
    code: "ACTOR_START_FAILED",
    actor: "iso.never-ready",
  });
});

test("an onDead that never ends has 5 s where no other handler is free, then its message ends and the next one runs", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const Dying = actorOf(
    { name: "dying", concurrency: 1, retry: { attempts: 1 } },
    () => Promise.reject(new Error("no")),
    {
      onDead: never,
    },
  );
  const worker = await system.work([Dying]);
  const seen = record(worker);
  await system.tell(Dying, 1, { id: "a" });
  await system.tell(Dying, 2, { id: "b" });
  const [first] = await seen.until("dead");
  const [begun] = seen.of("started");
  expect(Number(first?.atMs) - Number(begun?.atMs)).toBeGreaterThan(4_900);
  await seen.until("started", 2, 3_000);
  expect(errorsOf(lines, "onDead has not ended")[0]?.fields).toMatchObject({ actor: "dying", id: "a" });
});

test("an onDead that nobody waits behind has the hard time limit", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const Dying = actorOf(
    { name: "dying", concurrency: 2, retry: { attempts: 1 }, timeLimit: { hard: "400ms" } },
    () => Promise.reject(new Error("no")),
    { onDead: never },
  );
  const worker = await system.work([Dying]);
  await system.tell(Dying, 1);
  await record(worker).until("dead", 1, 3_000);
  expect(errorsOf(lines, "onDead has not ended")).toHaveLength(1);
});

test("a schema and a mapping that never end fail the attempt at the hard limit, and the message dies of it", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  let ran = 0;
  const input = { "~standard": { version: 1, vendor: "test", validate: never } } as const;
  const retry = { attempts: 2, base: 1, max: 1 };
  const Checked = actorOf({ name: "checked", input, retry, timeLimit: { hard: "300ms" } }, () => void ran++);
  const worker = await system.work([Checked]);
  const seen = record(worker);
  await system.tell("checked", 1);
  const [dead] = await seen.until("dead");
  expect(dead?.data).toMatchObject({ reason: "exhausted", error: { code: "TIME_LIMIT" }, deliveries: 2 });
  expect(ran).toBe(0);
  expect(
    lines.some(({ message, fields }) => message === "problem" && String(fields["error"]).includes("checked")),
  ).toBe(true);
});

test("the fallback of a breaker is under the hard time limit", async () => {
  const system = await stage.connect();
  const Guarded = actorOf(
    {
      name: "guarded",
      timeLimit: { hard: "300ms", abandonAfter: "1500ms" },
      retry: { attempts: 1 },
      breaker: { name: "api", errorThreshold: 0.1, volume: 1, resetAfter: "30s", fallback: never },
    },
    () => Promise.reject(new Error("down")),
  );
  const worker = await system.work([Guarded]);
  const seen = record(worker);
  await system.tell(Guarded, 1);
  await seen.until("dead");
  await system.tell(Guarded, 2);
  const dead = await seen.until("dead", 2);
  expect(dead[1]?.data).toMatchObject({ error: { code: "TIME_LIMIT" } });
});

test("a function that should answer at once and gives a promise that rejects ends no process, and its message is retried", async () => {
  const system = await stage.connect();
  const rejected = (): never => Promise.reject(new Error("asynchronous")) as never;
  const Failing = actorOf(
    { name: "failing", retry: { attempts: 2, base: 1, max: 1, when: rejected, backoff: rejected } },
    () => Promise.reject(new Error("no")),
  );
  const Keyed = actorOf(
    {
      name: "keyed",
      concurrencyLimit: { name: "keyed", limit: 1, key: rejected },
      breaker: { name: "b", when: rejected },
    },
    () => undefined,
  );
  const worker = await system.work([Failing, Keyed]);
  const seen = record(worker);
  await system.tell(Failing, 1);
  await system.tell(Keyed, 1);
  const dead = await seen.until("dead", 2);
  expect(Object.fromEntries(dead.map(({ data }) => [data.actor, data.reason]))).toEqual({
    failing: "exhausted",
    keyed: "invalid",
  });
});

test("a sender's schema that never ends is given up with the end of its system, and nothing was sent", async () => {
  const system = await stage.connect();
  const input = { "~standard": { version: 1, vendor: "test", validate: never } } as const;
  const Checked = actorOf({ name: "checked", input }, () => undefined);
  const told = ending(system.tell(Checked, 1));
  const published = ending(system.publish(event("happened", input), 1));
  const many = system.tellMany(Checked, [1, 2]);
  await system.close({ grace: "200ms" });
  expect([await told, await published]).toMatchObject([{ code: "CLOSED" }, { code: "CLOSED" }]);
  expect(await many).toMatchObject({
    accepted: 0,
    failures: [{ error: { code: "CLOSED" } }, { error: { code: "CLOSED" } }],
  });
});

test("one that never ends while its system goes on is given up too, and named", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const producer = new Producer({
      names: new Names("any"),
      defaults: { codec: "msgpack", payload: defaultPayload, nowMs: Date.now },
    } as never);
    const input = { "~standard": { version: 1, vendor: "test", validate: never } } as const;
    const told = ending(
      producer.tell(
        actorOf({ name: "checked", input }, () => undefined),
        1,
      ),
    );
    await vi.advanceTimersByTimeAsync(30_001);
    expect(await told).toMatchObject({
      code: "INVALID_MESSAGE",
      message: expect.stringContaining("The schema of the message for checked did not end within 30000 ms"),
    });
  } finally {
    vi.useRealTimers();
  }
});
