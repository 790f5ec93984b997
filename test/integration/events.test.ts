/** Events: every subscribed actor gets its own copy, from the beginning it asks for, in the shape it asks for. */
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { describe, expect, test } from "vitest";
import { Terminal, event, on, type ActorConfig, type Context } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";
import { placeLike } from "../support/place.ts";

const stage = useStage();

const Placed = event("orders.placed", z.object({ orderId: z.string(), total: z.number().default(1) }));

/** An actor that notes what it was given, by whom. */
function listener(config: ActorConfig) {
  const seen: unknown[] = [];
  const contexts: Context[] = [];
  const Listener = actorOf(config, (input, ctx) => {
    seen.push(input);
    contexts.push(ctx);
  });
  return { Listener, seen, contexts };
}

describe("an event", () => {
  test("reaches each subscribed actor once, with the id it was published with, and nobody else", async () => {
    const system = await stage.connect();
    const one = listener({ name: "one", subscribe: ["orders.placed"] });
    const two = listener({ name: "two", subscribe: [on(Placed)] });
    const three = listener({ name: "three", subscribe: ["orders.shipped"] });
    const none = listener({ name: "none" });
    const recorder = record(await system.work([one.Listener, two.Listener, three.Listener, none.Listener]));
    const sent = await system.publish(Placed, { orderId: "o1" }, { id: "event 1" });
    expect(sent).toEqual({ id: "event 1", stream: stage.names.events, sequence: 1, duplicate: false });
    await recorder.until("completed", 2);
    expect(one.seen).toEqual([{ orderId: "o1" }]);
    expect(two.seen, "the event's schema is applied where the subscription names it").toEqual([
      { orderId: "o1", total: 1 },
    ]);
    expect([...three.seen, ...none.seen]).toEqual([]);
    expect(one.contexts[0]).toMatchObject({ id: "event 1", actor: "one" });
    expect(two.contexts[0]).toMatchObject({ id: "event 1", actor: "two" });
  });

  test("reaches one worker of each actor", async () => {
    const system = await stage.connect();
    const first = listener({ name: "same", subscribe: ["went.by"] });
    const second = listener({ name: "same", subscribe: ["went.by"] });
    const recorders = [record(await system.work([first.Listener])), record(await system.work([second.Listener]))];
    for (let n = 0; n < 20; n++) await system.publish("went.by", n);
    await expect.poll(() => recorders.reduce((sum, one) => sum + one.of("completed").length, 0), patient).toBe(20);
    const all = [...first.seen, ...second.seen].map(Number).toSorted((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  test("that one actor fails on is retried for that actor alone", async () => {
    const system = await stage.connect();
    const fine = listener({ name: "fine", subscribe: ["went.by"] });
    const Failing = actorOf(
      { name: "failing", subscribe: ["went.by"], retry: { attempts: 3, base: 1, max: 1 } },
      () => {
        throw new Error("no");
      },
    );
    const recorder = record(await system.work([fine.Listener, Failing]));
    await system.publish("went.by", 1, { id: "e" });
    await recorder.until("dead");
    expect(fine.seen).toEqual([1]);
    expect(await onlyDead(system)).toMatchObject({
      id: "e",
      actor: "failing",
      attempts: 3,
      origin: { stream: stage.names.events, sequence: 1, subject: `${stage.namespace}.event.went.by` },
    });
  });

  test("that two actors give up on has a dead letter for each", async () => {
    const system = await stage.connect();
    const failing = (name: string) =>
      actorOf({ name, subscribe: ["went.by"] }, () => {
        throw new Terminal(name);
      });
    const recorder = record(await system.work([failing("one"), failing("two")]));
    await system.publish("went.by", 1, { id: "e" });
    await recorder.until("dead", 2);
    expect((await listDead(system, { id: "e" })).map(({ error }) => error.message).toSorted()).toEqual(["one", "two"]);
  });

  test("of a plain client is heard like any other", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const one = listener({ name: "one", subscribe: [on(Placed)] });
    const recorder = record(await system.work([one.Listener]));
    client.nc.publish(`${stage.namespace}.event.orders.placed`, '{"orderId":"o"}');
    await recorder.until("completed");
    expect(one.seen).toEqual([{ orderId: "o", total: 1 }]);
    expect(one.contexts[0]?.id).toEqual(placeLike(stage.names.events, 1));
  });

  test("that does not fit is refused by publish; one that comes all the same is dead", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await expect(system.publish(Placed, { orderId: 7 } as never)).rejects.toMatchObject({
      code: "INVALID_MESSAGE",
      message: expect.stringContaining("event orders.placed does not fit its schema: orderId:"),
    });
    expect(await client.lastSequence(stage.names.events)).toBe(0);
    const one = listener({ name: "one", subscribe: [on(Placed)] });
    const recorder = record(await system.work([one.Listener]));
    await system.publish("orders.placed", { orderId: 7 });
    const [dead] = await recorder.until("dead");
    expect(dead?.data.reason).toBe("invalid");
    expect(one.seen).toEqual([]);
  });

  test("with the id of another is a duplicate, but not of one on another subject", async () => {
    const system = await stage.connect();
    await system.publish("a", 1, { id: "same" });
    expect(await system.publish("a", 1, { id: "same" })).toMatchObject({ duplicate: true });
    expect(await system.publish("b", 1, { id: "same" })).toMatchObject({ duplicate: false });
  });

  test("stays in the stream, for those who come later", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const one = listener({ name: "one", subscribe: ["went.by"] });
    const recorder = record(await system.work([one.Listener]));
    await system.publish("went.by", 1);
    await recorder.until("completed");
    expect(await client.count(stage.names.events)).toBe(1);
  });
});

describe("a mapping", () => {
  test("turns the event, defaults applied, into the input, which the actor's own schema checks", async () => {
    const system = await stage.connect();
    const charge = listener({
      name: "charge",
      input: z.object({ paymentId: z.string(), amount: z.number(), currency: z.string().default("EUR") }),
      subscribe: [on(Placed, (order) => ({ paymentId: order.orderId, amount: order.total * 100 }))],
    });
    const recorder = record(await system.work([charge.Listener]));
    await system.publish(Placed, { orderId: "o1", total: 3 });
    await system.publish(Placed, { orderId: "o2" });
    await system.tell("charge", { paymentId: "told", amount: 5 });
    await recorder.until("completed", 3);
    expect(charge.seen, "a task is not mapped").toEqual(
      expect.arrayContaining([
        { paymentId: "o1", amount: 300, currency: "EUR" },
        { paymentId: "o2", amount: 100, currency: "EUR" },
        { paymentId: "told", amount: 5, currency: "EUR" },
      ]),
    );
  });

  test("may be asynchronous, and follows the subject where an actor has several", async () => {
    const system = await stage.connect();
    const both = listener({
      name: "both",
      subscribe: [
        on("orders.placed", async (body) => {
          await sleep(1);
          return ["placed", body];
        }),
        on("orders.shipped", (body) => ["shipped", body]),
        on("users.*", (body) => ["user", body]),
        "plain",
      ],
    });
    const recorder = record(await system.work([both.Listener]));
    await system.publish("orders.placed", 1);
    await system.publish("orders.shipped", 2);
    await system.publish("users.joined", 3);
    await system.publish("plain", 4);
    await recorder.until("completed", 4);
    expect(both.seen).toHaveLength(4);
    expect(both.seen).toEqual(expect.arrayContaining([["placed", 1], ["shipped", 2], ["user", 3], 4]));
  });

  test("that throws, or gives what does not fit, makes the message invalid", async () => {
    const system = await stage.connect();
    const strict = listener({
      name: "strict",
      input: z.number(),
      subscribe: [
        on("a", () => {
          throw new Error("a bug in the mapping");
        }),
        on("b", () => "text" as never),
        on("c", () => Promise.reject(new Error("a late bug"))),
      ],
    });
    const recorder = record(await system.work([strict.Listener]));
    for (const subject of ["a", "b", "c"]) await system.publish(subject, 1, { id: subject });
    const dead = await recorder.until("dead", 3);
    expect(dead.map(({ data }) => data.reason)).toEqual(["invalid", "invalid", "invalid"]);
    const texts = Object.fromEntries(dead.map(({ data }) => [data.id, data.error.message]));
    expect(texts["a"]).toBe("a bug in the mapping");
    expect(texts["b"]).toContain("message for strict does not fit its schema");
    expect(texts["c"]).toBe("a late bug");
  });
});

test("wildcards subscribe to what they match", async () => {
  const system = await stage.connect();
  const star = listener({ name: "star", subscribe: ["orders.*"] });
  const rest = listener({ name: "rest", subscribe: ["orders.>"] });
  const all = listener({ name: "all", subscribe: [">"] });
  const recorder = record(await system.work([star.Listener, rest.Listener, all.Listener]));
  for (const subject of ["orders", "orders.placed", "orders.placed.late", "users.joined"]) {
    await system.publish(subject, subject);
  }
  await recorder.until("completed", 1 + 2 + 4);
  expect(star.seen).toEqual(["orders.placed"]);
  expect(rest.seen).toEqual(["orders.placed", "orders.placed.late"]);
  expect(all.seen).toEqual(["orders", "orders.placed", "orders.placed.late", "users.joined"]);
});

describe("a new durable begins", () => {
  test('with new events, by default; with all of them: from: "all"; or from a date on', async () => {
    const system = await stage.connect();
    await system.publish("went.by", "long ago");
    await sleep(20);
    const middle = new Date();
    await sleep(20);
    await system.publish("went.by", "lately");
    const fresh = listener({ name: "fresh", subscribe: ["went.by"] });
    const whole = listener({ name: "whole", subscribe: ["went.by"], from: "all", concurrency: 1 });
    const dated = listener({ name: "dated", subscribe: ["went.by"], from: middle, concurrency: 1 });
    const recorder = record(await system.work([fresh.Listener, whole.Listener, dated.Listener]));
    await system.publish("went.by", "now");
    await recorder.until("completed", 1 + 3 + 2);
    expect(fresh.seen).toEqual(["now"]);
    expect(whole.seen).toEqual(["long ago", "lately", "now"]);
    expect(dated.seen).toEqual(["lately", "now"]);
  });

  test("only once: what was published while no worker ran is heard by the next one", async () => {
    const system = await stage.connect();
    const first = listener({ name: "same", subscribe: ["went.by"], from: "all" });
    await (await system.work([first.Listener])).stop();
    await system.publish("went.by", "meanwhile");
    const second = listener({ name: "same", subscribe: ["went.by"] });
    const recorder = record(await system.work([second.Listener]));
    await recorder.until("completed");
    expect(second.seen).toEqual(["meanwhile"]);
    expect(first.seen).toEqual([]);
  });

  test("and takes up a subject that is added later", async () => {
    const system = await stage.connect();
    const before = listener({ name: "grows", subscribe: ["a"] });
    await (await system.work([before.Listener])).stop();
    const after = listener({ name: "grows", subscribe: ["a", "b"] });
    const recorder = record(await system.work([after.Listener]));
    await system.publish("a", "a");
    await system.publish("b", "b");
    await recorder.until("completed", 2);
    expect(after.seen.map(String).toSorted()).toEqual(["a", "b"]);
  });
});

describe("a stream that somebody else made", () => {
  test("is subscribed to by its name and subject, beside Godwit's own events", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const stream = `LEGACY_${stage.namespace}`;
    const subject = `legacy.${stage.namespace}`;
    await client.jsm.streams.add({ name: stream, subjects: [`${subject}.>`] });
    const both = listener({
      name: "both",
      subscribe: [on({ stream, subject: `${subject}.*.done` }, (body) => ({ legacy: body })), "went.by"],
    });
    const recorder = record(await system.work([both.Listener]));
    await client.publish(`${subject}.x.begun`, "1");
    const sequence = await client.publish(`${subject}.x.done`, "2");
    await system.publish("went.by", 3);
    await recorder.until("completed", 2);
    expect(both.seen).toHaveLength(2);
    expect(both.seen).toEqual(expect.arrayContaining([{ legacy: 2 }, 3]));
    expect(both.contexts.map(({ id }) => id)).toContainEqual(placeLike(stream, sequence));
    await client.jsm.streams.delete(stream);
  });

  test("that does not exist is named in the error", async () => {
    const system = await stage.connect();
    const lost = listener({ name: "lost", subscribe: [on({ stream: "NOWHERE", subject: "x" })] });
    await expect(system.work([lost.Listener])).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(/^The actor lost subscribes to the stream NOWHERE, which does not exist;/),
    });
  });
});

