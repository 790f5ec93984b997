/** The kit that users test their actors with: what it says is what a worker does, and it leaves nothing behind. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Actor, ActorSystem, Snooze, config, type Context } from "godwit";
import { runActor, runActorOnEvent, testServer, testSystem, waitFor, type RunOutcome } from "godwit/testing";
import { afterAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { readInfo } from "../../src/broker/embedded/info.ts";
import {
  ChargePayment,
  OrderPlaced,
  SendReceipt,
  simulatedApi,
  type Charge,
  type PaymentsApi,
} from "../support/testing/charge-payment.ts";
import { actorOf } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";

const run = promisify(execFile);
const script = (name: string): string =>
  fileURLToPath(new URL(`../../dist/test/support/testing/${name}.js`, import.meta.url));

afterAll(async () => {
  await (await testServer()).stop();
});

describe("runActor", () => {
  test("completed: the value, and what was told, published and reported on the way", async () => {
    const { outcome, told, published, progress, onDead } = await runActor(
      ChargePayment,
      { paymentId: "p1", amount: 10 },
      { id: "charge-1" },
    );

    expect(outcome).toEqual({ kind: "completed", value: { receipt: "p1: 10 EUR" } });
    expect(told).toMatchObject([{ actor: "receipts.send", body: { to: "p1" }, options: { delay: "1m" } }]);
    expect(published).toMatchObject([{ subject: "payments.taken", body: { paymentId: "p1" } }]);
    expect(progress).toEqual([{ done: 0 }]);
    expect(onDead).toEqual({ state: "not-called" });
  });

  test("retry: after full jitter up to the backoff of this attempt", async () => {
    const half = { random: () => 0.5 };
    const first = await runActor(ChargePayment, { paymentId: "down", amount: 10 }, half);
    expect(first.outcome).toEqual({ kind: "retry", error: new Error("connection refused"), delayMs: 500 });
    const fourth = await runActor(ChargePayment, { paymentId: "down", amount: 10 }, { ...half, attempt: 4 });
    expect(fourth.outcome).toMatchObject({ kind: "retry", delayMs: 4_000 });
    const told = await runActor(ChargePayment, { paymentId: "busy", amount: 10 }, half);
    expect(told.outcome).toMatchObject({ kind: "retry", delayMs: 33_000 });
  });

  test("dead: the last attempt is exhausted, and onDead compensates", async () => {
    const { outcome, onDead } = await runActor(ChargePayment, { paymentId: "down", amount: 10 }, { attempt: 5 });
    expect(outcome).toMatchObject({ kind: "dead", reason: "exhausted", error: { message: "connection refused" } });
    expect(onDead).toEqual({ state: "returned" });
  });

  test("dead: what onDead throws is told", async () => {
    const { outcome, onDead } = await runActor(ChargePayment, { paymentId: "declined", amount: 10 });
    expect(outcome).toMatchObject({ kind: "dead", reason: "terminal" });
    expect(onDead).toEqual({ state: "threw", error: new Error("nothing to release") });
  });

  test("dead: input that does not fit its schema never reaches the actor", async () => {
    const actor = new ChargePayment();
    const { outcome, onDead } = await runActor(actor, { paymentId: "p1", amount: -1, currency: "EUR" });
    expect(outcome).toMatchObject({ kind: "dead", reason: "invalid", error: { code: "INVALID_MESSAGE" } });
    expect(onDead).toEqual({ state: "not-called" });
    expect(actor.calls).toEqual(["start", "stop"]);
  });

  test("deferred: a snooze counts no attempt", async () => {
    const { outcome } = await runActor(ChargePayment, { paymentId: "closed", amount: 10 }, { attempt: 5 });
    expect(outcome).toEqual({ kind: "deferred", reason: "snooze", delayMs: 300_000 });
  });

  test("interrupted: the worker stops and its grace is over", async () => {
    const stop = new AbortController();
    const api: PaymentsApi = {
      take: (_charge, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("gave way")));
          stop.abort();
        }),
    };
    const { outcome } = await runActor<typeof ChargePayment>(
      () => new ChargePayment(api),
      { paymentId: "p1", amount: 10 },
      { stop: stop.signal },
    );
    expect(outcome).toEqual({ kind: "interrupted" });
  });

  test("a function or an instance brings its own dependencies; start and stop are called around the message", async () => {
    const actor = new ChargePayment({ take: async (charge) => `test receipt in ${charge.currency}` });
    const { outcome } = await runActor<typeof ChargePayment>(actor, { paymentId: "p1", amount: 10 });
    expect(outcome).toEqual({ kind: "completed", value: { receipt: "test receipt in EUR" } });
    expect(actor.calls).toEqual(["start", "receive", "stop"]);
  });

  test("the context is that of a worker: id, attempt, deliveries, headers, and children with the same ids in each run", async () => {
    const seen: unknown[] = [];
    class Parent extends Actor {
      static override readonly config = config({ name: "parent" });
      override async receive(_input: unknown, ctx: Context): Promise<void> {
        seen.push([ctx.id, ctx.actor, ctx.attempt, ctx.deliveries, ctx.headers.get("tenant"), ctx.signal.aborted]);
        await ctx.tell("child", { n: 1 });
        await ctx.tell("child", { n: 2 }, { id: "given" });
        expect((await ctx.tell("child", { n: 3 }, { id: "given" })).duplicate).toBe(true);
      }
    }
    const options = { id: "p", attempt: 2, deliveries: 7, headers: { tenant: "acme", traceparent: "00-1-2-01" } };
    const first = await runActor(Parent, {}, options);
    const again = await runActor(Parent, {}, options);

    expect(seen[0]).toEqual(["p", "parent", 2, 7, "acme", false]);
    expect(first.told.map((task) => task.body)).toEqual([{ n: 1 }, { n: 2 }]);
    expect(first.told[0]?.options.headers).toEqual({ traceparent: "00-1-2-01" });
    expect(again.told).toEqual(first.told);
  });

  test("middleware wraps the run as it does in a worker", async () => {
    const order: string[] = [];
    const { outcome } = await runActor(
      ChargePayment,
      { paymentId: "p1", amount: 1 },
      {
        use: [
          async (input, ctx, next) => {
            order.push(`before ${ctx.actor}`);
            const value = await next({ ...(input as Charge), amount: 2 });
            order.push("after");
            return value;
          },
        ],
      },
    );
    expect(outcome).toMatchObject({ value: { receipt: "p1: 2 EUR" } });
    expect(order).toEqual(["before payments.charge", "after"]);
  });

  test("the body travels: what an actor gets is what came out of the codec", async () => {
    class Echo extends Actor<unknown, unknown> {
      static override readonly config = config({ name: "echo" });
      override receive(input: unknown): unknown {
        return input;
      }
    }
    const value = { at: new Date(0), bytes: new Uint8Array([1]) };
    expect((await runActor(Echo, value)).outcome).toEqual({
      kind: "completed",
      value: { at: new Date(0), bytes: Buffer.from([1]) },
    });
    await expect(runActor(Echo, value, { codec: "json" })).rejects.toMatchObject({ code: "UNENCODABLE" });
    expect((await runActor(Echo, { at: value.at.toJSON(), gone: undefined }, { codec: "json" })).outcome).toEqual({
      kind: "completed",
      value: { at: "1970-01-01T00:00:00.000Z" },
    });
    await expect(runActor(Echo, () => 1)).rejects.toMatchObject({ code: "UNENCODABLE" });
  });

  test("what a handler sends is checked as a sender's is", async () => {
    class Tiny extends Actor<string> {
      static override readonly config = config({ name: "tiny", payload: { maxBytes: 100 } });
      override receive(): void {}
    }
    class Careless extends Actor<string> {
      static override readonly config = config({ name: "careless", retry: { jitter: "none" } });
      override async receive(what: string, ctx: Context): Promise<void> {
        if (what === "shape") await ctx.tell(SendReceipt, { to: 1 as unknown as string });
        if (what === "size") await ctx.tell(Tiny, "x".repeat(200));
        if (what === "large") await ctx.tell("any", "x".repeat(2_000_000));
        if (what === "lane") await ctx.tell("any", 1, { lane: "urgent" as "high" });
      }
    }
    const codeOf = async (what: string): Promise<unknown> => {
      const { outcome, told } = await runActor(Careless, what);
      expect(told).toEqual([]);
      return outcome.kind === "retry" && (outcome.error as Error & { code?: string }).code;
    };
    expect(await codeOf("shape")).toBe("INVALID_MESSAGE");
    expect(await codeOf("size")).toBe("PAYLOAD_TOO_LARGE");
    expect(await codeOf("lane")).toBe("INVALID_NAME");
    // Its body would travel through the object store.
    const { told } = await runActor(Careless, "large");
    expect(told.map(({ body }) => String(body).length)).toEqual([2_000_000]);
  });

  test("what no worker would start is refused", async () => {
    class Nameless extends Actor {
      static override readonly config = { name: "" };
      override receive(): void {}
    }
    await expect(runActor(Nameless, {})).rejects.toMatchObject({ code: "INVALID_NAME" });
    await expect(runActor(Date as never, {} as never)).rejects.toMatchObject({ code: "NO_ACTOR" });
    await expect(runActor(SendReceipt, { to: "x" }, { attempts: 2 } as object)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining('"attempts"'),
    });
    class Failing extends SendReceipt {
      override async start(): Promise<void> {
        throw new Error("no database");
      }
    }
    await expect(runActor(Failing, { to: "x" })).rejects.toThrow("no database");
  });

  test("an event comes through its schema and mapping", async () => {
    const { outcome } = await runActorOnEvent(ChargePayment, OrderPlaced, { orderId: "o1", total: 12 });
    expect(outcome).toEqual({ kind: "completed", value: { receipt: "o1: 12 EUR" } });
    const wrong = await runActorOnEvent(ChargePayment, "orders.placed", { orderId: "o1" });
    expect(wrong.outcome).toMatchObject({ kind: "dead", reason: "invalid" });
    await expect(runActorOnEvent(SendReceipt, OrderPlaced, { orderId: "o1", total: 1 })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("does not subscribe"),
    });
  });
});

describe("testSystem", () => {
  test("what runActor says is what a worker does", async () => {
    class Steered extends Actor<string, string> {
      static override readonly config = config({
        name: "steered",
        input: z.string().trim(),
        retry: { attempts: 1, jitter: "none" },
      });
      override receive(what: string): string {
        if (what === "snooze") throw new Snooze("1h");
        if (what === "fail") throw new Error("failed");
        return what;
      }
    }
    const system = await testSystem();
    const worker = await system.work([Steered]);
    for (const input of [" fine ", "snooze", "fail", 5 as unknown as string]) {
      const { outcome } = await runActor(Steered, input);
      const event = waitFor(worker, outcome.kind as "completed" | "deferred" | "dead");
      await system.tell("steered", input);
      expect(await event).toMatchObject(withoutValue(outcome));
    }
    await system.close();
  });

  test("systems do not see each other, and close() deletes the streams and buckets of its own", async () => {
    const one = await testSystem();
    const other = await testSystem();
    expect(one.namespace).not.toBe(other.namespace);
    await one.tell(SendReceipt, { to: "one" }, { id: "same" });
    expect((await other.tell(SendReceipt, { to: "other" }, { id: "same" })).duplicate).toBe(false);
    const { names, reader } = other.parts;
    expect((await reader.state(names.tasks))?.messages).toBe(1);

    const streamsOf = async (namespace: string): Promise<string[]> =>
      (await reader.streamNames()).filter((name) => name.includes(namespace));
    expect((await streamsOf(one.namespace)).length).toBeGreaterThan(4);
    await Promise.all([one.close(), one.close()]);
    expect(await streamsOf(one.namespace)).toEqual([]);
    expect((await streamsOf(other.namespace)).length).toBeGreaterThan(4);
    await other.close();
  });

  test("two systems share a namespace that is given, and neither deletes it", async () => {
    const first = await testSystem();
    const second = await testSystem({ namespace: first.namespace });
    const worker = await second.work([SendReceipt]);
    const completed = waitFor(worker, "completed");
    await first.tell(SendReceipt, { to: "one" });
    await completed;
    await second.close();
    expect(await first.parts.reader.state(first.parts.names.tasks)).toBeDefined();
    await first.close();
  });

  test("it is a whole system: ask, results and dead letters work, options are passed on", async () => {
    const system = await testSystem({ name: "kit", codec: "json" });
    expect(system).toBeInstanceOf(ActorSystem);
    const worker = await system.work([() => new ChargePayment(simulatedApi)]);
    expect(await system.ask(ChargePayment, { paymentId: "p1", amount: 10 })).toEqual({ receipt: "p1: 10 EUR" });
    const dead = waitFor(worker, "dead", (event) => event.id === "d1");
    await system.tell(ChargePayment, { paymentId: "declined", amount: 10 }, { id: "d1" });
    expect((await dead).reason).toBe("terminal");
    await system.close();
    await expect(system.tell(SendReceipt, { to: "late" })).rejects.toMatchObject({ code: "CLOSED" });
  });

  test("waitFor says in vain what the worker has done", async () => {
    const system = await testSystem();
    const worker = await system.work([SendReceipt]);
    const listeners = worker.listenerCount("completed");
    const completed = waitFor(worker, "completed");
    await system.tell(SendReceipt, { to: "x" });
    await completed;
    await expect(waitFor(worker, "dead", undefined, "1ms")).rejects.toThrow(
      /no fitting 'dead' within 1 ms.*"completed":1/,
    );
    await expect(waitFor(worker, "dead", undefined, "1ms")).rejects.toMatchObject({
      name: "WaitTimeoutError",
      code: "WAIT_TIMEOUT",
      cause: undefined,
    });
    const broken = waitFor(worker, "completed", () => {
      throw new Error("broken predicate");
    });
    await system.tell(SendReceipt, { to: "x" });
    await expect(broken).rejects.toThrow("broken predicate");
    expect(worker.listenerCount("completed")).toBe(listeners);
    await system.close();
  });
});

describe("waitFor in vain", () => {
  test("carries the last error of a handler that fails meanwhile, as text and as cause", async () => {
    const Failing = actorOf({ name: "failing", retry: { attempts: 2, base: 1, jitter: "none" } }, () => {
      throw new Error("the card reader is on fire");
    });
    const system = await testSystem();
    const worker = await system.work([Failing]);
    const listeners = worker.eventNames().map((name) => worker.listenerCount(name));
    const waited = waitFor(worker, "completed", undefined, "2s").catch((thrown: unknown) => thrown);
    await system.tell(Failing, { to: "x" });
    expect(await waited).toMatchObject({
      code: "WAIT_TIMEOUT",
      message: expect.stringMatching(
        /no fitting 'completed' within 2000 ms .*; the last error: the card reader is on fire\)/,
      ),
      cause: expect.objectContaining({ message: "the card reader is on fire" }),
    });
    expect(worker.eventNames().map((name) => worker.listenerCount(name))).toEqual(listeners);
    await system.close();
  });
});

describe("testServer", () => {
  test("is one for the process, and another after it was stopped", async () => {
    const first = await testServer();
    expect(await testServer()).toBe(first);
    await first.stop();
    expect(await readInfo(first.url, 1_000)).toBeUndefined();
    const second = await testServer();
    expect(await testServer()).toBe(second);
    expect(await readInfo(second.url, 1_000)).toMatchObject({ jetstream: true });
  });

  test("a process that exits without closing anything takes its server with it", async () => {
    const { stdout } = await run(process.execPath, [script("forgetful")], { timeout: 60_000 });
    const url = stdout.trim();
    expect(url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    await until("the server is gone", async () => (await readInfo(url, 1_000)) === undefined);
  });

  test("node:test runs it", async () => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { stdout } = await run(process.execPath, ["--test", "--test-reporter=tap", script("node-test")], { env });
    expect(stdout).toMatch(/^# pass 2$/m);
    expect(stdout).toMatch(/^# fail 0$/m);
  });
});

test("every example in docs/testing.md is code that runs here", async () => {
  const sources = [
    "integration/testing-kit.test.ts",
    "support/testing/charge-payment.ts",
    "support/testing/node-test.ts",
  ];
  const code = await Promise.all(sources.map((path) => readFile(new URL(`../${path}`, import.meta.url), "utf8")));
  const running = code.map(withoutIndent).join("\n");
  const docs = await readFile(new URL("../../docs/testing.md", import.meta.url), "utf8");
  const examples = [...docs.matchAll(/^```ts\n(.*?)^```/gms)].map(([, example = ""]) => example);
  expect(examples.length).toBeGreaterThan(4);
  expect(examples.filter((example) => !running.includes(withoutIndent(example)))).toEqual([]);
});

function withoutIndent(code: string): string {
  return code.replaceAll(/^ +/gm, "").trim();
}

/** A worker's events carry all of an outcome but the value, and errors by name and message. */
function withoutValue(outcome: RunOutcome): object {
  const { kind: _kind, ...rest } = outcome;
  if ("error" in rest) return { ...rest, error: { name: rest.error.name, message: rest.error.message } };
  return "value" in rest ? {} : rest;
}
