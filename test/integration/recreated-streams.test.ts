/** A stream that was made anew, or lost its end, gives its sequences out again: what is remembered of a message is for no other. */
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import type { Objects } from "../../src/broker/objects.ts";
import { Pipeline } from "../../src/broker/pipeline.ts";
import { Publisher } from "../../src/broker/publisher.ts";
import { on, type ActorSystem, type Context } from "../../src/index.ts";
import { DeadLetters } from "../../src/lifecycle/dead-letter.ts";
import { contentTypes, decode, encode } from "../../src/message/codec.ts";
import { noHeaders } from "../../src/message/headers.ts";
import { actorOf, gate } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { placeLike } from "../support/place.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const twice = { attempts: 2, base: 1, jitter: "none" } as const;

/** Deletes the stream of tasks, and has a system provision it anew. */
async function recreate(stream = stage.names.tasks): Promise<ActorSystem> {
  await (await stage.client()).jsm.streams.delete(stream);
  return stage.connect();
}

/** The place of the only message that there was, with the time of storing. */
function idOf(contexts: readonly Context[], at: number): string {
  return contexts[at]?.id ?? "none";
}

describe("the dead letter", () => {
  test("of a message of a stream that was made anew is stored, not taken for the one that was there before", async () => {
    const first = await stage.connect();
    const Failing = actorOf({ name: "fails.now", retry: { attempts: 1 } }, (input) => {
      throw new Error(`failed ${String(input)}`);
    });
    const worker = await first.work([Failing]);
    const recorder = record(worker);
    await first.tellMany("fails.now", ["old 1", "old 2", "old 3"]);
    await recorder.until("dead", 3);
    await worker.stop();
    const second = await recreate();
    const after = record(await second.work([Failing]));
    await second.tellMany("fails.now", ["new 1", "new 2"]);
    await after.until("dead", 2);
    const letters = await listDead(second);
    const said = letters.map(({ error }) => error.message);
    expect(said.toSorted()).toEqual(["failed new 1", "failed new 2", "failed old 1", "failed old 2", "failed old 3"]);
    for (const { sequence, error } of letters) {
      const { body } = await second.dead.show(sequence);
      expect(error.message, "each with its own body").toContain(String(decode(body, contentTypes.msgpack)));
    }
  });

  test("of a message whose large body is in the object store is its own too", async () => {
    const large = (what: string): string => what.repeat(maxBytes);
    const maxBytes = 1_048_576;
    const first = await stage.connect();
    const Failing = actorOf({ name: "fails.large", retry: { attempts: 1 } }, () => {
      throw new Error("as the message asked");
    });
    const worker = await first.work([Failing]);
    const recorder = record(worker);
    await first.tell("fails.large", large("a"));
    await recorder.until("dead");
    await worker.stop();
    const second = await recreate();
    const after = record(await second.work([Failing]));
    await second.tell("fails.large", large("b"));
    await after.until("dead");
    const letters = await listDead(second);
    const bodies = await Promise.all(letters.map(async ({ sequence }) => (await second.dead.show(sequence)).body));
    const starts = bodies.map((body) => (decode(gunzipSync(body), contentTypes.msgpack) as string).slice(0, 2));
    expect(starts).toEqual(["aa", "bb"]);
  });

  test("is stored once where its burial is repeated, also behind that of another message", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { names } = stage;
    const deceased = (storedAtMs: number, body: string) => ({
      actor: "buried",
      id: `m${body}`,
      stream: names.tasks,
      sequence: 7,
      subject: names.taskSubject("buried"),
      storedAtMs,
      deliveries: 1,
      headers: noHeaders,
      body: Buffer.from(body),
      attempts: 1,
      stalls: 0,
      history: [],
      reason: "terminal" as const,
      error: new Error(body),
    });
    const { connection, reader } = system.parts;
    const pipeline = new Pipeline(connection);
    const letters = new DeadLetters(names, new Publisher(connection, pipeline), reader, {} as Objects);
    const subject = names.deadSubject("buried", names.tasks, 7);
    await client.publish(subject, "garbage, not a letter");
    for (const at of [1, 1, 2, 2, 2]) await letters.bury(deceased(1_700_000_000_000 + at, String(at)), 5_000);
    pipeline.close();
    expect((await listDead(system)).map(({ error }) => error.message)).toEqual(["1", "2"]);
  });
});