describe("a redriven event", () => {
  test("goes to the actor that had failed and to no other, and is mapped again", async () => {
    const system = await stage.connect();
    let broken = true;
    const inputs: unknown[] = [];
    const Failing = actorOf(
      { name: "failing", subscribe: [on(Placed, (order) => ({ paymentId: order.orderId, amount: order.total }))] },
      (input, ctx) => {
        if (broken) throw new Terminal("down");
        inputs.push([ctx.id, input]);
      },
    );
    const fine = listener({ name: "fine", subscribe: ["orders.placed"] });
    const recorder = record(await system.work([Failing, fine.Listener]));
    await system.publish(Placed, { orderId: "o1" }, { id: "e 1" });
    await recorder.until("dead");
    await recorder.until("completed", 1);
    // It fails once more, so that a dead letter of a redriven event is redriven too.
    await system.dead.requeue((await onlyDead(system)).sequence);
    await recorder.until("dead", 2);
    broken = false;
    await system.dead.requeue((await onlyDead(system)).sequence);
    await recorder.until("completed", 2);
    expect(inputs).toEqual([["e 1", { paymentId: "o1", amount: 1 }]]);
    expect(fine.seen).toHaveLength(1);
    expect(await listDead(system)).toEqual([]);
  });

  test("from a foreign stream is mapped again too", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const stream = `OTHER_${stage.namespace}`;
    const subject = `other.${stage.namespace}`;
    await client.jsm.streams.add({ name: stream, subjects: [subject] });
    let broken = true;
    const inputs: unknown[] = [];
    const Failing = actorOf(
      { name: "failing", subscribe: [on({ stream, subject }, (body) => ({ body }))] },
      (input, ctx) => {
        if (broken) throw new Terminal("down");
        inputs.push([ctx.id, input]);
      },
    );
    const recorder = record(await system.work([Failing]));
    const sequence = await client.publish(subject, "7");
    await recorder.until("dead");
    broken = false;
    await system.dead.requeue((await onlyDead(system)).sequence);
    await recorder.until("completed");
    expect(inputs).toEqual([[placeLike(stream, sequence), { body: 7 }]]);
    await client.jsm.streams.delete(stream);
  });

  test("is mapped by where it came from, whatever header its publisher planted", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let broken = true;
    const inputs: unknown[] = [];
    const Failing = actorOf(
      { name: "failing", subscribe: [on("a", (body) => ["a", body]), on("b", (body) => ["b", body])] },
      (input) => {
        if (broken) throw new Terminal("down");
        inputs.push(input);
      },
    );
    const recorder = record(await system.work([Failing]));
    await client.publish(stage.names.eventSubject("a"), "1", {
      "Godwit-Event": `${stage.names.events} ${stage.names.eventSubject("b")}`,
    });
    await recorder.until("dead");
    broken = false;
    await system.dead.requeue((await onlyDead(system)).sequence);
    await recorder.until("completed");
    expect(inputs).toEqual([["a", 1]]);
  });
});

