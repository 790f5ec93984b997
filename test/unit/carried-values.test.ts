/** What a body can carry: each kind of value arrives as it was or is refused with its path, as the table in the reference says. */
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";
import vm from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentTypes, decode, encode } from "../../src/message/codec.ts";
import { defaultPayload } from "../../src/message/limits.ts";
import { checkCrossing } from "../../src/message/value-check.ts";

class Money {
  readonly currency = "EUR";
  readonly #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  get cents(): number {
    return this.#cents;
  }
}
class Decimal {
  toJSON(): string {
    return "1.5";
  }
}
const circle: { list: unknown[] } = { list: [] };
circle.list.push({ circle });
const liar = Object.defineProperty(new Uint8Array(2), "byteLength", { value: 4_000 });
const elsewhere = (code: string): unknown => vm.runInNewContext(code) as unknown;
const withKey = (key: string): unknown => JSON.parse(`{"${key}":1}`) as unknown;
const thrower = {
  get price(): never {
    throw new Error("not loaded");
  },
};
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();

/** The rows of the table, each with samples of its kind. */
const kinds: Record<string, unknown[]> = {
  "null, booleans, text": [null, true, "", "é😀", "x".repeat(70_000)],
  "text or a key with half of a surrogate pair": ["\ud800", "x".repeat(80) + "\udc00", { "\ud800": 1 }],
  numbers: [0, -1, 1.5, 2 ** 53, -(2 ** 40), Number.MIN_VALUE],
  "minus zero": [-0],
  "NaN and infinite numbers": [NaN, Infinity, -Infinity],
  "bigints of 64 bits, signed or not": [0n, 5n, -(2n ** 63n), 2n ** 64n - 1n],
  "larger bigints": [2n ** 64n, -(2n ** 63n) - 1n],
  "plain objects and lists, also of another realm": [
    {},
    [[]],
    { a: [{ b: 1 }] },
    { constructor: "x", hasOwnProperty: 1, prototype: {}, toJSON: 1 },
    Object.assign(Object.create(null) as object, { a: 1, toJSON: "x" }),
    Object.freeze([1]),
    elsewhere("({ a: [{ b: [] }] })"),
  ],
  "an undefined field of an object": [{ a: undefined, b: 1 }],
  "fields by symbol, fields that are not enumerable, fields of a list": [
    { [Symbol("s")]: 1 },
    Object.defineProperty({}, "hidden", { value: 1 }),
    Object.assign([1], { extra: 2 }),
  ],
  "undefined in a list": [[undefined, 1]],
  // oxlint-disable-next-line no-sparse-arrays -- the point
  "a hole in a list": [[1, , 2]],
  "undefined as the whole body": [undefined],
  "`Date`": [new Date(0), new Date(-1), new Date(8.64e15), new Date(-8.64e15), new Date("2400-01-01")],
  "an invalid `Date`": [new Date(NaN)],
  "`Uint8Array`, `Buffer`": [new Uint8Array([1, 2]), Buffer.from("text"), Buffer.alloc(9).subarray(2, 5)],
  "other typed arrays, `ArrayBuffer`, `SharedArrayBuffer`, `DataView`": [
    new Float64Array([1.5]),
    new Float32Array([1.5]),
    new Int8Array(2),
    new Uint8ClampedArray(2),
    new Int16Array(2),
    new Uint16Array(2),
    new Int32Array(2),
    new Uint32Array(new ArrayBuffer(16), 4, 2),
    new BigInt64Array(1),
    new BigUint64Array(1),
    new ArrayBuffer(8),
    new SharedArrayBuffer(8),
    new DataView(new ArrayBuffer(8), 2, 4),
    elsewhere("new Float64Array(2)"),
    liar,
  ],
  "`Map`, `Set`, `WeakMap`, `WeakSet`": [new Map(), new Map([["a", 1]]), new Set([1]), new WeakMap(), new WeakSet()],
  "promises, functions, symbols, streams, iterators": [
    Promise.resolve(1),
    () => 1,
    Symbol("s"),
    Readable.from([]),
    new ReadableStream(),
    [1].values(),
    (function* () {
      yield 1;
    })(),
  ],
  "`Error`, `RegExp`, `URL`, `URLSearchParams`, boxed primitives": [
    new Error("x"),
    elsewhere("new RangeError('x')"),
    /x/,
    new URL("http://a/b"),
    new URLSearchParams("a=1"),
    ...[1, "x", true, 1n, Symbol("s")].map((one) => Object(one) as unknown),
  ],
  "`Headers`, `FormData`, `Blob`, `Response`, `Request`": [
    new Headers({ a: "1" }),
    new FormData(),
    new Blob(["x"]),
    new Response("x"),
    new Request("http://a/"),
  ],
  "instances of classes, with `toJSON()` too; subclasses of what passes": [
    new Money(5),
    new Decimal(),
    new (class extends Date {})(0),
    new (class extends Array {})(),
    new (class extends Uint8Array {})(2),
    Object.create({ inherited: 1 }),
    elsewhere("new Date(0)"),
  ],
  "circles, getters that throw, a key `__proto__`": [circle, thrower, withKey("__proto__"), revoked],
};

