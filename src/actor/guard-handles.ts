/** What a handler may ask of the guards: breakers, rate limits, once. */
import type { Duration } from "../kernel/duration.ts";

/** When a circuit opens and for how long. */
export interface BreakerSettings {
  /** Share of failed calls, above 0 and at most 1, at which it opens. Counted by calls that started in the last `window`. Default 0.5. */
  errorThreshold?: number;
  /** Calls in a window, per process, below which it does not open. Default 10. */
  volume?: number;
  /** Over which calls are counted. Default 10 s. */
  window?: Duration;
  /** How long it stays open before one call of the whole fleet probes the dependency. At least 100 ms. Default 30 s. */
  resetAfter?: Duration;
}

/** A circuit breaker inside a handler. */
export interface BreakerHandle {
  /** `true` while calls are refused. */
  readonly open: boolean;
  /**
   * Calls `fn`, or refuses to while the circuit is open. What is refused, and a probe that failed, puts the message back without
   * an attempt being counted, if the handler lets the error through.
   * @param fallback called instead while the circuit is open.
   */
  fire<T>(fn: () => T | Promise<T>, fallback?: () => T | Promise<T>): Promise<T>;
}

/** A rate limit inside a handler. */
export interface RateLimitHandle {
  /** The dependency said "too many" (429): nobody in the fleet starts under this limit for so long. With keys: of this message's key. */
  penalize(delay: Duration): Promise<void>;
}

/** What `once` takes beside the key and the function. */
export interface OnceOptions {
  /** How long the value is kept. Default 7 days. At least 1 s. */
  ttl?: Duration;
}