describe("subscriptions that cannot be", () => {
  test.each([
    ["spaces", "orders placed"],
    ["an empty word", "orders..placed"],
    ["a > that is not last", "orders.>.x"],
    ["nothing", ""],
  ])("are refused: %s", async (_what, subject) => {
    const system = await stage.connect();
    const Bad = actorOf({ name: "bad", subscribe: [subject] }, () => {});
    await expect(system.work([Bad])).rejects.toMatchObject({
      code: "INVALID_NAME",
      message: expect.stringContaining(`The subject to subscribe to, ${JSON.stringify(subject)}, is not valid`),
    });
  });

  test("because they overlap are refused in a sentence that names them", async () => {
    const system = await stage.connect();
    const Twice = actorOf({ name: "twice", subscribe: ["orders.*", on("orders.placed", (x) => x)] }, () => {});
    await expect(system.work([Twice])).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(
        /^The subscriptions of the actor twice to "orders\.\*" and "orders\.placed" overlap, .*\.$/,
      ),
    });
  });

  test("publish takes no wildcard, and says so", async () => {
    const system = await stage.connect();
    for (const subject of ["orders.*", ">", "a b", "", "a.", "orders..x"]) {
      await expect(system.publish(subject, 1)).rejects.toMatchObject({
        code: "INVALID_NAME",
        message: expect.stringContaining(`The event subject ${JSON.stringify(subject)} is not valid`),
      });
    }
    expect(() => event("orders.*")).toThrow(/not valid/);
    await expect(system.publish("a", 1, { delay: "1s" } as never)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining('publish() has no option "delay"'),
    });
  });
});