const reference = readFileSync(new URL("../../docs/reference.md", import.meta.url), "utf8");
const table = /### What a body can carry\n[^|]*((?:\|.*\n)+)/.exec(reference)?.[1] ?? "";
const rows = table
  .trim()
  .split("\n")
  .slice(2)
  .map((line) => line.split("|").map((cell) => cell.trim()));

/** What the table says became of it; else what differs. */
function fate(sent: unknown, codec: "msgpack" | "json"): string {
  let arrived: unknown;
  try {
    arrived = decode(encode(sent, codec), contentTypes[codec]);
  } catch (error) {
    const { code, message } = error as Error & { code?: unknown };
    const isClear = /^[A-Z-][^\n]* cannot be sent as (msgpack|json)[^\n]*; send [^\n]+\.$/.test(message);
    return code === "UNENCODABLE" && isClear ? "refused" : message;
  }
  if (sent === undefined && arrived === null) return "as null";
  if (Object.is(sent, -0) && Object.is(arrived, 0)) return "as 0";
  if (Buffer.isBuffer(arrived) && Buffer.from(sent as Uint8Array).equals(arrived)) return "as a `Buffer`";
  if (textOf(arrived) !== textOf(sent) || typeof arrived !== typeof sent) return `as ${textOf(arrived)}`;
  const fields = (value: unknown): number => (Object(value) === value ? Reflect.ownKeys(value as object).length : 0);
  return fields(arrived) < fields(sent) ? "left out" : "as it was";
}

/** Of what passes: plain data, dates and bytes, with those of its numbers and fields that JSON would not tell. */
function textOf(value: unknown): string | undefined {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, plain: unknown) {
    const raw = this[key];
    if (raw instanceof Date) return { date: raw.getTime() };
    if (raw === undefined && Array.isArray(this)) return { undefined: true };
    return typeof raw === "bigint" || typeof raw === "number" ? `${typeof raw} ${raw}` : plain;
  });
}

/** As the table says: without undefined fields and minus zeros, and with bytes as a Buffer. */
function asItArrives(value: unknown): unknown {
  if (Object.is(value, -0)) return 0;
  if (Array.isArray(value)) return value.map(asItArrives);
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Object(value) !== value || value instanceof Date) return value;
  const fields = Object.entries(value as object).filter(([, one]) => one !== undefined);
  return Object.fromEntries(fields.map(([key, one]) => [key, asItArrives(one)]));
}

describe("a body carries", () => {
  test("exactly the kinds of the reference's table", () => {
    expect(rows.map(([, kind]) => kind)).toEqual(Object.keys(kinds));
  });

  test.each(rows)("%s%s: as MessagePack %s, as JSON %s", (_left, kind = "", msgpack, json) => {
    for (const sample of kinds[kind] ?? []) {
      expect(fate(sample, "msgpack")).toBe(msgpack);
      expect(fate(sample, "json")).toBe(json);
    }
  });
});

