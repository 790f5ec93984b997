/**
 * Errors between threads: structured clone forgets classes, symbols and most fields, so errors travel as plain data and come back as
 * what they were: signals as signals, Godwit's own as their classes, any other as an Error with its name, text, stack, fields and cause.
 */
import {
  Deferred,
  RetryAfter,
  signalDelayMs,
  signalKind,
  Snooze,
  Terminal,
  type SignalKind,
} from "../../actor/signals.ts";
import * as errors from "../../kernel/errors.ts";

type WireCause = { error: WireError } | { value: unknown } | undefined;

export interface WireError {
  name: string;
  message: string;
  stack: string | undefined;
  signal: SignalKind | undefined;
  delayMs: number;
  /** Its other own fields, those that can travel. */
  fields: Record<string, unknown>;
  cause: WireCause;
  /** Those of an AggregateError. */
  errors?: WireCause[];
  /** By which the side that sent it knows it again. */
  ref?: number | undefined;
}

const maxCauses = 5;
const written = new Set(["name", "message", "stack", "cause", "errors", "delayMs"]);

export function writeError(thrown: unknown, depth = 0): WireError {
  const error = errors.toError(thrown);
  const fields: Record<string, unknown> = {};
  const { code, errors: held } = error as { code?: unknown; errors?: unknown };
  // Some have it from their class.
  if (typeof code === "string") fields["code"] = code;
  for (const [name, value] of Object.entries(error)) {
    if (!written.has(name) && canTravel(value)) fields[name] = value;
  }
  return {
    name: error.name,
    message: error.message,
    stack: typeof error.stack === "string" ? error.stack : undefined,
    signal: signalKind(error),
    delayMs: signalDelayMs(error),
    fields,
    cause: writeCause(error.cause, depth),
    ...(Array.isArray(held) && { errors: held.slice(0, maxCauses).map((one) => writeCause(one, depth)) }),
  };
}

function writeCause(cause: unknown, depth: number): WireCause {
  if (cause === undefined || depth >= maxCauses) return undefined;
  if (errors.isError(cause)) return { error: writeError(cause, depth + 1) };
  return canTravel(cause) ? { value: cause } : undefined;
}

export function canTravel(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

export function readError(wire: WireError): Error {
  const { name, message, stack, fields, cause } = wire;
  const options = cause && { cause: readCause(cause) };
  const error = newError(wire, options);
  Object.assign(error, fields);
  if (wire.errors !== undefined) {
    Object.defineProperty(error, "errors", { value: wire.errors.map(readCause), configurable: true, writable: true });
  }
  if (error.name !== name) Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  if (error.message !== message) error.message = message;
  if (stack !== undefined) Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  return error;
}

function readCause(cause: WireCause): unknown {
  return cause && ("error" in cause ? readError(cause.error) : cause.value);
}

function newError(wire: WireError, options: { cause: unknown } | undefined): Error {
  const { name, message, delayMs, fields } = wire;
  switch (wire.signal) {
    case "terminal":
      return new Terminal(message, options);
    case "retry-after":
      return new RetryAfter(delayMs, message, options);
    case "snooze":
      return new Snooze(delayMs, message);
    case "deferral":
      return new Deferred(String(fields["reason"]), delayMs, message, options);
    case undefined: {
      const error = new Error(message, options);
      const prototype = prototypes.get(name);
      return prototype === undefined ? error : (Object.setPrototypeOf(error, prototype) as Error);
    }
  }
}

/** Of Godwit's own errors, so that `instanceof` holds on the other side. */
const prototypes = new Map(
  Object.values(errors)
    .filter((one) => isErrorClass(one))
    .map((one) => [one.name, one.prototype as object]),
);

function isErrorClass(value: unknown): value is { name: string; prototype: object } {
  return typeof value === "function" && value.prototype instanceof errors.GodwitError;
}
