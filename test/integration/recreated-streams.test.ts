/** A stream that was made anew, or lost its end, gives its sequences out again: what is remembered of a message is for no other. */
import { describe, expect, test } from "vitest";
import { encode } from "../../src/message/codec.ts";
import { on } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const twice = { attempts: 2, base: 1, jitter: "none" } as const;

describe("the runs record", () => {
  test("of a message of a deleted stream is not taken for that of the new one's", async () => {
    const first = await stage.connect();
    const Failing = actorOf({ name: "failing", retry: twice }, (input) => {
      throw new Error(`failed ${String(input)}`);
    });
    const worker = await first.work([Failing]);
    const recorder = record(worker);
    await first.tellMany("failing", ["old 1", "old 2"]);
    await recorder.until("dead", 2);
    await worker.stop();
    await (await stage.client()).jsm.streams.delete(stage.names.tasks);

    const second = await stage.connect();
    const attempts: string[] = [];
    const Once = actorOf({ name: "failing", retry: { ...twice, attempts: 3 } }, (input, ctx) => {
      attempts.push(`${String(input)}, attempt ${ctx.attempt}`);
      if (ctx.attempt === 1) throw new Error(`failed ${String(input)}`);
    });
    const after = record(await second.work([Once]));
    await second.tellMany("failing", ["new 1", "new 2"]);
    await after.until("completed", 2);
    expect(attempts.toSorted()).toEqual([
      "new 1, attempt 1",
      "new 1, attempt 2",
      "new 2, attempt 1",
      "new 2, attempt 2",
    ]);
    expect(await listDead(second)).toHaveLength(2);
  });

  test("of a message of a user's own stream that was made anew is not the new one's", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const [stream, subject] = [`OWN_${stage.namespace}`, `own.${stage.namespace}`];
    await client.jsm.streams.add({ name: stream, subjects: [subject] });
    const seen: unknown[] = [];
    const Own = actorOf({ name: "own", retry: twice, subscribe: [on({ stream, subject })] }, (input, ctx) => {
      seen.push([input, ctx.attempt]);
      if (input === "old" || ctx.attempt === 1) throw new Error("as the message asked");
    });
    const worker = await system.work([Own]);
    const recorder = record(worker);
    await client.publish(subject, '"old"');
    await recorder.until("dead");
    await worker.stop();
    await client.jsm.streams.delete(stream);
    await client.jsm.streams.add({ name: stream, subjects: [subject] });
    const after = record(await system.work([Own]));
    await client.publish(subject, '"new"');
    await after.until("completed");
    expect(seen.slice(2)).toEqual([
      ["new", 1],
      ["new", 2],
    ]);
    await client.jsm.streams.delete(stream);
  });

  test("that is garbage holds no message: it is reported once, and overwritten", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { names } = stage;
    const garbage = [
      Buffer.from("no record"),
      encode(null, "msgpack"),
      encode({ v: 1, id: "m", runs: { 1: "failed" }, errors: "none", delayMs: 0, until: 0 }, "msgpack"),
      encode({ v: 1, id: "m", runs: {}, errors: [], delayMs: 0, until: 0, fate: { reason: "mine" } }, "msgpack"),
    ];
    for (const [at, value] of garbage.entries()) {
      const key = names.runsKey(names.tasks, at + 1, names.durable("garbled"));
      await client.publish(`$KV.${names.runsBucket}.${key}`, value);
    }
    const attempts: number[] = [];
    const Garbled = actorOf({ name: "garbled", retry: { ...twice, attempts: 3 } }, async (_input, ctx) => {
      const { Snooze } = await import("../../src/index.ts");
      if (ctx.deliveries === 1) throw new Snooze(1);
      attempts.push(ctx.attempt);
      if (ctx.attempt === 1) throw new Error("once");
    });
    const recorder = record(await system.work([Garbled]));
    await system.tellMany("garbled", garbage);
    await recorder.until("completed", garbage.length);
    expect(attempts.toSorted((a, b) => a - b)).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
    const problems = recorder.of("problem").map(({ data }) => (data as { error: Error }).error.message);
    expect(problems).toHaveLength(garbage.length);
    expect(problems[0]).toMatch(/runs record .* is none/);
  });
});
