/**
 * JSON check: counts levels and values in a text's bytes before it is parsed, and keeps `__proto__` out.
 * `JSON.parse` itself neither pollutes nor overflows the stack, but takes most of a second for a megabyte of brackets, and gives objects
 * with a key of their own that pollutes where others merge them.
 */
import type { BodyLimits } from "./limits.ts";

const quote = 0x22;
const backslash = 0x5c;

/** @returns what is wrong with the bytes, `undefined` for nothing that parsing would not find. */
export function checkJson(bytes: Uint8Array, { maxDepth, maxItems }: BodyLimits): string | undefined {
  let depth = 0;
  let items = 1;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    switch (byte) {
      case quote:
        at += 1;
        while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1;
        break;
      case 0x5b: // [
      case 0x7b: // {
        depth += 1;
        if (depth > maxDepth) return `it is nested more than ${maxDepth} levels deep`;
        items += 1;
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth -= 1;
        break;
      case 0x2c: // ,
      case 0x3a: // :
        items += 1;
        break;
    }
    if (items > maxItems) return `it has more than ${maxItems} values`;
  }
  return undefined;
}

/** An escape of one of its characters. */
const escaped = /\\u00(?:5f|6f|7[024])/i;

/** @throws SyntaxError, also for a key `__proto__`. */
export function parseJson(text: string): unknown {
  // Whether it is a key is found while parsing, which is slower then. Not one expression for both: it took a quarter of the parsing.
  const suspicious = text.includes("__proto__") || (text.includes("\\u00") && escaped.test(text));
  if (!suspicious) return JSON.parse(text);
  return JSON.parse(text, (key, value: unknown) => {
    if (key === "__proto__") throw new SyntaxError('it has a key "__proto__"');
    return value;
  });
}
