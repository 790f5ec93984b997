/** ask: a task whose sender waits for what its handler returns, and what becomes of both when the answer is late. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Terminal } from "../../src/index.ts";
import { encode } from "../../src/message/codec.ts";
import { actorOf, gate } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { spyOn } from "../support/spy.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage({ maxPayloadBytes: 64 * 1_024 });

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** An actor that keeps its result, and whose handler waits for `open`. */
function slowActor() {
  const { opened, open } = gate();
  const Slow = actorOf({ name: "slow", result: { ttl: "1m" } }, async () => {
    await opened;
    return "done";
  });
  return { Slow, open };
}

describe("ask", () => {
  test("answers with what receive returned, to each its own, by class and by name", async () => {
    const system = await stage.connect();
    const other = await stage.connect();
    const Double = actorOf<number, { twice: number; at: Date }>({ name: "double", concurrency: 50 }, (n) => ({
      twice: 2 * n,
      at: new Date(n),
    }));
    await system.work([Double]);
    const answers = await Promise.all(upTo(300).map((n) => (n % 2 ? system : other).ask(Double, n)));
    expect(answers).toEqual(upTo(300).map((n) => ({ twice: 2 * n, at: new Date(n) })));
    expect(await other.ask("double", 7)).toEqual({ twice: 14, at: new Date(7) });
  });

  test("answers nothing with undefined or null", async () => {
    const system = await stage.connect();
    const Void = actorOf({ name: "void" }, () => {});
    await system.work([Void]);
    expect(await system.ask(Void, 1)).toBeNull();
  });

  test("waits for a task that is retried", async () => {
    const system = await stage.connect();
    const Flaky = actorOf({ name: "flaky", retry: { base: 1, max: 5 } }, (_input, ctx) => {
      if (ctx.attempt < 3) throw new Error("not yet");
      return ctx.attempt;
    });
    await system.work([Flaky]);
    expect(await system.ask(Flaky, {})).toBe(3);
  });

  test("waits for a worker that comes later, and for a delay", async () => {
    const system = await stage.connect();
    const Late = actorOf({ name: "late" }, (input) => input);
    const asking = system.ask(Late, "x");
    const delayed = system.ask(Late, "y", { delay: 100 });
    await system.work([Late]);
    expect(await Promise.all([asking, delayed])).toEqual(["x", "y"]);
  });

  test("of a plain client is answered on the reply subject that it names", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Echo = actorOf({ name: "echo" }, (input) => input);
    await system.work([Echo]);
    const answers = client.nc.subscribe(`${stage.namespace}.reply.me.1`, { max: 1 });
    await client.publish(stage.names.taskSubject("echo"), '{"n":1}', { "Godwit-Reply": "me.1" });
    for await (const answer of answers) {
      expect(answer.headers?.get("Godwit-Outcome")).toBe("completed");
      expect(Buffer.from(answer.data)).toEqual(encode({ n: 1 }, "msgpack"));
    }
  });

  test("refuses options that it does not have, and names them", async () => {
    const system = await stage.connect();
    await expect(system.ask("x", 1, { timout: 1 } as never)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining('"timout"'),
    });
    await expect(system.ask("x", 1, { timeout: "soon" as never })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(system.ask("x", 1, { id: " " })).rejects.toMatchObject({ code: "INVALID_NAME" });
  });
});

