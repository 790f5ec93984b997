/** Keys of guards: any text has a token of its own that a KV key can carry. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { keyToken } from "../../src/guard/key.ts";
import { DecodeError } from "../../src/kernel/errors.ts";
import { onceKey, readEntry, writeEntry } from "../../src/guard/once/entry.ts";
import { encode } from "../../src/message/codec.ts";

const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 100 }),
  fc.string({ maxLength: 300 }),
  fc.constantFrom("", "a.b", "=h", "=41", "A"),
);

test("Every text has a token that KV takes, and no other text has the same", () => {
  const texts = new Map<string, string>();
  fc.assert(
    fc.property(text, (one) => {
      const token = keyToken(one);
      expect(token).toMatch(/^[A-Za-z0-9_=-]{1,64}$/);
      expect(texts.get(token) ?? one).toBe(one);
      texts.set(token, one);
    }),
    { numRuns: 2_000 },
  );
});

test("An effect's key tells actor, id, cause and key apart", () => {
  const scopes = [
    { actor: "a", id: "m", cause: "task" },
    { actor: "a", id: "m", cause: "godwit_EVENTS godwit.event.placed" },
    { actor: "a", id: "m", cause: "godwit_EVENTS godwit.event.cancelled" },
    { actor: "a", id: "m.x", cause: "task" },
    { actor: "a.m", id: "x", cause: "task" },
  ];
  const keys = scopes.flatMap((scope) => ["k", "x", "k".repeat(100)].map((key) => onceKey(scope, key)));
  expect(new Set(keys).size).toBe(keys.length);
  expect(onceKey({ actor: "shop.pack", id: "o1", cause: "task" }, "charge")).toBe("shop.pack.o1.charge");
});

test("What is no entry of this version is not taken for one", () => {
  expect(readEntry(writeEntry({ state: "free" }))).toMatchObject({ state: "free" });
  for (const other of [{ v: 2, state: "free" }, { state: "free" }, {}, null, 7, "free"]) {
    expect(() => readEntry(encode(other, "msgpack"))).toThrow(DecodeError);
  }
});
