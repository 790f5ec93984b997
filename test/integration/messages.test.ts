/** Messages: what a sender writes, what a handler is given, and what it may do meanwhile. */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { describe, expect, test } from "vitest";
import { Actor, Terminal, config, event, type Context, type Logger } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";
import { placeLike } from "../support/place.ts";

const stage = useStage();

describe("tell", () => {
  test("resolves to where the message is, once JetStream has it", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const sent = await system.tell("payments.charge", { paymentId: "p1" }, { id: "p1" });
    expect(sent).toEqual({ id: "p1", stream: stage.names.tasks, sequence: 1, duplicate: false });
    const stored = await client.last(stage.names.tasks, `${stage.namespace}.task.normal.payments.charge`);
    expect(stored?.seq).toBe(1);
    expect(stored?.header.get("Godwit-Id")).toBe("p1");
    expect(stored?.header.get("Nats-Msg-Id")).toBe("payments.charge|p1");
    const other = await system.tell("payments.charge", {});
    expect(other.id).not.toBe("p1");
    expect(other).toMatchObject({ sequence: 2, duplicate: false });
  });

  test("the same id again stores nothing and says so", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await system.tell("dup", 1, { id: "same" });
    expect(await system.tell("dup", 2, { id: "same" })).toMatchObject({ id: "same", sequence: 1, duplicate: true });
    expect(await client.count(stage.names.tasks)).toBe(1);
  });

  test("the same id again is a new message once the dedup window has passed", async () => {
    const system = await stage.connect({ limits: { dedupWindow: "1s" } });
    await system.tell("window", 1, { id: "same" });
    expect(await system.tell("window", 1, { id: "same" })).toMatchObject({ duplicate: true });
    await sleep(1_600); // Time itself is what is waited for.
    expect(await system.tell("window", 1, { id: "same" })).toMatchObject({ duplicate: false, sequence: 2 });
  });

  test("carries with MessagePack what JSON cannot, and is readable JSON where that is asked for", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: unknown[] = [];
    const Types = actorOf({ name: "types" }, (input) => void seen.push(input));
    const recorder = record(await system.work([Types]));
    const rich = { at: new Date(1_700_000_000_123), bytes: new Uint8Array([0, 255]), big: 2n ** 63n, text: "ünï✓" };
    await system.tell(Types, rich);
    await recorder.until("completed", 1);
    expect(seen[0]).toMatchObject({ at: rich.at, big: rich.big, text: rich.text });
    expect(Uint8Array.from((seen[0] as typeof rich).bytes)).toEqual(rich.bytes);
    await system.tell(Types, { n: [1, null, "x"] }, { codec: "json" });
    await recorder.until("completed", 2);
    expect(seen[1]).toEqual({ n: [1, null, "x"] });
    await system.tell("nobody", { n: 1 }, { codec: "json" });
    const stored = await client.last(stage.names.tasks, stage.names.taskSubject("nobody"));
    expect(stored?.string()).toBe('{"n":1}');
    expect(stored?.header.get("Content-Type")).toBe("application/json");
  });

  test("the codec is the message's, else the actor's, else the system's", async () => {
    const system = await stage.connect({ codec: "json" });
    const client = await stage.client();
    const Packed = actorOf({ name: "packed", codec: "msgpack" }, () => {});
    const typeOf = async (name: string): Promise<string | undefined> =>
      (await client.last(stage.names.tasks, stage.names.taskSubject(name)))?.header.get("Content-Type");
    await system.tell("plain", {});
    expect(await typeOf("plain")).toBe("application/json");
    await system.tell(Packed, {});
    expect(await typeOf("packed")).toBe("application/msgpack");
    await system.tell(Packed, {}, { codec: "json" });
    expect(await typeOf("packed")).toBe("application/json");
  });

  test("from a plain client with no headers at all works, with its place as its id", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: unknown[] = [];
    const Charge = actorOf({ name: "payments.charge", input: z.object({ amount: z.number() }) }, (input, ctx) => {
      seen.push([ctx.id, input, ctx.headers.entries()]);
    });
    const recorder = record(await system.work([Charge]));
    client.nc.publish(`${stage.namespace}.task.normal.payments.charge`, '{"amount":10}');
    await recorder.until("completed");
    expect(seen).toEqual([[placeLike(stage.names.tasks, 1), { amount: 10 }, []]]);
  });

  test("from a plain client with an id that nothing else could carry gets its place too", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: string[] = [];
    const Any = actorOf({ name: "any" }, (_input, ctx) => void seen.push(ctx.id));
    const recorder = record(await system.work([Any]));
    await client.publish(stage.names.taskSubject("any"), "1", { "Godwit-Id": "x".repeat(129) });
    await client.publish(stage.names.taskSubject("any"), "1", { "Godwit-Id": "" });
    await recorder.until("completed", 2);
    expect(seen.toSorted()).toEqual([placeLike(stage.names.tasks, 1), placeLike(stage.names.tasks, 2)]);
  });

  test("to an actor that no worker has ever served warns once, and waits for one", async () => {
    const warnings: object[] = [];
    const log: Logger = {
      debug: () => {},
      info: () => {},
      warn: (fields: object | string) => void warnings.push(Object(fields) as object),
      error: () => {},
      child: () => log,
    };
    const system = await stage.connect({ log });
    const Known = actorOf({ name: "known" }, () => {});
    const worker = await system.work([Known]);
    const recorder = record(worker);
    await system.tell("unknwon", 1);
    await system.tell("unknwon", 2);
    await system.tell("known", 1);
    await recorder.until("completed");
    await system.tell("third", 1);
    await expect.poll(() => warnings.length, patient).toBe(2);
    expect(warnings).toMatchObject([{ actor: "unknwon" }, { actor: "third" }]);
  });
});

