/** Hostile bodies: the n-th one is the same in every run, so that what became of it can be looked up. */
import { gzipSync } from "node:zlib";
import { encode } from "../../../src/message/codec.ts";

export interface HostileMessage {
  kind: string;
  body: Uint8Array;
  headers: Record<string, string>;
}

/** Numbers in [0, 1) from a seed: mulberry32, by Tommy Ettinger, in the public domain. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const types = ["application/msgpack", "application/json"] as const;
const oddTypes = [
  "text/html",
  "application/x-msgpack",
  "application/json; charset=latin1",
  "a".repeat(3_000),
  ";",
  "msgpack",
  "__proto__",
];
const oddEncodings = ["gzip", "br", "deflate", "identity", "GZIP", "gzip, gzip", "constructor", "x".repeat(3_000)];
const oddHeaders = [
  ["Godwit-Id", "é".repeat(200)],
  ["Godwit-Id", "__proto__"],
  ["Godwit-Expires", "NaN"],
  ["Godwit-Expires", "1"],
  ["Godwit-Reply", "$JS.API.STREAM.DELETE.x"],
  ["Godwit-Event", "a b c"],
  ["Godwit-Event", "__proto__ constructor"],
  ["Godwit-Body-Object", "../../etc/passwd"],
  ["Godwit-Body-Object", ">"],
  ["Content-Length", "99999999999"],
  ["traceparent", "x".repeat(5_000)],
] as const;
const oddJson = [
  '{"__proto__":{"polluted":true}}',
  '{"constructor":{"prototype":{"polluted":true}}}',
  '{"a":1e999}',
  "[,]",
  "NaN",
  '"\\u00',
  "\ufeff{}",
  '{"toString":1,"then":2,"length":-1}',
  '{"\\u005f_proto__":1}',
  "",
  " ",
  "0".repeat(2_000),
  "[".repeat(5_000),
  '{"a":'.repeat(3_000),
];
/** The first bytes of MessagePack values, of those that declare lengths above all. */
const tags = [
  0x8f, 0x9f, 0xbf, 0xc1, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcf, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda,
  0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0x72, 0x78, 0x65, 0x69, 0x70, 0x73, 0xff,
];

export function hostileMessage(n: number): HostileMessage {
  const random = randomFrom(n + 1);
  const whole = (below: number): number => Math.floor(random() * below);
  const pick = <T>(list: readonly T[]): T => list[whole(list.length)] as T;
  const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => whole(256)));
  const value = (depth: number): unknown => {
    const kind = whole(depth > 3 ? 5 : 8);
    if (kind === 0) return whole(1e9) * (random() - 0.5);
    if (kind === 1) return random() < 0.5;
    if (kind === 2) return null;
    if (kind === 3) return String.fromCodePoint(...Array.from({ length: whole(20) }, () => whole(0xd000)));
    if (kind === 4) return new Date(whole(1e12)).toISOString();
    if (kind < 7) return Array.from({ length: whole(5) }, () => value(depth + 1));
    return Object.fromEntries(Array.from({ length: whole(5) }, (_, at) => [`k${at}`, value(depth + 1)]));
  };
  const valid = (type: (typeof types)[number]): Buffer =>
    Buffer.from(encode(value(0), type === "application/json" ? "json" : "msgpack"));
  const mutate = (body: Buffer): Buffer => {
    const copy = Buffer.from(body);
    for (let times = 1 + whole(4); times > 0 && copy.length > 0; times--)
      copy[whole(copy.length)] = random() < 0.5 ? whole(256) : pick(tags);
    return copy;
  };
  const type = pick(types);
  const headers: Record<string, string> = { "Content-Type": type };
  const gzipped = (body: Buffer): Buffer => {
    headers["Content-Encoding"] = "gzip";
    return gzipSync(body, { level: 1 });
  };
  const made = (kind: string, body: Uint8Array): HostileMessage => ({ kind, body, headers });
  switch (whole(13)) {
    case 0:
      return made("random", bytes(whole(200)));
    case 1: {
      const body = valid(type);
      return made("truncated", body.subarray(0, whole(body.length)));
    }
    case 2:
      return made("mutated", mutate(valid(type)));
    case 3:
      return made(
        "tags",
        Buffer.from(Array.from({ length: 1 + whole(30) }, () => (random() < 0.7 ? pick(tags) : whole(256)))),
      );
    case 4:
      headers["Content-Type"] = type;
      return made(
        "nested",
        Buffer.alloc(1 + whole(20_000), type === "application/json" ? "[" : pick([0x91, 0x81, 0x9f])),
      );
    case 5:
      headers["Content-Type"] = "application/json";
      return made("odd json", Buffer.from(pick(oddJson)));
    case 6:
      headers["Content-Type"] = pick(oddTypes);
      return made("odd type", valid(type));
    case 7:
      headers["Content-Encoding"] = pick(oddEncodings);
      return made("odd encoding", valid(type));
    case 8: {
      const [name, text] = pick(oddHeaders);
      headers[name] = text;
      return made("odd header", random() < 0.2 ? Buffer.alloc(0) : valid(type));
    }
    case 9: {
      const body = gzipped(valid(type));
      return made("broken gzip", random() < 0.5 ? mutate(body) : body.subarray(0, whole(body.length)));
    }
    case 10:
      // A small bomb: one in twenty, for the sake of the time that it takes to make them.
      if (whole(20) > 0) return made("gzip", gzipped(valid(type)));
      return made("bomb", gzipped(Buffer.alloc(1_000_000, type === "application/json" ? "[" : 0x90)));
    case 11:
      headers["Content-Type"] = "application/msgpack";
      return made(
        "declared",
        Buffer.concat([Buffer.from([pick([0xdd, 0xdf, 0xdb, 0xc6, 0xc9])]), bytes(4), bytes(whole(10))]),
      );
    default:
      return made("valid", valid(type));
  }
}
