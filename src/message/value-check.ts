/**
 * Value check: walks over a value before it is encoded, and finds what would not arrive as it is.
 * 1. What passes comes out of the decoder as it went in, but for what "What a body can carry" in docs/reference.md says.
 * 2. Its limits count as those of json-check.ts and msgpack-check.ts do: no receiver with the same limits refuses what passes.
 * 3. It reads with the caller's getters, and may throw what they throw where the value itself cannot be looked at.
 */
import { types } from "node:util";
import { EncodeError, toError } from "../kernel/errors.ts";
import { maxDepthLimit, type BodyLimits } from "./limits.ts";

/** `clone`: as it goes between threads, by structured clone. */
export type Carrier = "msgpack" | "json" | "clone";

/** One walk over one value. */
export interface Walk extends Pick<BodyLimits, "maxDepth" | "maxItems"> {
  readonly carrier: Carrier;
  /** Values so far, keys included. */
  items: number;
  /** False where a schema may tell what arrives from what was sent: an undefined field is absent, bytes are a Buffer. */
  faithful: boolean;
  /** Among its values are bytes that are no Buffer. */
  hasPlainBytes: boolean;
}

/** Why a value cannot be sent. */
interface Fault {
  /** Keys and indices, the innermost first. */
  readonly path: (string | number)[];
  /** Begins `… cannot be sent`. */
  readonly what: string;
  /** Ends `send …`. */
  readonly mend: string;
  readonly cause?: unknown;
  /** What is nested too deep: found again further out, it is a circle. */
  readonly deep?: object;
}

/** @throws EncodeError that names the first value that cannot be sent, and its path. */
export function checkValue(value: unknown, walk: Walk): void {
  let wrong: Fault | undefined;
  try {
    wrong = findFault(value, walk, 0);
  } catch (thrown) {
    wrong = unreadable(thrown);
  }
  if (wrong === undefined) return;
  const { path, what, mend, cause } = wrong;
  const at = path.length === 0 ? "" : ` (${pathText(path)})`;
  const as = walk.carrier === "clone" ? "between threads" : `as ${walk.carrier}`;
  throw new EncodeError(`${what} cannot be sent ${as}${at}; send ${mend}.`, { cause });
}

/** @throws EncodeError for what structured clone cannot take, or would strip to something else. */
export function checkCrossing(value: unknown): void {
  const walk = { maxDepth: maxDepthLimit, maxItems: Infinity, items: 0, faithful: true, hasPlainBytes: false };
  checkValue(value, { carrier: "clone", ...walk });
}

