/**
 * Thrown values: whatever code of users throws becomes an Error that can be read, and a text that says all of it.
 * 1. An error that can be read stays the same object, of another realm too (`node:vm`, Jest), so that `retry.when` sees its class and code.
 * 2. Any other becomes a copy of what can be read: nothing that looks at it later can throw.
 */
import { types } from "node:util";

/** Any thrown value as an `Error`, so that one shape travels onwards. Never throws. */
export function toError(thrown: unknown): Error {
  try {
    if (isError(thrown)) return isReadable(thrown) ? thrown : copyOf(thrown);
    return new Error(typeof thrown === "string" ? thrown : `${nonError}${textOf(thrown)}`);
  } catch {
    return new Error(unreadable);
  }
}

/** True for errors of any realm, and for objects that have the fields of one. */
export function isError(value: unknown): value is Error {
  try {
    if (value instanceof Error || types.isNativeError(value)) return true;
    const { message, name, stack, code } = value as Record<string, unknown>;
    return typeof message === "string" && [name, stack, code].some((field) => typeof field === "string");
  } catch {
    return false;
  }
}

const nonError = "a non-error was thrown: ";
const unreadable = "what was thrown cannot be read";
/** Fields that may stand on a prototype. */
const known = ["name", "message", "stack", "code", "cause", "errors", "delayMs", "reason"] as const;

/** Some errors declare a field over `message` or `name` and leave it unset; everything behind here relies on text. */
function isReadable(error: Error): boolean {
  // One may say something else each time, or throw the next time.
  if (types.isProxy(error) || !(error instanceof Error || types.isNativeError(error))) return false;
  try {
    const fields = error as unknown as Record<PropertyKey, unknown>;
    for (const key of known) void fields[key];
    for (const key of Reflect.ownKeys(error)) void fields[key];
    return typeof error.message === "string" && typeof error.name === "string";
  } catch {
    return false;
  }
}

/** A new error with each field that can be read. */
function copyOf(error: Error): Error {
  const message = fieldOf(error, "message", unreadable);
  const what = `an error without a message: ${nameOf(error)}`;
  const copy = new Error(typeof message === "string" ? message : what);
  // Of one whose fields are no text, all is behind the copy.
  if (typeof message !== "string") copy.cause = error;
  let keys: PropertyKey[] = [];
  try {
    keys = Reflect.ownKeys(error);
  } catch {
    // Those that an error is known to have are asked for all the same.
  }
  for (const key of new Set([...known, ...keys])) {
    const value = fieldOf(error, key);
    const isText = key === "name" || key === "message" || key === "stack";
    if (key === "message" || value === undefined || (isText && typeof value !== "string")) continue;
    Object.defineProperty(copy, key, {
      value,
      writable: true,
      configurable: true,
      enumerable: !isText && key !== "cause",
    });
  }
  return copy;
}

function fieldOf(from: object, key: PropertyKey, otherwise?: unknown): unknown {
  try {
    return (from as Record<PropertyKey, unknown>)[key];
  } catch {
    return otherwise;
  }
}

function nameOf(error: object): string {
  const name = fieldOf((fieldOf(error, "constructor") as object | undefined) ?? {}, "name");
  return typeof name === "string" ? name : "Error";
}

const maxCauses = 5;
const maxHeadLength = 300;

/**
 * Where an error and its causes come from: for each one line that names it, `caused by: ` before those of the causes, and its stack's
 * own lines below. What is behind the fifth is left out.
 */
export function stackOf(error: Error): string {
  const parts = causesOf(error).map((one) => {
    // The name and message in a stack are those of the error's birth, as long as they may be, and there may be no stack at all.
    const frames = typeof one.stack === "string" ? (/\n {4}at [^]*/.exec(one.stack)?.[0] ?? "") : "";
    const { name, message } = one;
    // Cut first: a page of spaces would hold the event loop for seconds.
    const head = `${name}: ${message === "" ? codeOf(one) : message}`.slice(0, maxHeadLength);
    return head.replace(/\s*\n\s*/g, " ") + frames;
  });
  return parts.join("\ncaused by: ");
}

/**
 * An error's message and those of its causes, with their codes: what `fetch failed` leaves unsaid stands in its cause. What is behind the
 * fifth is left out.
 */
export function messageOf(error: Error): string {
  const parts: string[] = [];
  for (const [index, one] of causesOf(error).entries()) {
    const code = codeOf(one);
    const { message } = one;
    const isTold = index === 0 || code === "" || message.includes(code);
    const text = message === "" ? code : isTold ? message : `${message} (${code})`;
    if (text !== "" && !parts.some((part) => part.includes(text))) parts.push(text);
  }
  return parts.join(": ");
}

/** The code of an error, else of the first of its causes that has one. */
export function causeCode(error: Error): string | undefined {
  return causesOf(error)
    .map((one) => codeOf(one))
    .find((code) => code !== "");
}

function codeOf(error: Error): string {
  const { code } = error as { code?: unknown };
  // Databases and exit codes have numbers; the one that each DOMException has from its class says less than its name.
  return typeof code === "string" ? code : typeof code === "number" && Object.hasOwn(error, "code") ? String(code) : "";
}

/**
 * An error and those that are behind it, itself first, then those that an AggregateError holds, then its cause. A cause that is no
 * error is one with its text. What is behind the fifth is left out, and so are those that cannot be looked at.
 */
export function causesOf(error: unknown): Error[] {
  const found: Error[] = [];
  const waiting: unknown[] = isError(error) ? [error] : [];
  // Counted, since a cause may be its own.
  while (waiting.length > 0 && found.length <= maxCauses) {
    const one = behind(waiting.shift());
    if (one === undefined) continue;
    found.push(one);
    waiting.unshift(...heldBy(one), one.cause);
  }
  return found;
}

function heldBy(error: Error): unknown[] {
  const { errors } = error as { errors?: unknown };
  try {
    return Array.isArray(errors) ? (errors as unknown[]).slice(0, maxCauses) : [];
  } catch {
    return [];
  }
}

function behind(cause: unknown): Error | undefined {
  if (cause === undefined || cause === null) return undefined;
  if (isError(cause)) return toError(cause);
  const { message } = toError(cause);
  // It was not thrown, and not here.
  return Object.assign(new Error(message.replace(nonError, "").slice(0, maxHeadLength)), { stack: "" });
}

/** @throws TypeError for what cannot be looked at at all. */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