describe("a schema", () => {
  const Charge = z.object({ amount: z.number().positive(), currency: z.string().default("EUR") });

  test("refuses on the sending side, before anything is sent", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Strict = actorOf({ name: "strict", input: Charge }, () => {});
    await expect(system.tell(Strict, { amount: -1 })).rejects.toMatchObject({
      code: "INVALID_MESSAGE",
      message: expect.stringMatching(/^The message for strict does not fit its schema: amount: .+\.$/),
    });
    expect(await client.lastSequence(stage.names.tasks)).toBe(0);
  });

  test("gives receive its output: defaults and transforms applied, once", async () => {
    const seen: unknown[] = [];
    const Doubling = z.object({ n: z.number().transform((n) => n * 2), unit: z.string().default("m") });
    class Typed extends Actor<z.output<typeof Doubling>> {
      static override readonly config = config({ name: "typed", input: Doubling });
      override async receive(input: z.output<typeof Doubling>): Promise<void> {
        seen.push(input);
      }
    }
    const system = await stage.connect();
    const recorder = record(await system.work([Typed]));
    await system.tell(Typed, { n: 21 });
    await recorder.until("completed");
    expect(seen).toEqual([{ n: 42, unit: "m" }]);
  });

  test("may be asynchronous, on both sides", async () => {
    const seen: unknown[] = [];
    const known = z.string().refine(async (name) => {
      await sleep(1);
      return name !== "nobody";
    }, "is not known");
    const Async = actorOf({ name: "async", input: z.object({ user: known }) }, (input) => void seen.push(input));
    const system = await stage.connect();
    const recorder = record(await system.work([Async]));
    await expect(system.tell(Async, { user: "nobody" })).rejects.toMatchObject({
      code: "INVALID_MESSAGE",
      message: expect.stringContaining("user: is not known"),
    });
    await system.tell(Async, { user: "ann" });
    await recorder.until("completed");
    expect(seen).toEqual([{ user: "ann" }]);
    await system.tell("async", { user: "nobody" });
    const [dead] = await recorder.until("dead");
    expect(dead?.data.reason).toBe("invalid");
  });

  test("that throws makes the message invalid and not the worker", async () => {
    const Throwing = z.unknown().transform(() => {
      throw new Error("a bug in the schema");
    });
    const system = await stage.connect();
    const Buggy = actorOf({ name: "buggy", input: Throwing }, () => {});
    const recorder = record(await system.work([Buggy]));
    await system.tell("buggy", {});
    const [dead] = await recorder.until("dead");
    expect(dead?.data).toMatchObject({ reason: "invalid", error: { message: "a bug in the schema" } });
  });
});

