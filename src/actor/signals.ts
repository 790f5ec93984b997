/**
 * Signals: what a handler throws to say what becomes of its message. Branded with `Symbol.for`, because `instanceof` fails between
 * threads and between two copies of this package.
 */
import { toMs, type Duration } from "../kernel/duration.ts";

const brand = Symbol.for("godwit.signal");

export type SignalKind = "terminal" | "retry-after" | "snooze" | "deferral";

abstract class Signal extends Error {
  readonly [brand]: SignalKind;

  constructor(kind: SignalKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this[brand] = kind;
  }
}

/** Dead letter now: no retry can mend it. */
export class Terminal extends Signal {
  constructor(message: string, options?: { cause?: unknown }) {
    super("terminal", message, options);
  }
}

/** Failed: the attempt counts, and the next one is no earlier than after `delay`, such as a `Retry-After` answer says. */
export class RetryAfter extends Signal {
  readonly delayMs: number;

  /** @throws ConfigError for what is no duration. */
  constructor(delay: Duration, message = `retry after ${delay}`, options?: { cause?: unknown }) {
    super("retry-after", message, options);
    this.delayMs = toMs(delay, "RetryAfter");
  }
}

/** Not now: come back after `delay`. No attempt is counted. */
export class Snooze extends Signal {
  readonly delayMs: number;

  /** @throws ConfigError for what is no duration. */
  constructor(delay: Duration, message = `snoozed for ${delay}`) {
    super("snooze", message);
    this.delayMs = toMs(delay, "Snooze");
  }
}

/** Thrown into a handler by a guard that it asked: what lets it through is put back, and no attempt is counted. */
export class Deferred<Reason extends string = string> extends Signal {
  readonly delayMs: number;
  readonly reason: Reason;

  constructor(reason: Reason, delayMs: number, message: string, options?: { cause?: unknown }) {
    super("deferral", message, options);
    this.reason = reason;
    this.delayMs = delayMs;
  }
}

/** Which signal an error is, `undefined` for an ordinary error. */
export function signalKind(error: unknown): SignalKind | undefined {
  return typeof error === "object" && error !== null ? (error as { [brand]?: SignalKind })[brand] : undefined;
}

/** The delay that a RetryAfter or Snooze carries, in ms. */
export function signalDelayMs(error: unknown): number {
  return (error as { delayMs?: number }).delayMs ?? 0;
}
