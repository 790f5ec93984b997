/** Payloads on their way in: what an actor accepts, within which limits, and what becomes of the rest. */
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { ActorConfig, ActorSystem } from "../../src/index.ts";
import { encode } from "../../src/message/codec.ts";
import { actorOf, gate } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage({ maxPayloadBytes: 64 * 1_024 });
const msgpack = { "Content-Type": "application/msgpack" };
const gzip = { "Content-Encoding": "gzip" };

/** Sends bodies as another program would, and tells what was received and what was not, in order. */
async function deliver(
  system: ActorSystem,
  config: Omit<ActorConfig, "name">,
  messages: readonly (readonly [body: Uint8Array | string, headers?: Record<string, string>])[],
): Promise<{ received: unknown[]; refused: string[] }> {
  const client = await stage.client();
  const received: unknown[] = [];
  const worker = await system.work([
    actorOf({ concurrency: 1, ...config, name: "taker" }, (input) => void received.push(input)),
  ]);
  const recorder = record(worker);
  for (const [body, headers] of messages) await client.publish(stage.names.taskSubject("taker"), body, headers);
  await expect.poll(() => recorder.of("completed").length + recorder.of("dead").length, patient).toBe(messages.length);
  for (const { data } of recorder.of("dead")) expect(data).toMatchObject({ reason: "undecodable", attempt: 0 });
  return { received, refused: recorder.of("dead").map(({ data }) => data.error.message) };
}

