/** ctx.once: a side effect runs once for its message, and every run of the message is given what it gave. */
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { event, on, type Context } from "../../src/index.ts";
import { runActor } from "../../src/testing/index.ts";
import { onceKey } from "../../src/guard/once/entry.ts";
import { actorOf } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName } from "../support/faults/work.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const retry = { attempts: 3, base: 20, backoff: "fixed", jitter: "none" } as const;

/** Runs a handler on one task, until the task is gone, and tells what the handler gave or threw in each of its runs. */
async function runs(receive: (ctx: Context, run: number) => unknown): Promise<unknown[]> {
  const seen: unknown[] = [];
  const system = await stage.connect();
  const Once = actorOf({ name: "once", retry }, async (_input, ctx) => {
    const at = seen.push("running") - 1;
    try {
      seen[at] = await receive(ctx, at + 1);
    } catch (error) {
      seen[at] = error;
      throw error;
    }
    if (at === 0) throw new Error("run again");
  });
  await system.work([Once]);
  await system.tell(Once, {}, { id: "m" });
  await untilDrained(system);
  return seen;
}

describe("a message that runs again", () => {
  test("finds what its first run did: the function is not called again", async () => {
    let calls = 0;
    const seen = await runs((ctx) => ctx.once("charge", () => `receipt ${++calls}`));
    expect(seen).toEqual(["receipt 1", "receipt 1"]);
    expect(calls).toBe(1);
  });

  const kinds: [string, unknown][] = [
    ["undefined", undefined],
    ["null", null],
    ["false", false],
    ["zero", 0],
    ["NaN", Number.NaN],
    ["a fraction", 1.5],
    ["a bigint", 2n ** 60n],
    ["an empty text", ""],
    ["a text", "é😀"],
    ["a date", new Date(1_000)],
    ["bytes", Buffer.from([0, 255])],
    ["a list", [1, undefined, [null]]],
    ["an object", { state: "done", lost: "no", nested: { at: new Date(5) } }],
  ];
  test.each(kinds)("is given %s as it was", async (_kind, value) => {
    let calls = 0;
    const seen = await runs((ctx) =>
      ctx.once("value", () => {
        calls += 1;
        return value;
      }),
    );
    expect(seen).toEqual([value, value]);
    expect(calls).toBe(1);
  });

  test("calls a function again that threw, and gives its error to the caller", async () => {
    let calls = 0;
    const seen = await runs((ctx) =>
      ctx.once("charge", () => {
        calls += 1;
        if (calls === 1) throw new RangeError("declined");
        return calls;
      }),
    );
    expect(seen[0]).toEqual(new RangeError("declined"));
    expect(seen[1]).toBe(2);
  });

  test.each([
    ["cannot be encoded", () => ({ send: () => 1 }), /A function cannot be sent/],
    ["is too large", () => "x".repeat(1_100_000), /1048576/],
  ])("does not repeat an effect whose value %s, and says so each time", async (_what, give, why) => {
    let calls = 0;
    const seen = await runs((ctx) =>
      ctx.once("charge", () => {
        calls += 1;
        return give();
      }),
    );
    expect(calls).toBe(1);
    expect(seen).toHaveLength(3);
    for (const error of seen) {
      expect(error).toMatchObject({ code: "UNENCODABLE" });
      expect((error as Error).message).toMatch(/ctx\.once\("charge"\) ran for message m of once/);
      expect((error as Error).message).toMatch(why);
    }
  });

  test("has each key by itself, and the same key once, also at the same time", async () => {
    const calls: string[] = [];
    const long = "k".repeat(500);
    const call = (ctx: Context, key: string): Promise<string> =>
      ctx.once(key, async () => {
        calls.push(key);
        await wait(5);
        return key;
      });
    const keys = ["a", "a", "b", "a b", "a.b", "*", "=41", "é", long, `${long}l`, "a"];
    const seen = await runs(async (ctx) => [
      await Promise.all(keys.map((key) => call(ctx, key))),
      await call(ctx, "a"),
    ]);
    expect(seen).toEqual([
      [keys, "a"],
      [keys, "a"],
    ]);
    expect(calls).toEqual([...new Set(keys)]);
  });

  test.each([[""], [7], ["\ud800"]])("refuses the key %j before anything runs", async (key) => {
    const [first] = await runs((ctx) => ctx.once(key as string, () => 1));
    expect(first).toMatchObject({ code: "INVALID_CONFIG" });
    expect((first as Error).message).toContain("ctx.once of once takes a key");
  });

  test("refuses options that are none", async () => {
    const [first] = await runs((ctx) => ctx.once("k", () => 1, { ttl: 10 }));
    expect(first).toMatchObject({ code: "INVALID_CONFIG" });
    expect((first as Error).message).toContain('"ttl" must be at least 1000 ms');
  });

  test("does it again when the value's time to live is over", async () => {
    const bucket = `KV_${stage.names.onceBucket}`;
    const { jsm } = await stage.client();
    let calls = 0;
    const seen = await runs(async (ctx, run) => {
      const value = await ctx.once("charge", () => ++calls, { ttl: "1s" });
      const key = onceKey({ actor: "once", id: "m", cause: "task" }, "charge");
      const last = (): Promise<unknown> =>
        jsm.streams
          .getMessage(bucket, { last_by_subj: `$KV.${stage.names.onceBucket}.${key}` })
          .then((message) => message?.header.get("Nats-Marker-Reason"));
      if (run === 1) await until("the note is gone", async () => (await last()) === "MaxAge");
      return value;
    });
    expect(seen).toEqual([1, 2]);
  });
});