/** A value that crossed, of which nobody else has a part: its bytes are Buffers again, as those of a body are. */
export function withBuffers(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (types.isUint8Array(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype) {
    const fields = value as Record<string, unknown>;
    for (const key in fields) fields[key] = withBuffers(fields[key]);
  }
  return value;
}

function findFault(value: unknown, walk: Walk, depth: number): Fault | undefined {
  walk.items += 1;
  switch (typeof value) {
    case "string":
      return walk.carrier !== "msgpack" || value.isWellFormed() ? undefined : fault("Half of a surrogate pair");
    case "number":
      return walk.carrier !== "json" || Number.isFinite(value) ? undefined : fault(String(value));
    case "boolean":
      return undefined;
    case "object":
      if (value === null) return undefined;
      if (walk.carrier === "clone" && types.isProxy(value)) return fault("A Proxy");
      return Array.isArray(value) ? listFault(value, walk, depth + 1) : objectFault(value, walk, depth + 1);
    case "undefined":
      walk.faithful = false;
      return undefined;
    case "bigint":
      return bigintFault(value, walk);
    case "function":
    case "symbol":
      return fault(`A ${typeof value}`);
  }
}

function bigintFault(value: bigint, { carrier }: Walk): Fault | undefined {
  if (carrier === "clone" || (carrier === "msgpack" && BigInt.asIntN(64, value) === value)) return undefined;
  if (carrier === "msgpack" && BigInt.asUintN(64, value) === value) return undefined;
  return fault(carrier === "json" ? "A bigint" : "A bigint of more than 64 bits", "its text");
}

function listFault(list: readonly unknown[], walk: Walk, depth: number): Fault | undefined {
  const prototype: unknown = Object.getPrototypeOf(list);
  if (prototype !== Array.prototype) {
    // The Array.prototype of another realm is itself a list.
    if (!Array.isArray(prototype)) return instance(list, walk);
    walk.faithful = false;
  }
  if (depth > walk.maxDepth) return tooDeep(list, walk);
  if (walk.carrier === "json" && hasToJson(list)) return ownJson();
  // An empty list and an empty object count twice in JSON.
  if (list.length === 0 && walk.carrier === "json") walk.items += 1;
  let at = 0;
  try {
    for (; at < list.length; at++) {
      const one = list[at];
      const wrong = (one === undefined ? absentFault(list, at, walk) : undefined) ?? findFault(one, walk, depth);
      if (wrong !== undefined) return inside(wrong, at, list);
      if (walk.items > walk.maxItems) return tooMany(walk);
    }
  } catch (thrown) {
    return inside(unreadable(thrown), at, list);
  }
  return walk.items > walk.maxItems ? tooMany(walk) : undefined;
}

function absentFault(list: readonly unknown[], at: number, { carrier }: Walk): Fault | undefined {
  if (!(at in list)) return fault("A hole in a list", "null in its place");
  return carrier === "json" ? fault("An undefined value in a list", "null in its place") : undefined;
}

function objectFault(value: object, walk: Walk, depth: number): Fault | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype) {
    if (prototype !== null && !isObjectPrototype(prototype)) return kindFault(value, prototype, walk, depth);
    walk.faithful = false;
  }
  if (depth > walk.maxDepth) return tooDeep(value, walk);
  const before = walk.items;
  let key = "";
  try {
    for (key in value) {
      const one = (value as Record<string, unknown>)[key];
      if (one === undefined) {
        walk.faithful = false;
        continue;
      }
      const wrong = keyFault(key, walk) ?? findFault(one, walk, depth);
      // Not for what a program may have added to Object.prototype, which is not written.
      if (wrong !== undefined && Object.hasOwn(value, key)) return inside(wrong, key, value);
      if (walk.items > walk.maxItems) return tooMany(walk);
    }
  } catch (thrown) {
    return inside(unreadable(thrown), key, value);
  }
  if (walk.carrier === "json") {
    if (hasToJson(value)) return ownJson();
    if (walk.items === before) walk.items += 1;
  }
  return walk.items > walk.maxItems ? tooMany(walk) : undefined;
}

/** Also where it is no field that is sent, and on a prototype: `JSON.stringify` would call it. */
function hasToJson(value: object): boolean {
  return typeof (value as { toJSON?: unknown }).toJSON === "function";
}

function ownJson(): Fault {
  return fault("A value with a toJSON() of its own", "what that returns");
}

function keyFault(key: string, walk: Walk): Fault | undefined {
  walk.items += 1;
  if (key === "__proto__") return fault('A key "__proto__"', "it under another name");
  return walk.carrier !== "msgpack" || key.isWellFormed() ? undefined : fault("A key with half of a surrogate pair");
}

/** Of another realm, such as that of `node:vm`. */
function isObjectPrototype(prototype: unknown): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, "isPrototypeOf");
}

/** Of an object that is neither a list nor plain. */
function kindFault(value: object, prototype: unknown, walk: Walk, depth: number): Fault | undefined {
  switch (walk.carrier) {
    case "json":
      return instance(value, walk);
    case "msgpack":
      if (prototype === Date.prototype && types.isDate(value)) {
        return Number.isNaN(value.getTime()) ? fault("An invalid date", "null in its place") : undefined;
      }
      if (prototype !== Uint8Array.prototype && prototype !== Buffer.prototype) return instance(value, walk);
      if (prototype !== Buffer.prototype) {
        walk.faithful = false;
        walk.hasPlainBytes = true;
      }
      // The encoder believes what an object says of its size, and would fill up with what its memory held before.
      if (!types.isUint8Array(value) || Object.hasOwn(value, "byteLength")) return instance(value, walk);
      // Throws where its memory was given away, which else looks as if it were empty.
      if (value.length === 0) value.keys();
      return undefined;
    case "clone":
      if (isStripped(value, prototype)) return instance(value, walk);
      if (types.isMap(value)) return listFault([...value].flat(), walk, depth);
      if (types.isSet(value)) return listFault([...value], walk, depth);
      return isCloned(value) ? undefined : instance(value, walk);
  }
}

