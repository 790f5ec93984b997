/** Hostile bytes: what would overflow, pollute, swell or build more than plain data is refused before it is decoded. */
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { stackOf } from "../../src/kernel/errors.ts";
import { decodeBody } from "../../src/message/body.ts";
import { contentTypes, decode, encode } from "../../src/message/codec.ts";
import { compress, decompress } from "../../src/message/compression.ts";
import { checkJson } from "../../src/message/json-check.ts";
import { defaultPayload, maxDepthLimit } from "../../src/message/limits.ts";
import { checkMsgpack } from "../../src/message/msgpack-check.ts";

const { msgpack } = contentTypes;
const bare = new Packr({ useRecords: false, variableMapSize: true });
const text = (value: string): number[] => [0xa0 + value.length, ...Buffer.from(value)];
const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0xc0])]);
const nestedJson = (depth: number): Buffer => Buffer.from("[".repeat(depth) + "]".repeat(depth));

describe("depth", () => {
  test("is allowed up to the limit and no further, in both formats", () => {
    for (const maxDepth of [1, 100, maxDepthLimit]) {
      const rules = { ...defaultPayload, maxDepth };
      expect(() => decode(nested(maxDepth), msgpack, rules)).not.toThrow();
      expect(() => decode(nestedJson(maxDepth), undefined, rules)).not.toThrow();
      const deep = `nested more than ${maxDepth} levels deep`;
      expect(() => decode(nested(maxDepth + 1), msgpack, rules)).toThrow(deep);
      expect(() => decode(nestedJson(maxDepth + 1), undefined, rules)).toThrow(deep);
      expect(() => decode(Buffer.from('{"a":'.repeat(maxDepth + 1)), undefined, rules)).toThrow(deep);
    }
  });

  test("of a million is refused without overflow, as the library does by overflowing", () => {
    expect(() => bare.unpack(nested(1_000_000))).toThrow(RangeError);
    expect(checkMsgpack(nested(1_000_000), defaultPayload)).toMatch(/nested more than 100/);
    expect(checkJson(nestedJson(1_000_000), defaultPayload)).toMatch(/nested more than 100/);
  });

  test("is counted outside of texts only, and comes down again", () => {
    const wide = JSON.stringify(Array.from({ length: 200 }, () => [['"[[[[\\"[[', "\\", "[\\\\"]]));
    expect(decode(Buffer.from(wide), undefined)).toEqual(JSON.parse(wide));
    expect(
      checkMsgpack(bare.pack(Array.from({ length: 200 }, () => [[1], { a: [] }])), defaultPayload),
    ).toBeUndefined();
  });
});

describe("numbers of values", () => {
  const rules = { ...defaultPayload, maxItems: 10 };

  test("are allowed up to the limit, keys included", () => {
    for (const codec of ["json", "msgpack"] as const) {
      expect(decode(encode([1, 2, 3, 4, 5, 6, 7, 8, 9], codec), contentTypes[codec], rules)).toHaveLength(9);
      expect(() => decode(encode(Array(10).fill(0), codec), contentTypes[codec], rules)).toThrow("more than 10 values");
      expect(() => decode(encode({ a: 1, b: 2, c: 3, d: 4, e: 5 }, codec), contentTypes[codec], rules)).toThrow(
        "more than 10 values",
      );
    }
  });

  test("that are declared and cannot be there are not gone after", () => {
    for (const bytes of [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0xff, 0xff, 0xff],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
      [0xdc, 0xff],
      [0x92, 0xdd, 0x01, 0x00, 0x00, 0x00, 0x01],
    ])
      expect(() => decode(Buffer.from(bytes), msgpack)).toThrow("it is cut short");
  });

  test("in a bomb of empty lists are refused before they cost forty bytes each", () => {
    const count = 20_000_000;
    const bomb = Buffer.alloc(5 + count, 0x90);
    bomb[0] = 0xdd;
    bomb.writeUInt32BE(count, 1);
    expect(() => decode(bomb, msgpack)).toThrow("more than 1000000 values");
  });
});

