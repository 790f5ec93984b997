/**
 * MessagePack check: walks over a body's bytes before they are decoded, without recursion and without making anything.
 * 1. What passes is one whole value, within the limits, and decoding it does not overflow the stack.
 * 2. What passes is plain data. The decoder would also build what extensions name, such as regular expressions and references to
 *    what holds them, and would compile code for records.
 * The format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
import { maxDepthLimit, type BodyLimits } from "./limits.ts";

/** Values still to come, for each level that is open. Shared, since a check never waits. */
const rest = new Float64Array(maxDepthLimit + 2);
/** 1 where the level is an object, whose values come in pairs. */
const isMap = new Uint8Array(maxDepthLimit + 2);

const cutShort = "it is cut short";

/** @returns what is wrong with the bytes, `undefined` for nothing. */
export function checkMsgpack(bytes: Uint8Array, { maxDepth, maxItems }: BodyLimits): string | undefined {
  const { length } = bytes;
  let at = 0;
  let depth = 0;
  let items = 0;
  rest[0] = 1;
  isMap[0] = 0;
  for (;;) {
    while (rest[depth] === 0) {
      if (depth === 0) return at === length ? undefined : "something follows its value";
      depth -= 1;
    }
    const left = rest[depth] as number;
    const isKey = isMap[depth] === 1 && left % 2 === 0;
    rest[depth] = left - 1;
    if (at >= length) return cutShort;
    items += 1;
    if (items > maxItems) return `it has more than ${maxItems} values`;
    const tag = bytes[at++] as number;
    // Small integers, nil, booleans.
    if (tag < 0x80 || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) continue;
    let size = -1;
    let count = -1;
    let map = false;
    if (tag >= 0xa0 && tag < 0xc0) size = tag & 0x1f;
    else if (tag < 0xa0) {
      count = tag & 0x0f;
      map = tag < 0x90;
    } else {
      switch (tag) {
        case 0xd9:
          size = readUint(bytes, at, 1);
          at += 1;
          break;
        case 0xda:
          size = readUint(bytes, at, 2);
          at += 2;
          break;
        case 0xdb:
          size = readUint(bytes, at, 4);
          at += 4;
          break;
        case 0xc4:
        case 0xc5:
        case 0xc6: {
          if (isKey) return "a key of an object is neither text nor a number";
          const width = 1 << (tag - 0xc4);
          size = readUint(bytes, at, width);
          at += width;
          break;
        }
        case 0xca:
          at += 4;
          continue;
        case 0xcb:
          at += 8;
          continue;
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
          at += 1 << (tag - 0xcc);
          continue;
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3:
          at += 1 << (tag - 0xd0);
          continue;
        case 0xdc:
        case 0xde:
          count = readUint(bytes, at, 2);
          map = tag === 0xde;
          at += 2;
          break;
        case 0xdd:
        case 0xdf:
          count = readUint(bytes, at, 4);
          map = tag === 0xdf;
          at += 4;
          break;
        case 0xc1:
          return "it has the byte 0xc1, which means nothing";
        default: {
          const end = extensionEnd(bytes, tag, at);
          if (end === undefined) return "it has an extension that is no date, and is not plain data";
          if (isKey) return "a key of an object is neither text nor a number";
          at = end;
          continue;
        }
      }
    }
    if (size >= 0) {
      if (isKey && size === 9 && isProto(bytes, at)) return 'it has a key "__proto__"';
      at += size;
      if (at > length) return cutShort;
      continue;
    }
    if (isKey) return "a key of an object is neither text nor a number";
    if (map) count *= 2;
    // Each value has at least a byte: a length that cannot be is not gone after.
    if (!(count <= length - at)) return cutShort;
    if (depth >= maxDepth) return `it is nested more than ${maxDepth} levels deep`;
    depth += 1;
    rest[depth] = count;
    isMap[depth] = map ? 1 : 0;
  }
}

/** `NaN` where the bytes end before: comparisons with it are false, and it is found to be cut short. */
function readUint(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let index = 0; index < width; index++) value = value * 256 + (bytes[at + index] ?? NaN);
  return value;
}

/** Where an extension ends that is a date, or the undefined that Godwit itself writes inside lists; else undefined. */
function extensionEnd(bytes: Uint8Array, tag: number, at: number): number | undefined {
  if (tag === 0xc7) return bytes[at] === 12 && bytes[at + 1] === 0xff ? at + 14 : undefined;
  const type = bytes[at];
  // One byte of type and one of content: the date that is none, and undefined.
  if (tag === 0xd4) return type === 0xff || type === 0 ? at + 2 : undefined;
  if (tag === 0xd6) return type === 0xff ? at + 5 : undefined;
  if (tag === 0xd7) return type === 0xff ? at + 9 : undefined;
  return undefined;
}

const proto = Buffer.from("__proto__");

function isProto(bytes: Uint8Array, at: number): boolean {
  for (let index = 0; index < proto.length; index++) if (bytes[at + index] !== proto[index]) return false;
  return true;
}