/** Of a class of its own, which would arrive as what it extends. An error says in its name which one it is. */
function isStripped(value: object, prototype: unknown): boolean {
  if (types.isNativeError(value) || prototype === Buffer.prototype) return false;
  return (prototype as object).constructor?.name !== Object.prototype.toString.call(value).slice(8, -1);
}

function isCloned(value: object): boolean {
  const { isDate, isRegExp, isNativeError, isBoxedPrimitive, isAnyArrayBuffer, isArrayBufferView } = types;
  return [isDate, isRegExp, isNativeError, isBoxedPrimitive, isAnyArrayBuffer, isArrayBufferView].some((is) =>
    is(value),
  );
}

const mends: Readonly<Record<string, string>> = {
  Promise: "what it resolves to, with await",
  Map: "Object.fromEntries() of it",
  Set: "a list of its values",
  Error: "its message",
  RegExp: "its source",
  Date: "its toISOString(), or use the codec msgpack",
  Uint8Array: "its text in base64, or use the codec msgpack",
  ArrayBuffer: "a Uint8Array of it",
  SharedArrayBuffer: "a Uint8Array of it",
  DataView: "a Uint8Array of its bytes",
  URL: "its href",
};

/** What is of a class: its name, and what to send instead. */
function instance(value: object, { carrier }: Walk): Fault {
  const tag = Object.prototype.toString.call(value).slice(8, -1);
  const other = ArrayBuffer.isView(value) ? "a list of its numbers" : "a plain object with its fields";
  let mend = mends[tag] ?? other;
  // One of another realm, or that only looks like one.
  if (carrier !== "json") mend = mend.replace(", or use the codec msgpack", "");
  const { name } = (value.constructor ?? Object) as { name?: unknown };
  const isBuiltIn = tag !== "Object" && tag !== "Array";
  const what = isBuiltIn ? tag : `instance of ${name === "Object" ? "another object" : String(name) || "a class"}`;
  return fault(`${/^[AEIOaeio]/.test(what) ? "An" : "A"} ${what.slice(0, 80).toWellFormed()}`, mend);
}

function tooDeep(deep: object, { maxDepth }: Walk): Fault {
  const what = `A value nested more than ${maxDepth} levels deep`;
  return { path: [], what, mend: "a flatter one, or raise payload.maxDepth here and where it is received", deep };
}

function tooMany({ maxItems }: Walk): Fault {
  const mend = "fewer, or raise payload.maxItems here and where it is received";
  return { path: [], what: `A body of more than ${maxItems} values, keys included,`, mend };
}

function unreadable(cause: unknown): Fault {
  if (cause instanceof EncodeError) throw cause;
  return { ...fault(`A value that throws when it is read, "${toError(cause).message.slice(0, 200)}",`), cause };
}

function fault(what: string, such?: string): Fault {
  return { path: [], what, mend: such === undefined ? "plain data" : `plain data, such as ${such}` };
}

function inside(wrong: Fault, key: string | number, holder: object): Fault {
  // The same object, as far in as is allowed: the way from here to there is the circle.
  if (wrong.deep === holder) return { ...fault("A circle"), path: [key], deep: holder };
  wrong.path.push(key);
  return wrong;
}

const maxPathLength = 300;

/** `order.items[3].price`; keys that are no words are quoted. */
function pathText(path: readonly (string | number)[]): string {
  const parts = path.toReversed().map((part) => {
    if (typeof part === "number") return `[${part}]`;
    return /^[\w$]+$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`;
  });
  const text = parts.join("").replace(/^\./, "");
  return text.length > maxPathLength ? `${text.slice(0, maxPathLength).toWellFormed()}…` : text;
}