describe("what is refused", () => {
  test("is named with its path and with what to send instead", () => {
    const at = (price: unknown): unknown => ({ order: { items: [0, 1, 2, { price }] } });
    for (const codec of ["msgpack", "json"] as const) {
      expect(() => encode(at(Promise.resolve(5)), codec)).toThrow(
        `A Promise cannot be sent as ${codec} (order.items[3].price); send plain data, such as what it resolves to, with await.`,
      );
      expect(() => encode(at(new Money(5)), codec)).toThrow(
        `An instance of Money cannot be sent as ${codec} (order.items[3].price); send plain data, such as a plain object with its fields.`,
      );
      expect(() => encode(at(thrower), codec)).toThrow("(order.items[3].price.price)");
      expect(() => encode({ "a b": { "": [circle] } }, codec)).toThrow(
        `A circle cannot be sent as ${codec} (["a b"][""][0].list[0]`,
      );
    }
    expect(() => encode({ at: [new Date(0)] }, "json")).toThrow(
      "A Date cannot be sent as json (at[0]); send plain data, such as its toISOString(), or use the codec msgpack.",
    );
  });

  test("never lets out what the encoder's memory held before", () => {
    const secret = Buffer.from("s3cret-of-another-message");
    for (const typed of kinds["other typed arrays, `ArrayBuffer`, `SharedArrayBuffer`, `DataView`"] ?? []) {
      encode({ secret, filler: "s3cret".repeat(500) }, "msgpack");
      for (const body of [typed, { typed }, [typed, 1]])
        expect(() => encode(body, "msgpack")).toThrow(/cannot be sent/);
    }
  });

  test("never lets out memory that is not the value's, also where it is another one the second time that it is read", () => {
    const other = { proto: withKey("__proto__"), floats: new Float64Array(64), buffer: new ArrayBuffer(64), text: "x" };
    for (const second of [other.floats, other.buffer, other.proto, new DataView(other.buffer), new Uint16Array(64)]) {
      let reads = 0;
      const body = {
        bytes: Buffer.alloc(1),
        get price() {
          return reads++ === 0 ? 1 : second;
        },
      };
      expect(() => decode(encode(body, "msgpack"), contentTypes.msgpack)).toThrow(/not valid msgpack: it has an? /);
    }
    const asFloats = Object.assign(Buffer.from("text"), { toJSON: () => other.floats });
    expect(decode(encode(asFloats, "msgpack"), contentTypes.msgpack)).toEqual(Buffer.from("text"));
  });

  test("is what JSON would ask for another value, also where that is no field", () => {
    const toJSON = { value: () => "another" };
    for (const body of [
      Object.defineProperty({ a: 1 }, "toJSON", toJSON),
      Object.defineProperty([1], "toJSON", toJSON),
    ]) {
      expect(() => encode({ body }, "json")).toThrow(
        "A value with a toJSON() of its own cannot be sent as json (body); send plain data, such as what that returns.",
      );
      expect(decode(encode(body, "msgpack"), contentTypes.msgpack)).toEqual(Array.isArray(body) ? [1] : { a: 1 });
    }
  });

  test("is bytes whose memory was given away, with their path", () => {
    const bytes = new Uint8Array(8);
    structuredClone(bytes, { transfer: [bytes.buffer] });
    expect(() => encode({ file: [bytes] }, "msgpack")).toThrow(/cannot be sent as msgpack \(file\[0\]\)/);
    expect(() => encode({ file: [new Uint8Array(0)] }, "msgpack")).not.toThrow();
  });

  test("or it arrives as it was, whatever it is", () => {
    const anything = fc.anything({
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      withUnicodeString: true,
    } as never);
    fc.assert(
      fc.property(anything, fc.constantFrom("json", "msgpack"), (value, codec) => {
        let arrived: unknown;
        try {
          arrived = (decode(encode({ value }, codec), contentTypes[codec]) as { value: unknown }).value;
        } catch (error) {
          return / cannot be sent as (json|msgpack) \(value.*\); send /s.test((error as Error).message);
        }
        expect(arrived).toEqual(asItArrives(value));
        return true;
      }),
      { numRuns: 500 },
    );
  });

  test("and what passes is neither deeper nor larger than its receivers take, down to the last value", () => {
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { withCrossShrink: true },
        fc.constantFrom(null, 1, "x", undefined),
        fc.array(tie("tree"), { maxLength: 4 }),
        fc.dictionary(fc.constantFrom("a", "b", "c", "__proto__"), tie("tree"), { maxKeys: 3, noNullPrototype: true }),
      ),
    }));
    const limits = { ...defaultPayload, maxDepth: 3, maxItems: 8 };
    let refused = 0;
    fc.assert(
      fc.property(tree, fc.constantFrom("json", "msgpack"), (value, codec) => {
        let bytes: Uint8Array;
        try {
          bytes = encode(value, codec, limits);
        } catch {
          refused += 1;
          return;
        }
        decode(bytes, contentTypes[codec], limits);
      }),
      { numRuns: 3_000 },
    );
    expect(refused).toBeGreaterThan(100);
    for (const codec of ["json", "msgpack"] as const) {
      expect(() => encode([[[]]], codec, limits)).not.toThrow();
      expect(() => encode([[[[]]]], codec, limits)).toThrow("A value nested more than 3 levels deep cannot be sent");
      expect(() => encode([1, 2, 3, 4, 5, 6, 7], codec, limits)).not.toThrow();
      expect(() => encode([1, 2, 3, 4, 5, 6, 7, 8], codec, limits)).toThrow(
        `A body of more than 8 values, keys included, cannot be sent as ${codec}; send fewer, or raise payload.maxItems`,
      );
      // Each level holds the one below twice: small in memory, without end on the wire.
      let twice: unknown = [];
      for (let level = 0; level < 60; level++) twice = [twice, twice];
      expect(() => encode(twice, codec)).toThrow("A body of more than 1000000 values");
    }
  });
});

test("bytes that arrive share their memory with nothing else", () => {
  const value = { a: "s3cret", bytes: new Uint8Array(8) };
  const { bytes } = decode(encode(value, "msgpack"), contentTypes.msgpack) as typeof value;
  expect(bytes.buffer.byteLength).toBe(8);
});

test("between threads what structured clone would strip is refused, and what it keeps is not", () => {
  for (const value of [
    new Map([[{ a: 1 }, new Set([/x/])]]),
    new Error("x"),
    new Float64Array(2),
    [undefined, NaN, -0],
  ])
    expect(() => checkCrossing(value)).not.toThrow();
  for (const value of [new Headers(), new Money(5), new Map([["a", new Money(1)]]), () => 1, Promise.resolve(), circle])
    expect(() => checkCrossing({ at: value })).toThrow(/cannot be sent between threads \(at/);
});
