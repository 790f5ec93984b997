/** A sender refuses what its receivers would: what is checked is what arrives, not what was sent. */
import { expect, test } from "vitest";
import * as z from "zod";
import { Actor, config, event } from "godwit";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { configOf } from "../../src/actor/registry.ts";
import { contentTypes } from "../../src/message/codec.ts";
import { header } from "../../src/message/headers.ts";
import { Names } from "../../src/message/subjects.ts";
import { Recorder } from "../../src/testing/recorder.ts";
import { TestDelivery } from "../../src/testing/test-delivery.ts";
import { Decoder } from "../../src/worker/decoder.ts";

const names = new Names("ns");
const nested = (levels: number): unknown => {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
};
const late: StandardSchemaV1 = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate: async (value) => (value === undefined ? { value } : { issues: [{ message: "not undefined" }] }),
  },
};

/** Those of which the schema says yes before the codec has had its say. */
const dead: [string, StandardSchemaV1, unknown, "msgpack" | "json"][] = [
  ["a date as JSON", z.object({ at: z.date() }), { at: new Date(0) }, "json"],
  ["a map as JSON", z.map(z.string(), z.number()), new Map([["a", 1]]), "json"],
  ["a map", z.map(z.string(), z.number()), new Map([["a", 1]]), "msgpack"],
  ["a set", z.object({ tags: z.set(z.string()) }), { tags: new Set(["a"]) }, "msgpack"],
  ["bytes as JSON", z.instanceof(Uint8Array), new Uint8Array(1), "json"],
  ["a typed array", z.instanceof(Float64Array), new Float64Array(1), "msgpack"],
  ["a bigint as JSON", z.bigint(), 5n, "json"],
  ["a bigint of more than 64 bits", z.bigint(), 2n ** 70n, "msgpack"],
  ["nothing", z.void(), undefined, "msgpack"],
  ["nothing, as JSON", z.void(), undefined, "json"],
  ["an optional body that is not given", z.object({ a: z.string() }).optional(), undefined, "msgpack"],
  ["nothing, of a schema that takes its time", late, undefined, "msgpack"],
  ["NaN as JSON", z.nan(), NaN, "json"],
  ["infinity as JSON", z.object({ max: z.literal(Infinity) as never }), { max: Infinity }, "json"],
  ["undefined in a list, as JSON", z.array(z.string().optional()), ["a", undefined], "json"],
  ["a key __proto__", z.record(z.string(), z.unknown()), JSON.parse('{"__proto__":{"a":1}}'), "msgpack"],
  ["a key __proto__ as JSON", z.unknown(), JSON.parse('{"a":[{"__proto__":1}]}'), "json"],
  ["150 levels", z.unknown(), nested(150), "msgpack"],
  ["150 levels, as JSON", z.unknown(), nested(150), "json"],
  ["1,000,001 values", z.array(z.number()), Array<number>(1_000_000).fill(1), "msgpack"],
  ["1,000,001 values, as JSON", z.array(z.number()), Array<number>(1_000_000).fill(1), "json"],
  ["an instance of a class", z.instanceof(URL), new URL("http://a/b"), "msgpack"],
  ["a bytes' own class", z.instanceof(Buffer).refine((one) => one.length > 1), Buffer.alloc(1), "msgpack"],
];

/** What passes the sender passes here. */
const alive: [string, StandardSchemaV1, unknown, "msgpack" | "json"][] = [
  ["a date", z.object({ at: z.date() }), { at: new Date(0) }, "msgpack"],
  ["a text that becomes a date", z.coerce.date(), "2026-01-01", "json"],
  ["a field that is not given", z.strictObject({ a: z.string().optional() }), { a: undefined }, "json"],
  ["a field that is unknown, and undefined", z.strictObject({ a: z.string() }), { a: "x", b: undefined }, "msgpack"],
  ["bytes that arrive as a Buffer", z.instanceof(Buffer), new Uint8Array(2), "msgpack"],
  ["null for what may be", z.null(), undefined, "msgpack"],
  ["NaN", z.nan(), NaN, "msgpack"],
  ["100 levels", z.unknown(), nested(100), "json"],
  ["what a transform refuses to take twice", z.string().transform((text) => text.length), "abc", "msgpack"],
];

function actorOf(input: StandardSchemaV1, payload = {}) {
  return class One extends Actor<never> {
    static override readonly config = config({ name: "one", input, payload });
    override receive(): void {}
  };
}

test.each(dead)("%s is refused by the sender, for a task and for an event", async (_kind, input, body, codec) => {
  const recorder = new Recorder(names);
  const refusal = { code: expect.stringMatching(/^(UNENCODABLE|INVALID_MESSAGE)$/) as string };
  await expect(recorder.tell(actorOf(input), body as never, { codec })).rejects.toMatchObject(refusal);
  await expect(recorder.publish(event("e", input), body as never, { codec })).rejects.toMatchObject(refusal);
  expect([...recorder.told, ...recorder.published]).toEqual([]);
});

test.each(alive)("%s is taken by sender and worker", async (_kind, input, body, codec) => {
  const recorder = new Recorder(names);
  const One = actorOf(input);
  await recorder.tell(One, body, { codec });
  expect(recorder.told).toHaveLength(1);
  const { encode } = await import("../../src/message/codec.ts");
  const delivery = new TestDelivery({
    stream: names.tasks,
    subject: names.taskSubject("one"),
    count: 1,
    ackWaitMs: 1_000,
    storedAtMs: 0,
    headers: { [header.contentType]: contentTypes[codec] },
    body: encode(body, codec),
  });
  expect(await new Decoder(names, configOf(One)).decode(delivery)).toMatchObject({ ok: true });
});

test("the actor's own limits hold for its senders, larger ones and smaller ones", async () => {
  const recorder = new Recorder(names);
  // The recorder decodes it by the default limits: it was sent.
  await expect(recorder.tell(actorOf(z.unknown(), { maxDepth: 200 }), nested(150) as never)).rejects.toMatchObject({
    code: "UNDECODABLE",
  });
  await expect(recorder.tell(actorOf(z.unknown(), { maxDepth: 5 }), nested(6) as never)).rejects.toThrow(
    "A value nested more than 5 levels deep cannot be sent as msgpack",
  );
  await expect(recorder.tell(actorOf(z.unknown(), { maxItems: 5 }), [1, 2, 3, 4, 5] as never)).rejects.toThrow(
    "A body of more than 5 values, keys included, cannot be sent",
  );
});