describe("a handler", () => {
  test("is told what it needs to know of its message", async () => {
    const seen: Context[] = [];
    const Curious = actorOf({ name: "curious" }, (_input, ctx) => void seen.push(ctx));
    const system = await stage.connect();
    const recorder = record(await system.work([Curious]));
    const beforeMs = Date.now();
    await system.tell(Curious, {}, { id: "c", headers: { "X-Tenant": "acme", traceparent: "00-aa-bb-01" } });
    await recorder.until("completed");
    const [ctx] = seen;
    expect(ctx).toMatchObject({ id: "c", actor: "curious", attempt: 1, deliveries: 1 });
    expect(ctx?.signal.aborted).toBe(false);
    expect(ctx?.headers.get("X-Tenant")).toBe("acme");
    expect(ctx?.headers.get("x-none")).toBeUndefined();
    expect(ctx?.storedAtMs).toBeGreaterThanOrEqual(beforeMs - 1_000);
    expect(ctx?.storedAtMs).toBeLessThanOrEqual(Date.now() + 1_000);
  });

  test("logs with its actor, id and attempt", async () => {
    const lines: object[] = [];
    const log = (fields: object): Logger => ({
      debug: () => {},
      info: (text: object | string) => void lines.push({ ...fields, text }),
      warn: () => {},
      error: () => {},
      child: (more) => log({ ...fields, ...more }),
    });
    const Logging = actorOf({ name: "logging", retry: { base: 1 } }, (_input, ctx) => {
      ctx.log.info("hello");
      if (ctx.attempt === 1) throw new Error("again");
    });
    const system = await stage.connect({ log: log({}) });
    const recorder = record(await system.work([Logging]));
    await system.tell(Logging, {}, { id: "l" });
    await recorder.until("completed");
    expect(lines).toEqual([
      { actor: "logging", id: "l", attempt: 1, text: "hello" },
      { actor: "logging", id: "l", attempt: 2, text: "hello" },
    ]);
  });

  test("tells how far it is", async () => {
    const Slow = actorOf({ name: "slow" }, (_input, ctx) => {
      for (const percent of [10, 50]) ctx.progress({ percent });
    });
    const system = await stage.connect();
    const recorder = record(await system.work([Slow]));
    await system.tell(Slow, {}, { id: "p" });
    await recorder.until("completed");
    expect(recorder.of("progress").map(({ data }) => data)).toMatchObject([
      { actor: "slow", id: "p", attempt: 1, value: { percent: 10 } },
      { actor: "slow", id: "p", attempt: 1, value: { percent: 50 } },
    ]);
  });

  test("is told by its signal when the soft time limit has passed, and may still finish", async () => {
    const limitMs = 100;
    const seen: unknown[] = [];
    const Limited = actorOf(
      { name: "limited", timeLimit: { soft: limitMs }, retry: { attempts: 1 } },
      async (mode, ctx) => {
        const startMs = performance.now();
        await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve()));
        seen.push(performance.now() - startMs);
        if (mode === "give up") throw ctx.signal.reason;
      },
    );
    const system = await stage.connect();
    const recorder = record(await system.work([Limited]));
    await system.tell(Limited, "finish");
    await recorder.until("completed");
    await system.tell(Limited, "give up");
    const [dead] = await recorder.until("dead");
    expect(dead?.data.error.message).toContain("soft time limit of 100 ms");
    for (const ms of seen) expect(ms).toBeGreaterThanOrEqual(limitMs - 2);
  });

  test("within its soft time limit is not aborted, and neither is one that asks for its signal late", async () => {
    const signals: AbortSignal[] = [];
    const Limited = actorOf({ name: "quick", timeLimit: { soft: 60 } }, async (mode, ctx) => {
      if (mode === "late") {
        await sleep(120);
        signals.push(ctx.signal);
      } else signals.push(ctx.signal);
    });
    const system = await stage.connect();
    const recorder = record(await system.work([Limited]));
    await system.tell(Limited, "at once");
    await recorder.until("completed", 1);
    await sleep(120);
    expect(signals[0]?.aborted, "the timer ended with the run").toBe(false);
    await system.tell(Limited, "late");
    await recorder.until("completed", 2);
    expect(signals[1]?.aborted, "what is asked for late is aborted already").toBe(true);
  });

  test("may run for longer than ack-wait, and its message runs once", async () => {
    const runs: number[] = [];
    const Long = actorOf({ name: "long", ackWait: "1s" }, async (_input, ctx) => {
      runs.push(ctx.deliveries);
      await sleep(2_600);
    });
    const system = await stage.connect();
    const recorder = record(await system.work([Long]));
    await system.tell(Long, {});
    const [completed] = await recorder.until("completed");
    expect(completed?.data.ms).toBeGreaterThanOrEqual(2_590);
    expect(runs).toEqual([1]);
    expect(recorder.of("lost")).toEqual([]);
  });
});