describe("a content type", () => {
  test("that the actor does not accept makes a dead letter that says what it accepts; without one a body is JSON", async () => {
    const system = await stage.connect();
    const { received, refused } = await deliver(system, { accept: ["application/json"] }, [
      ["1"],
      ["2", { "Content-Type": "application/json; charset=utf-8" }],
      [encode(3, "msgpack"), msgpack],
      ["<n>4</n>", { "Content-Type": "application/xml" }],
    ]);
    expect(received).toEqual([1, 2]);
    expect(refused).toEqual([
      'A body "application/msgpack" is not accepted here; send application/json.',
      'The content type "application/xml" is not known; send application/msgpack or application/json.',
    ]);
  });

  test("that alone is accepted is what senders of the class use", async () => {
    const system = await stage.connect();
    const Json = actorOf<number, number>({ name: "json", accept: ["application/json"] }, (n) => n + 1);
    await system.work([Json]);
    expect(await system.ask(Json, 1)).toBe(2);
    const { refused } = await deliver(system, { accept: ["application/x-msgpack"] }, [["1"]]);
    expect(refused).toEqual([
      "A body without a content type, which stands for JSON, is not accepted here; send application/msgpack.",
    ]);
  });

  test("that nobody can read, and limits that cannot be, are refused when the worker starts", async () => {
    const system = await stage.connect();
    for (const [config, message] of [
      [{ accept: ["text/xml"] }, '"accept.0" must be "application/msgpack" or "application/json"'],
      [{ accept: [] }, '"accept" must not be empty'],
      [{ accept: ["application/json"], codec: "msgpack" }, 'has the codec msgpack, which its "accept" does not list'],
      [{ payload: { maxDepth: 1_001 } }, '"payload.maxDepth" must be at most 1000'],
      [{ payload: { maxBytes: 0 } }, '"payload.maxBytes" must be at least 1'],
      [{ payload: { compressAbove: true as never } }, '"payload.compressAbove" must be'],
      [{ payload: { maxAge: "1d" } as never }, 'unknown key "payload.maxAge"'],
    ] as const)
      await expect(system.work([actorOf({ name: "bad", ...config }, () => {})])).rejects.toMatchObject({
        code: "INVALID_CONFIG",
        message: expect.stringContaining(message),
      });
    await expect(stage.connect({ payload: { maxAge: "0s" } })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
  });
});

describe("limits", () => {
  const deep = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

  test("of the actor go before those of the system, and those before the defaults", async () => {
    const system = await stage.connect({ payload: { maxBytes: 1_000, maxDepth: 3, maxItems: 5 } });
    const fine = ["1", deep(2), JSON.stringify("x".repeat(900)), "[1,2,3,4]"];
    const { received, refused } = await deliver(system, { payload: { maxDepth: 2 } }, [
      ...fine.map((body) => [body] as const),
      [deep(3)],
      ["[1,2,3,4,5]"],
      [JSON.stringify("x".repeat(1_000))],
      [gzipSync(JSON.stringify("x".repeat(1_000))), gzip],
    ]);
    expect(received).toEqual(fine.map((body) => JSON.parse(body) as unknown));
    expect(refused).toEqual([
      "The body is not valid json: it is nested more than 2 levels deep",
      "The body is not valid json: it has more than 5 values",
      "The body has 1002 bytes and 1000 are taken here; send less, or raise payload.maxBytes.",
      "The body expands to 1002 bytes and 1000 are taken here; send less, or raise payload.maxBytes.",
    ]);
  });

  test("hold for a body in the object store too, which is not fetched where it is larger than the system takes", async () => {
    const sender = await stage.connect({ payload: { compressAbove: false } });
    const system = await stage.connect({ payload: { maxBytes: 100_000 } });
    for (const size of [150_000, 90_000]) await sender.tell("taker", "x".repeat(size), { id: `n${size}` });
    const received: string[] = [];
    const Taker = actorOf<string>({ name: "taker", concurrency: 1 }, (input) => void received.push(input));
    const worker = await system.work([Taker]);
    const recorder = record(worker);
    await recorder.until("dead");
    await recorder.until("completed");
    expect(received).toEqual(["x".repeat(90_000)]);
    const letter = await onlyDead(system);
    expect(letter.error.message).toMatch(/^The body, the object \S+, has 150005 bytes and 100000 are taken here; /);
    await worker.stop();
    // Its letter leads to the body, for a worker that takes it.
    await sender.dead.requeue(letter.sequence);
    const late = record(await sender.work([Taker]));
    await late.until("completed");
    expect(received[1]).toHaveLength(150_000);
  });
});

describe("a body from another program", () => {
  test("may be compressed JSON; of an unknown encoding it is a dead letter that keeps it", async () => {
    const system = await stage.connect();
    const body = gzipSync('{"n":1}');
    const { received, refused } = await deliver(system, {}, [
      ['{"n":0}'],
      [body, gzip],
      [body],
      [body, { "Content-Encoding": "br" }],
    ]);
    expect(received).toEqual([{ n: 0 }, { n: 1 }]);
    expect(refused).toEqual([
      expect.stringMatching(/^The body is not valid json: /),
      'The content encoding "br" is not known; send gzip, or none.',
    ]);
    for (const { sequence } of await listDead(system)) {
      const shown = await system.dead.show(sequence);
      expect(body.equals(shown.body)).toBe(true);
    }
  });

  test("reaches an actor with a key __proto__ in no case", async () => {
    const system = await stage.connect();
    const { received, refused } = await deliver(system, {}, [
      ['{"a":[{"__proto__":{"polluted":1}}]}'],
      [Buffer.from("81a95f5f70726f746f5f5f01", "hex"), msgpack],
    ]);
    expect(received).toEqual([]);
    expect(refused).toEqual([
      'The body is not valid json: it has a key "__proto__"',
      'The body is not valid msgpack: it has a key "__proto__"',
    ]);
  });

  test("in an event goes by the same rules for each actor that hears it", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const heard: string[] = [];
    const hears = (name: string, config: object) =>
      actorOf({ name, subscribe: ["news"], ...config }, () => void heard.push(name));
    const worker = await system.work([
      hears("any", {}),
      hears("small", { payload: { maxBytes: 50 } }),
      hears("json", { accept: ["application/json"] }),
    ]);
    const recorder = record(worker);
    await client.publish(stage.names.eventSubject("news"), gzipSync(encode("x".repeat(100), "msgpack")), {
      ...gzip,
      ...msgpack,
    });
    await recorder.until("dead", 2);
    await recorder.until("completed");
    expect(heard).toEqual(["any"]);
  });
});

test("a task whose body another worker took away, having completed it, is no dead letter", async () => {
  const system = await stage.connect({ payload: { compressAbove: false } });
  const client = await stage.client();
  const { opened, open } = gate();
  // The worker has one slot, so what comes for the other actor is in hand and has to wait.
  const worker = await system.work([actorOf({ name: "blocker" }, () => opened), actorOf({ name: "taker" }, () => {})], {
    concurrency: 1,
  });
  const recorder = record(worker);
  await system.tell("blocker", 1);
  await recorder.until("started");
  await system.tell("taker", "x".repeat(100_000));
  const inHand = async () =>
    (await client.jsm.consumers.info(stage.names.tasks, stage.names.durable("taker"))).num_ack_pending;
  await expect.poll(inHand, patient).toBe(1);
  // As the other worker does: first the message, then its body.
  await client.jsm.streams.purge(stage.names.tasks, { filter: stage.names.taskSubject("taker") });
  await client.jsm.streams.purge(`OBJ_${stage.names.payloadsBucket}`);
  open();
  // Put back, where this took longer than a worker is patient.
  await expect.poll(() => recorder.of("lost").length + recorder.of("deferred").length, patient).toBe(1);
  expect(recorder.of("dead")).toEqual([]);
  expect(await client.count(stage.names.dead)).toBe(0);
});