describe("what is kept by a message's id", () => {
  test("is kept apart for messages without one: effects noted by once, and results", async () => {
    const first = await stage.connect();
    const contexts: Context[] = [];
    let count = 0;
    const Charging = actorOf({ name: "charges", result: { ttl: "1h" } }, (input, ctx) => {
      contexts.push(ctx);
      return ctx.once("charge", () => `receipt ${++count} for ${String(input)}`);
    });
    const client = await stage.client();
    const worker = await first.work([Charging]);
    const recorder = record(worker);
    await client.publish(stage.names.taskSubject("charges"), '"old"');
    await recorder.until("completed");
    await worker.stop();
    const second = await recreate();
    const after = record(await second.work([Charging]));
    await client.publish(stage.names.taskSubject("charges"), '"new"');
    await after.until("completed");
    const [old, now] = [idOf(contexts, 0), idOf(contexts, 1)];
    expect([old, now]).toEqual([placeLike(stage.names.tasks, 1), placeLike(stage.names.tasks, 1)]);
    expect(await second.result("charges", old)).toMatchObject({ value: "receipt 1 for old" });
    expect(await second.result("charges", now)).toMatchObject({ value: "receipt 2 for new" });
    const { found } = await new Inspector(second).explain(`${stage.names.tasks}:1`);
    expect(found.map((one) => one.id).toSorted()).toEqual([old, now].toSorted());
    expect((await new Inspector(second).explain(old)).found).toMatchObject([{ id: old, value: "receipt 1 for old" }]);
  });

  test("goes with a message that is requeued", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let mended = false;
    const receipts: string[] = [];
    let count = 0;
    const Charging = actorOf({ name: "charges.again", retry: { attempts: 1 } }, async (_input, ctx) => {
      receipts.push(`${ctx.id} ${await ctx.once("charge", () => ++count)}`);
      if (!mended) throw new Error("not yet");
    });
    const recorder = record(await system.work([Charging]));
    await client.publish(stage.names.taskSubject("charges.again"), "1");
    await recorder.until("dead");
    mended = true;
    await system.dead.requeue((await onlyDead(system)).sequence);
    await recorder.until("completed");
    expect(new Set(receipts).size).toBe(1);
  });
});

describe("explain", () => {
  test("tells of the message that is at a place now, and by its id of the one that was", async () => {
    const first = await stage.connect();
    const client = await stage.client();
    const contexts: Context[] = [];
    const Failing = actorOf({ name: "explained", retry: { attempts: 1 } }, (_input, ctx) => {
      contexts.push(ctx);
      throw new Error("old");
    });
    const worker = await first.work([Failing]);
    const recorder = record(worker);
    await client.publish(stage.names.taskSubject("explained"), '"old"');
    await recorder.until("dead");
    await worker.stop();
    const second = await recreate();
    await client.publish(stage.names.taskSubject("explained"), '"new"');
    const held = gate();
    await second.work([actorOf({ name: "explained" }, () => held.opened)]);
    const inspector = new Inspector(second);
    const at = `${stage.names.tasks}:1`;
    await expect
      .poll(async () => (await inspector.explain(at)).found, patient)
      .toMatchObject([{ state: "running", actor: "explained" }]);
    expect((await inspector.explain(at)).found).toHaveLength(1);
    const old = idOf(contexts, 0);
    expect((await inspector.explain(old)).found).toMatchObject([{ id: old, state: "dead" }]);
    held.open();
  });
});

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

    const second = await recreate();
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