describe("an ask that is not answered in time", () => {
  test("says so with the id, and its task expires: it is dead and does not run", async () => {
    const system = await stage.connect();
    let runs = 0;
    const Late = actorOf({ name: "late" }, () => void (runs += 1));
    const startMs = performance.now();
    const given = await system.ask(Late, {}, { id: "mine", timeout: 200 }).catch((error: unknown) => error);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(199);
    expect(given).toMatchObject({
      name: "AskTimeoutError",
      code: "ASK_TIMEOUT",
      id: "mine",
      message: expect.stringMatching(
        /^late did not answer within 200 ms; the task mine goes on if it has begun, else it waits for a worker until it expires: ask 'godwit explain' for it by its id\.$/,
      ),
    });
    const made = (await system.ask(Late, {}, { timeout: 50 }).catch((error: unknown) => error)) as { id: string };
    expect(made.id).toMatch(/^\S{10,}$/);
    const recorder = record(await system.work([Late]));
    const dead = await recorder.until("dead", 2);
    expect(dead.map(({ data }) => data.reason)).toEqual(["expired", "expired"]);
    expect((await listDead(system)).map(({ id }) => id)).toEqual(["mine", made.id]);
    expect(runs).toBe(0);
  });

  test("leaves a task that has begun to its end, and says where to ask for it", async () => {
    const system = await stage.connect();
    const { Slow, open } = slowActor();
    const recorder = record(await system.work([Slow]));
    const options = { id: "mine", timeout: 200, expiresIn: "1h" } as const;
    const asked = system.ask(Slow, {}, options).catch((error: unknown) => error);
    await recorder.until("started");
    expect(await asked).toMatchObject({
      code: "ASK_TIMEOUT",
      message: expect.stringMatching(
        /^slow did not answer within 200 ms; the task mine goes on if it has begun, .*: ask result\(\) or 'godwit explain' for it by its id\.$/,
      ),
    });
    open();
    expect(await system.result(Slow, "mine", { wait: "20s" })).toEqual({ state: "completed", value: "done" });
  });

  test("leaves a task that has its own expiry to it", async () => {
    const system = await stage.connect();
    const ran: string[] = [];
    const Own = actorOf({ name: "own", expiresIn: "1h" }, (_input, ctx) => void ran.push(ctx.id));
    const Plain = actorOf({ name: "plain" }, (_input, ctx) => void ran.push(ctx.id));
    await expect(system.ask(Own, {}, { id: "a", timeout: 30 })).rejects.toMatchObject({ code: "ASK_TIMEOUT" });
    await expect(system.ask(Plain, {}, { id: "b", timeout: 30, expiresIn: "1h" })).rejects.toMatchObject({ id: "b" });
    const recorder = record(await system.work([Own, Plain]));
    await recorder.until("completed", 2);
    expect(ran.toSorted()).toEqual(["a", "b"]);
  });

  test("by a server that does not even confirm it is over in time too, with the id", async () => {
    const system = await stage.connect();
    process.kill(stage.pid, "SIGSTOP");
    try {
      const startMs = performance.now();
      await expect(system.ask("nobody", {}, { id: "lost", timeout: 300 })).rejects.toMatchObject({
        code: "ASK_TIMEOUT",
        id: "lost",
      });
      expect(performance.now() - startMs).toBeLessThan(3_000);
    } finally {
      process.kill(stage.pid, "SIGCONT");
    }
  });

  test("because the system closes is told so, and that its task goes on", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const asking = system.ask("nobody", {}, { timeout: "1h" });
    const outcome = asking.catch((error: unknown) => error);
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(1);
    await system.close({ grace: 200 });
    expect(await outcome).toMatchObject({
      code: "ASK_TIMEOUT",
      message: expect.stringContaining("was closed before nobody answered; the task ") as string,
    });
  });
});

describe("an asked task that becomes a dead letter", () => {
  test("answers at once with the reason and the error", async () => {
    const system = await stage.connect();
    const Declining = actorOf({ name: "declining" }, () => {
      throw new Terminal("the card was declined");
    });
    await system.work([Declining]);
    await expect(system.ask(Declining, {}, { id: "d" })).rejects.toMatchObject({
      name: "TaskFailedError",
      code: "TASK_FAILED",
      id: "d",
      reason: "terminal",
      message: "The task d became a dead letter (terminal): the card was declined",
      cause: { name: "Terminal", message: "the card was declined" },
    });
  });

  test("names its own id, however fast the answer is", async () => {
    const system = await stage.connect();
    const Fast = actorOf({ name: "fast", concurrency: 50, result: { ttl: "1m" } }, () => {
      throw new Terminal("no");
    });
    await system.work([Fast]);
    const ids = upTo(100).map((n) => `id ${n}`);
    const errors = await Promise.all(ids.map((id) => system.ask(Fast, {}, { id }).catch((error: unknown) => error)));
    expect(errors.map((error) => (error as { id: string }).id)).toEqual(ids);
    const made = await system.ask(Fast, {}).catch((error: unknown) => error);
    expect(made).toMatchObject({ id: expect.stringMatching(/^\S{10,}$/) });
  });

  test("because its body does not fit answers too", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Echo = actorOf({ name: "echo" }, (input) => input);
    const recorder = record(await system.work([Echo]));
    const answers = client.nc.subscribe(`${stage.namespace}.reply.me.2`, { max: 1 });
    await client.publish(stage.names.taskSubject("echo"), "{", { "Godwit-Reply": "me.2" });
    for await (const answer of answers) expect(answer.headers?.get("Godwit-Outcome")).toBe("failed");
    await recorder.until("dead");
    expect(await onlyDead(system)).toMatchObject({ reason: "undecodable" });
  });
});

