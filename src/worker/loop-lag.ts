/** Loop lag: how late the timers of this process come. */
import { monitorEventLoopDelay, type IntervalHistogram } from "node:perf_hooks";
import { monotonicMs } from "../kernel/clock.ts";

/** How late timers come. */
export interface LoopLag {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

const resolutionMs = 20;
const windowMs = 10_000;
const noLag: LoopLag = Object.freeze({ p50Ms: 0, p99Ms: 0, maxMs: 0 });

/** Watches how late the timers of this process come. */
export class LoopLagWatch {
  #histogram: IntervalHistogram | undefined;
  #seen: { atMs: number; lag: LoopLag } | undefined;

  start(): void {
    this.#histogram ??= monitorEventLoopDelay({ resolution: resolutionMs });
    this.#histogram.enable();
  }

  stop(): void {
    this.#histogram?.disable();
  }

  /**
   * What was seen in the last ten seconds at least, the same for all who ask; none of them hides from another what it has seen.
   */
  look(): LoopLag {
    const nowMs = monotonicMs();
    if (this.#seen === undefined || nowMs - this.#seen.atMs >= windowMs) this.#seen = { atMs: nowMs, lag: this.take() };
    else if (this.#histogram !== undefined) return worst(this.#seen.lag, summary(this.#histogram));
    return this.#seen.lag;
  }

  /** What was seen since it was last asked. */
  take(): LoopLag {
    if (this.#histogram === undefined) return noLag;
    const lag = summary(this.#histogram);
    this.#histogram.reset();
    return lag;
  }
}

function summary(histogram: IntervalHistogram): LoopLag {
  if (histogram.count === 0) return noLag;
  // It counts from when a timer was set, so a timely one shows its own length.
  const ms = (ns: number): number => Math.max(0, ns / 1e6 - resolutionMs);
  return { p50Ms: ms(histogram.percentile(50)), p99Ms: ms(histogram.percentile(99)), maxMs: ms(histogram.max) };
}

function worst(one: LoopLag, other: LoopLag): LoopLag {
  return {
    p50Ms: Math.max(one.p50Ms, other.p50Ms),
    p99Ms: Math.max(one.p99Ms, other.p99Ms),
    maxMs: Math.max(one.maxMs, other.maxMs),
  };
}