describe("types", () => {
  test("that are not plain data are refused, though the library would build them", () => {
    const ext = (type: number, ...content: number[]): Buffer => Buffer.from([0xc7, content.length, type, ...content]);
    const moreTypes = new Packr({ useRecords: false, moreTypes: true, structuredClone: true });
    for (const bytes of [
      moreTypes.pack(/(a+)+$/),
      moreTypes.pack(new Set([1])),
      moreTypes.pack(new RangeError("x")),
      new Packr({ useRecords: true }).pack({ a: 1 }),
      ext(0x42, ...Buffer.alloc(200, 0x7f)),
      ext(0x74, 6, 0, 0, 0, 0),
    ]) {
      const refusal = "The body is not valid msgpack: it has an extension that is no date, and is not plain data";
      expect(() => bare.unpack(bytes)).not.toThrow();
      expect(() => decode(bytes, msgpack)).toThrow(refusal);
      expect(() => decode(Buffer.concat([Buffer.from([0x92, 0x01]), bytes]), msgpack)).toThrow(refusal);
    }
    expect(bare.unpack(moreTypes.pack(/(a+)+$/))).toBeInstanceOf(RegExp);
    for (let type = 0; type < 256; type++) {
      for (const bytes of [
        Buffer.from([0xd4, type, 0]),
        Buffer.from([0xd5, type, 0, 0]),
        ext(type, 1, 2, 3),
        Buffer.from([0xd8, type, ...Buffer.alloc(16)]),
      ]) {
        const plain = bytes[0] === 0xd4 && (type === 0 || type === 0xff);
        expect(checkMsgpack(bytes, defaultPayload) === undefined, `${type} ${bytes.toString("hex")}`).toBe(plain);
      }
    }
  });

  test("that Godwit writes pass", () => {
    for (const value of [
      new Date(5),
      new Date("2400-01-01"),
      new Date(-5),
      [undefined],
      2n ** 64n - 1n,
      -(2n ** 63n),
      new Uint8Array(300),
      1.5,
      "é".repeat(70_000),
      null,
      true,
    ])
      expect(checkMsgpack(encode(value, "msgpack"), defaultPayload)).toBeUndefined();
    expect(checkMsgpack(bare.pack(new Date(NaN)), defaultPayload)).toBeUndefined();
  });

  test("the check and the library agree on what is whole", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.uint8Array({ minLength: 1, maxLength: 3 }), (value, tail) => {
        fc.pre(!JSON.stringify(value).includes('"__proto__":'));
        const bytes = bare.pack(value);
        expect(checkMsgpack(bytes, defaultPayload)).toBeUndefined();
        expect(checkMsgpack(bytes.subarray(0, -1), defaultPayload)).toBeDefined();
        expect(checkMsgpack(Buffer.concat([bytes, tail]), defaultPayload)).toBeDefined();
      }),
      { numRuns: 1_000 },
    );
  });

  test("whatever passes the check is decoded, but for texts that are none", () => {
    const kinds = [
      0x90, 0x91, 0x81, 0xa1, 0xc0, 0xc1, 0xc4, 0xc7, 0xca, 0xcb, 0xcf, 0xd3, 0xd4, 0xd6, 0xd7, 0xd9, 0xdc, 0xde, 0xff,
      0x00, 0x61,
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...kinds), fc.nat(255)), { maxLength: 30 }), (list) => {
        const bytes = Buffer.from(list);
        if (checkMsgpack(bytes, defaultPayload) === undefined) bare.unpack(bytes);
      }),
      { numRuns: 20_000 },
    );
  });
});

