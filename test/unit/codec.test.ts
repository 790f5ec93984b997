/** Codec: what goes in comes out, what cannot go in is refused, and no bytes whatsoever do harm. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { contentTypes, decode, encode } from "../../src/message/codec.ts";

const key = fc.string({ maxLength: 10 }).filter((value) => value !== "__proto__" && value !== "toJSON");
/** JSON's values, without the key that is refused. A negative zero comes back as zero, from JSON.stringify as well. */
const json = fc
  .jsonValue({ stringUnit: "grapheme" })
  .map((value) => JSON.stringify(value))
  .filter((text) => !text.includes('"__proto__":'))
  .map((text) => JSON.parse(text) as unknown);
const { tree: rich } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.string({ unit: "binary", maxLength: 20 }).filter((value) => value.isWellFormed()),
    fc.double({ noNaN: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31") }),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.dictionary(key, tie("tree"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

/** Byte arrays come back as Buffers, which are byte arrays. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one)]));
}

/** `"value"`, or the code of what was thrown. */
function attempt(call: () => unknown): unknown {
  try {
    call();
    return "value";
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

describe("a value", () => {
  test("of JSON survives both codecs", () => {
    fc.assert(
      fc.property(json, fc.constantFrom("json", "msgpack"), (value, codec) => {
        expect(decode(encode(value, codec), contentTypes[codec])).toEqual(value);
      }),
    );
  });

  test("with dates, bytes and big integers survives MessagePack", () => {
    fc.assert(
      fc.property(rich, (value) => {
        expect(plain(decode(encode(value, "msgpack"), contentTypes.msgpack))).toEqual(plain(value));
      }),
    );
  });

  test("that is undefined becomes null", () => {
    for (const codec of ["json", "msgpack"] as const) {
      expect(decode(encode(undefined, codec), contentTypes[codec])).toBeNull();
    }
  });

  test("that cannot be carried is refused in one line", () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    const inMessagePack = [() => 1, Symbol("s"), { f: () => 1 }, [Symbol("s")], circle, 2n ** 64n, { n: -(2n ** 64n) }];
    for (const value of inMessagePack) expect(() => encode(value, "msgpack")).toThrow(/^[^\n]+; send plain data.*\.$/);
    for (const value of [() => 1, Symbol("s"), circle, 1n, { n: 1n }]) {
      expect(() => encode(value, "json")).toThrow(/^[^\n]+; send plain data.*\.$/);
    }
  });

  test("is written so that any MessagePack library can read it: no extension but that for dates", () => {
    const bytes = Buffer.from(
      encode(
        [
          { a: 1, b: "x" },
          { a: 2, b: "y" },
        ],
        "msgpack",
      ),
    );
    expect(bytes.toString("hex")).toBe("9282a16101a162a17882a16102a162a179");
  });
});

describe("bytes", () => {
  test("without a content type are JSON, and parameters and other spellings of a type do not matter", () => {
    const body = Buffer.from('{"n":1}');
    for (const type of [undefined, "application/json", "application/json; charset=utf-8", "Application/JSON"]) {
      expect(decode(body, type)).toEqual({ n: 1 });
    }
    for (const type of ["application/msgpack", "application/x-msgpack", "application/vnd.msgpack; v=1"]) {
      expect(decode(encode({ n: 1 }, "msgpack"), type)).toEqual({ n: 1 });
    }
    for (const type of ["text/plain", "", "json", "application/xml"]) {
      expect(() => decode(body, type)).toThrow(/is not known; send application\/msgpack or application\/json/);
    }
  });

  test("that are no whole value are refused, in one line", () => {
    const cases: [Uint8Array, string | undefined][] = [
      [Buffer.alloc(0), undefined],
      [Buffer.alloc(0), contentTypes.msgpack],
      [Buffer.from('{"a":\n1'), undefined],
      [Buffer.from("1 2"), undefined],
      [Buffer.from([0xff]), undefined],
      [Buffer.from([0x22, 0xc3, 0x22]), undefined],
      [Buffer.from([0x92, 0x01]), contentTypes.msgpack],
      [Buffer.from([0x01, 0x02]), contentTypes.msgpack],
      [Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), contentTypes.msgpack],
      [Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff]), contentTypes.msgpack],
      [Buffer.alloc(300_000, 0x91), contentTypes.msgpack],
      [Buffer.from("[".repeat(300_000)), undefined],
    ];
    for (const [bytes, type] of cases) {
      expect(() => decode(bytes, type)).toThrow(/^The body is not valid (json|msgpack): [^\n]*$/);
    }
  });

  test("cut short anywhere are refused", () => {
    fc.assert(
      fc.property(rich, fc.double({ min: 0, max: 0.999, noNaN: true }), (value, share) => {
        const bytes = encode([value], "msgpack");
        expect(() => decode(bytes.subarray(0, Math.floor(bytes.length * share)), contentTypes.msgpack)).toThrow(
          /not valid/,
        );
      }),
    );
  });

  test("of any kind give a value or a DecodeError, and leave no trace in what is decoded after them", () => {
    const probe = { n: [64, 65, 127, "text"], at: new Date(5) };
    const encoded = encode(probe, "msgpack");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom("json", "msgpack"), (bytes, codec) => {
        expect(["value", "UNDECODABLE"]).toContain(attempt(() => decode(bytes, contentTypes[codec])));
        expect(decode(encoded, contentTypes.msgpack)).toEqual(probe);
        expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      }),
      { numRuns: 3_000 },
    );
  });

  test("that define records, as one MessagePack library does, change nothing for others", () => {
    const record = Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]);
    for (const bytes of [record, Buffer.from([0x92, ...record])]) {
      expect(["value", "UNDECODABLE"]).toContain(attempt(() => decode(bytes, contentTypes.msgpack)));
      expect(decode(Buffer.from([0x40]), contentTypes.msgpack)).toBe(0x40);
    }
  });
});