describe("what a handler sends", () => {
  const Placed = event("orders.placed", z.object({ n: z.number() }));

  test("has ids that follow from its own, so that a repeat sends nothing twice, and carries the trace", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const sent: { id: string; duplicate: boolean }[][] = [];
    const Child = actorOf({ name: "child" }, () => {});
    const Parent = actorOf({ name: "parent", retry: { attempts: 3, base: 1, max: 1 } }, async (_input, ctx) => {
      sent.push([
        await ctx.tell(Child, { n: 1 }),
        await ctx.tell("child", { n: 2 }),
        await ctx.tell("child", { n: 3 }, { delay: "1h" }),
        await ctx.publish(Placed, { n: 1 }),
        await ctx.publish("orders.placed", { n: 2 }),
        await ctx.tell("child", { n: 4 }, { id: "mine", headers: { tracestate: "own=1" } }),
      ]);
      if (ctx.attempt < 3) throw new Error("again");
    });
    const recorder = record(await system.work([Parent]));
    const trace = { traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", tracestate: "a=b" };
    await system.tell(Parent, {}, { id: "p", headers: { ...trace, "X-Tenant": "acme" } });
    await recorder.until("completed");
    expect(sent).toHaveLength(3);
    const ids = sent.map((run) => run.map(({ id }) => id));
    expect(ids[1]).toEqual(ids[0]);
    expect(ids[2]).toEqual(ids[0]);
    expect(new Set(ids[0]).size, "children differ from one another").toBe(6);
    expect(sent.map((run) => run.map(({ duplicate }) => duplicate))).toEqual([
      [false, false, false, false, false, false],
      [true, true, true, true, true, true],
      [true, true, true, true, true, true],
    ]);
    expect(await client.count(stage.names.tasks)).toBe(3);
    expect(await client.count(stage.names.schedule)).toBe(1);
    expect(await client.count(stage.names.events)).toBe(2);
    for (const [stream, subject] of [
      [stage.names.events, stage.names.eventSubject("orders.placed")],
      [stage.names.schedule, `${stage.namespace}.schedule.>`],
    ] as const) {
      const stored = await client.last(stream, subject);
      expect(stored?.header.get("traceparent")).toBe(trace.traceparent);
      expect(stored?.header.get("tracestate")).toBe("a=b");
      expect(stored?.header.get("X-Tenant"), "other headers stay with their message").toBe("");
    }
    const own = await client.last(stage.names.tasks, stage.names.taskSubject("child"));
    expect(own?.header.get("Godwit-Id")).toBe("mine");
    expect(own?.header.get("traceparent")).toBe(trace.traceparent);
    expect(own?.header.get("tracestate"), "what the handler says wins").toBe("own=1");
  });

  test("differs between two parents, and between two actors that hear the same event", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const parent = (name: string) =>
      actorOf({ name, subscribe: ["orders.placed"] }, async (_input, ctx) => void (await ctx.tell("child", name)));
    const recorder = record(await system.work([parent("one"), parent("two")]));
    await system.publish("orders.placed", {}, { id: "same" });
    await recorder.until("completed", 2);
    await system.tell("one", {}, { id: "a" });
    await system.tell("one", {}, { id: "b" });
    await recorder.until("completed", 4);
    expect(await client.count(stage.names.tasks)).toBe(4);
  });

  test("is checked like anything else", async () => {
    const system = await stage.connect();
    const Parent = actorOf({ name: "careless" }, async (_input, ctx) => {
      await ctx.publish(Placed, { n: "x" } as never).catch((error: unknown) => {
        throw new Terminal("bad child", { cause: error });
      });
    });
    const recorder = record(await system.work([Parent]));
    await system.tell(Parent, {});
    await recorder.until("dead");
    expect((await onlyDead(system)).error.message).toMatch(/^bad child: The event orders\.placed .*INVALID_MESSAGE/);
  });
});

test("a message that came while the worker stops is put back, and another worker completes it", async () => {
  const system = await stage.connect();
  const runs: string[] = [];
  const { opened, open } = gate();
  const First = actorOf({ name: "turn" }, async (_input, ctx) => {
    runs.push(`first ${ctx.attempt}`);
    await opened;
  });
  const Second = actorOf({ name: "turn" }, (_input, ctx) => void runs.push(`second ${ctx.attempt}`));
  const first = await system.work([First]);
  const before = record(first);
  await system.tell("turn", {});
  await before.until("started");
  await first.stop({ grace: "100ms" });
  expect(before.of("interrupted")).toHaveLength(1);
  const after = record(await system.work([Second]));
  await after.until("completed");
  expect(runs, "an interruption counts no attempt").toEqual(["first 1", "second 1"]);
  open();
});