describe("a key __proto__", () => {
  test("is refused at any depth, however it is spelled, and nothing else is", () => {
    for (const json of [
      '{"__proto__":{"polluted":1}}',
      '[{"a":{"__proto__":1}}]',
      String.raw`{"\u005f_proto__":1}`,
      String.raw`{"__pr\u006Fto__":1}`,
      String.raw`{"__p\u0072o\u0074o__":1}`,
    ])
      expect(() => decode(Buffer.from(json), undefined)).toThrow('it has a key "__proto__"');
    const bytes = Buffer.from([0x81, ...text("__proto__"), 0x81, ...text("polluted"), 0x01]);
    expect(() => decode(bytes, msgpack)).toThrow('it has a key "__proto__"');
    expect(() =>
      decode(Buffer.concat([Buffer.from([0x81, 0xd9, 9]), Buffer.from("__proto__"), Buffer.from([1])]), msgpack),
    ).toThrow('"__proto__"');
    for (const fine of [
      '{"a":"__proto__"}',
      '{"constructor":{"prototype":{"x":1}}}',
      String.raw`["\u005f"]`,
      '["__proto__"]',
    ])
      expect(decode(Buffer.from(fine), undefined)).toEqual(JSON.parse(fine));
    expect(decode(encode(["__proto__", { a: "__proto__" }], "msgpack"), msgpack)).toEqual([
      "__proto__",
      { a: "__proto__" },
    ]);
  });

  test("neither parser pollutes with it: an own key in one, renamed in the other", () => {
    const parsed = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}') as Record<
      string,
      unknown
    >;
    expect(Object.keys(parsed)).toEqual(["__proto__", "constructor"]);
    const unpacked = bare.unpack(Buffer.from([0x81, ...text("__proto__"), 0x81, ...text("polluted"), 0x01])) as object;
    expect(Object.getPrototypeOf(unpacked)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("nor is anything but text or a number a key", () => {
    for (const key of [[0x90], [0x80], [0xc4, 0], [0xd6, 0xff, 0, 0, 0, 1]])
      expect(() => decode(Buffer.from([0x81, ...key, 0x01]), msgpack)).toThrow("neither text nor a number");
    expect(decode(Buffer.from([0x81, 0x05, 0x01]), msgpack)).toEqual({ "5": 1 });
  });
});

describe("texts that are no UTF-8", () => {
  test("are refused as JSON; in MessagePack what is no character is shown as such", () => {
    expect(() => decode(Buffer.from([0x22, 0xff, 0x22]), undefined)).toThrow(/not valid json/);
    expect(decode(Buffer.from([0xa2, 0xff, 0x61]), msgpack)).toBe("\ufffda");
  });
});

describe("compressed bytes", () => {
  const headers = (encoding: string, type?: string) => ({
    get: (name: string) => (name === "Content-Encoding" ? encoding : name === "Content-Type" ? type : undefined),
  });
  const json = Buffer.from(JSON.stringify({ text: "x".repeat(1_000) }));

  test("come out as they went in, at once or not, whatever their encoding is called", async () => {
    for (const size of [20_000, 1_000_000]) {
      const bytes = Buffer.alloc(size, "abc");
      const small = await compress(bytes);
      expect(small?.length).toBeLessThan(size / 50);
      expect(bytes.equals(await decompress(small ?? bytes, "gzip", size))).toBe(true);
    }
    for (const encoding of ["gzip", "GZIP", " gzip ", "x-gzip"])
      expect(decodeBody(gzipSync(json), headers(encoding))).toEqual(JSON.parse(json.toString()));
    expect(decodeBody(json, headers("identity"))).toEqual(JSON.parse(json.toString()));
    const parts = Buffer.concat([gzipSync(Buffer.alloc(100_000, "[")), gzipSync("]")]);
    expect(await decompress(parts, "gzip", 1_000_000)).toHaveLength(100_001);
  });

  test("of an unknown encoding, of none, or cut short are refused in one sentence", async () => {
    for (const encoding of ["br", "deflate", "gzip, gzip", "x".repeat(60_000)])
      expect(() => decodeBody(json, headers(encoding))).toThrow(
        /^The content encoding ".{1,80}" is not known; send gzip, or none\.$/,
      );
    const large = gzipSync(Buffer.from(Array.from({ length: 200_000 }, (_, n) => n * n).join()));
    for (const bytes of [
      json,
      Buffer.alloc(0),
      gzipSync(json).subarray(0, -3),
      large.subarray(0, -1),
      Buffer.concat([gzipSync(json), json]),
    ]) {
      const decoding = async (): Promise<unknown> => decodeBody(bytes, headers("gzip"));
      await expect(decoding()).rejects.toMatchObject({
        code: "UNDECODABLE",
        message: expect.stringMatching(/^The body (is not valid gzip: |expands to \d+ bytes)[^\n]+$/),
      });
    }
  });

  test("that say or turn out to be too large are given up there", async () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    const began = process.memoryUsage().arrayBuffers;
    expect(() => decompress(bomb, "gzip", 1_000_000)).toThrow(
      "The body expands to 10000000 bytes and 1000000 are taken here",
    );
    const liar = Buffer.from(bomb);
    liar.writeUInt32LE(10, liar.length - 4);
    await expect(Promise.resolve(decompress(liar, "gzip", 1_000_000))).rejects.toThrow(
      /expands to more than the 1000000 bytes/,
    );
    expect(process.memoryUsage().arrayBuffers - began).toBeLessThan(5_000_000);
  });

  test("are not looked at where their type is not accepted", () => {
    const rules = { ...defaultPayload, accept: new Set(["msgpack"] as const) };
    expect(() => decodeBody(json, headers("gzip"), rules)).toThrow(
      "A body without a content type, which stands for JSON, is not accepted here; send application/msgpack.",
    );
    expect(() => decodeBody(json, headers("gzip", "application/json; charset=utf-8"), rules)).toThrow(
      /is not accepted here/,
    );
    expect(() => decodeBody(json, headers("gzip", "text/xml"), rules)).toThrow(/"text\/xml" is not known/);
  });
});

test("a large archive that says it is small does not hold the event loop", async () => {
  const empty = gzipSync("");
  const members = Buffer.concat(Array.from({ length: 5_000 }, () => empty));
  const expanded = decompress(members, "gzip", 1_000);
  expect(expanded).toBeInstanceOf(Promise);
  expect(await expanded).toHaveLength(0);
});

test("the error of a body that is no JSON quotes nothing of it, and has no cause that does", () => {
  const bodies = [
    "s3cret body",
    `{"a":"s3cret" x${"y".repeat(200)}`,
    `${" ".repeat(100)}s3cret${" ".repeat(100)}`,
    '"s3cret',
    '{"a":s3cret}\n"',
  ];
  for (const body of bodies) {
    let thrown: unknown;
    try {
      decode(Buffer.from(body), undefined);
    } catch (error) {
      thrown = error;
    }
    expect(stackOf(thrown as Error)).toMatch(/^DecodeError: The body is not valid json: [A-Z]/);
    expect(stackOf(thrown as Error)).not.toMatch(/3cret/);
    expect((thrown as Error).cause).toBeUndefined();
  }
});