test("Two actors that hear one event, and two events with one id, have effects of their own", async () => {
  const system = await stage.connect();
  const Placed = event("orders.placed");
  const Cancelled = event("orders.cancelled");
  const calls: string[] = [];
  const listener = (name: string) =>
    actorOf({ name, retry, subscribe: [on(Placed), on(Cancelled)] }, async (what: string, ctx) => {
      await ctx.once("mail", () => calls.push(`${name} ${what}`));
      if (ctx.attempt === 1) throw new Error("run again");
    });
  const recorder = record(await system.work([listener("mail"), listener("stock")]));
  await system.publish(Placed, "placed", { id: "o1" });
  await system.publish(Cancelled, "cancelled", { id: "o1" });
  await system.tell("mail", "told", { id: "o1" });
  await recorder.until("completed", 5);
  expect(calls.toSorted()).toEqual(["mail cancelled", "mail placed", "mail told", "stock cancelled", "stock placed"]);
});

test("The test kit's once calls its function once for each key, and gives the value as a worker would", async () => {
  let calls = 0;
  const Once = actorOf({ name: "once" }, async (_input, ctx) => {
    const both = await Promise.all([1, 2].map(() => ctx.once("a", () => ({ call: ++calls, gone: undefined }))));
    const failed = await ctx
      .once("b", () => {
        throw new Error("declined");
      })
      .catch((error: Error) => error.message);
    return [...both, failed, await ctx.once("b", () => "later")];
  });
  const { outcome } = await runActor(Once, {});
  expect(outcome).toEqual({ kind: "completed", value: [{ call: 1 }, { call: 1 }, "declined", "later"] });
});

describe("workers in processes of their own", () => {
  let scene: Scene;
  beforeEach(async () => {
    scene = await Scene.open();
  });
  afterEach(async ({ task }) => {
    await scene.close(task.result?.state === "fail");
  });

  test("ctx.once ran its function once although the message ran twice: the first worker was killed after it, before the ack", async () => {
    const system = await scene.connect();
    const { journal } = scene;
    const first = await scene.spawn({ worker: "first" });
    await system.tell(
      workName,
      { do: "work", once: "charge", at: { first: { do: "kill", once: "charge" } } },
      { id: "m" },
    );
    await first.ended;
    await scene.spawn({ worker: "second" });
    await until("it is done", () => journal.of("completed", "m").length === 1);
    await untilDrained(system);
    expect(journal.of("run", "m").map(({ worker }) => worker)).toEqual(["first", "second"]);
    expect(journal.of("effect", "m").map(({ worker }) => worker)).toEqual(["first"]);
  });

  test("killed in the function, nobody can know whether it ran: it runs again when the lease is over, and not before", async () => {
    const system = await scene.connect();
    const { journal } = scene;
    const first = await scene.spawn({ worker: "first" });
    const at = { first: { do: "work", once: "charge", dieInOnce: true } } as const;
    await system.tell(workName, { do: "work", once: "charge", at }, { id: "m" });
    await first.ended;
    await scene.spawn({ worker: "second" });
    await untilDrained(system);
    const effects = journal.of("effect", "m");
    expect(effects.map(({ worker }) => worker)).toEqual(["first", "second"]);
    const gapMs = ((effects[1]?.ns ?? 0) - (effects[0]?.ns ?? 0)) / 1e6;
    console.log(`killed in the function: run again after ${Math.round(gapMs)} ms`);
    expect(gapMs).toBeGreaterThan(9_900);
    expect(journal.of("dead")).toEqual([]);
  });
});