describe("an ask whose id was sent before", () => {
  test("is answered from the stored result, also by another system, and the task does not run again", async () => {
    const system = await stage.connect();
    const other = await stage.connect();
    let runs = 0;
    const Counting = actorOf({ name: "counting", result: { ttl: "1m" } }, () => ({ run: (runs += 1) }));
    await system.work([Counting]);
    expect(await system.ask(Counting, {}, { id: "same" })).toEqual({ run: 1 });
    expect(await system.ask(Counting, {}, { id: "same" })).toEqual({ run: 1 });
    expect(await other.ask("counting", {}, { id: "same" })).toEqual({ run: 1 });
    expect(runs).toBe(1);
  });

  test("is answered with the stored failure", async () => {
    const system = await stage.connect();
    const Failing = actorOf({ name: "failing", result: { ttl: "1m" } }, () => {
      throw new Terminal("no");
    });
    await system.work([Failing]);
    const wanted = { code: "TASK_FAILED", id: "same", reason: "terminal" };
    await expect(system.ask(Failing, {}, { id: "same" })).rejects.toMatchObject(wanted);
    await expect(system.ask(Failing, {}, { id: "same" })).rejects.toMatchObject(wanted);
  });

  test("and whose task is still under way waits for its result, and no longer than its timeout", async () => {
    const system = await stage.connect();
    const { Slow, open } = slowActor();
    const recorder = record(await system.work([Slow]));
    const first = system.ask(Slow, {}, { id: "same" });
    await recorder.until("started");
    await expect.poll(() => system.result(Slow, "same"), patient).toEqual({ state: "pending" });
    await expect(system.ask(Slow, {}, { id: "same", timeout: 100 })).rejects.toMatchObject({
      code: "ASK_TIMEOUT",
      id: "same",
    });
    const second = system.ask(Slow, {}, { id: "same" });
    const third = system.ask("slow", {}, { id: "same" });
    await sleep(50); // So that they are likely to be waiting; they must be answered either way.
    open();
    expect(await Promise.all([first, second, third])).toEqual(["done", "done", "done"]);
  });

  test("is a DuplicateError where no result is stored, and says so at once", async () => {
    const system = await stage.connect();
    const Forget = actorOf({ name: "forget" }, () => "once");
    await system.work([Forget]);
    expect(await system.ask(Forget, {}, { id: "same" })).toBe("once");
    const startMs = performance.now();
    for (const actor of [Forget, "forget"] as const) {
      await expect(system.ask(actor as string, {}, { id: "same", timeout: "20s" })).rejects.toMatchObject({
        name: "DuplicateError",
        code: "DUPLICATE",
        id: "same",
        message: expect.stringMatching(
          /^A task with id "same" was sent to forget before and no result of it is stored;/,
        ),
      });
    }
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

describe("an answer that cannot travel", () => {
  test.each([
    ["too large", "x".repeat(100_000)],
    ["unencodable", { f: () => 1 }],
  ])("because it is %s is an error for the asker, and the task has completed", async (_what, value) => {
    const system = await stage.connect();
    const client = await stage.client();
    let runs = 0;
    const answering = (name: string, more: object) =>
      actorOf({ name, ...more }, () => {
        runs += 1;
        return value;
      });
    const Forgetting = answering("forgetting", {});
    const Keeping = answering("keeping", { result: { ttl: "1m" } });
    const recorder = record(await system.work([Forgetting, Keeping]));
    for (const actor of [Forgetting, Keeping, Keeping]) {
      await expect(system.ask(actor, {}, { id: "big" })).rejects.toMatchObject({
        code: "TASK_FAILED",
        id: "big",
        reason: "unanswerable",
        message: expect.stringMatching(/^The task big completed, but its answer cannot be sent: /),
      });
    }
    await recorder.until("completed", 2);
    expect(runs).toBe(2);
    expect(await client.count(stage.names.dead)).toBe(0);
    expect(await client.count(stage.names.tasks)).toBe(0);
    expect(client.nc.isClosed()).toBe(false);
  });
});

test("a reply address planted in a header cannot aim a worker at another subject", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const Echo = actorOf({ name: "echo" }, (input) => {
    if (input === "fail") throw new Terminal("no");
    return input;
  });
  const recorder = record(await system.work([Echo]));
  const spy = await spyOn(client, ">");
  const planted = [
    "some.other.subject",
    "a.b.c",
    ">",
    "*",
    "a.*",
    "a.>",
    "*.1",
    "a b",
    "a b.1",
    "a",
    ".",
    "..",
    "a.",
    ".1",
    "a..1",
    "orders.placed.now",
    "ü.1",
    "a.ü",
    `${"a".repeat(65)}.1`,
    `a.${"1".repeat(17)}`,
    `../${stage.namespace}.task.normal.echo`,
    "$JS.API.STREAM.DELETE.x",
    "",
  ];
  for (const reply of planted) {
    for (const body of ['"x"', '"fail"', "{"]) {
      await client.publish(stage.names.taskSubject("echo"), body, { "Godwit-Reply": reply });
    }
  }
  await client.publish(stage.names.taskSubject("echo"), '"x"', { "Godwit-Reply": "honest.1" });
  await recorder.until("completed", planted.length + 1);
  await recorder.until("dead", 2 * planted.length);
  const ns = stage.namespace;
  const own = [`${ns}.task.normal.echo`, `${ns}.dead.echo.`, "$JS.", "_INBOX.", "$KV.", `$O.${ns}_`];
  const others = (await spy.subjects()).filter((subject) => !own.some((prefix) => subject.startsWith(prefix)));
  expect(others).toEqual([`${ns}.reply.honest.1`]);
});
