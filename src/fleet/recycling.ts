/**
 * Recycling: when a worker process has done enough and is to be replaced. Pure.
 * 1. Each process draws limits of its own, up to a tenth below those that were set, so that those that began together do not end together.
 * 2. A replacement takes time to start, and memory grows meanwhile: what will have passed its limit by then is due now.
 */

/** What a process may have before it is replaced; undefined: any. */
export interface RecycleLimits {
  /** Runs, whatever became of them. */
  maxMessages?: number | undefined;
  /** Resident memory. */
  maxMemoryBytes?: number | undefined;
  maxAgeMs?: number | undefined;
}

export interface Vitals {
  /** Since it was ready. */
  ageMs: number;
  handled: number;
  rssBytes: number;
  /** How fast its memory grows. */
  growthBytesPerMs: number;
}

export type RecycleReason = "messages" | "memory" | "age";

const jitter = 0.1;
/** Below this part of its limit no growth counts: a process that starts grows fast, and not for long. */
const warm = 0.6;

/** @param random from 0 to 1. */
export function drawLimits(
  { maxMessages, maxMemoryBytes, maxAgeMs }: RecycleLimits,
  random: () => number,
): RecycleLimits {
  const draw = (limit: number | undefined): number | undefined => limit && Math.ceil(limit * (1 - jitter * random()));
  return { maxMessages: draw(maxMessages), maxMemoryBytes: draw(maxMemoryBytes), maxAgeMs: draw(maxAgeMs) };
}

/** @param startMs how long a replacement takes until it is ready. */
export function recycleReason(
  { maxMessages = Infinity, maxMemoryBytes = Infinity, maxAgeMs = Infinity }: RecycleLimits,
  { ageMs, handled, rssBytes, growthBytesPerMs }: Vitals,
  startMs: number,
): RecycleReason | undefined {
  if (handled >= maxMessages) return "messages";
  if (ageMs >= maxAgeMs) return "age";
  const thenBytes = rssBytes > warm * maxMemoryBytes ? rssBytes + growthBytesPerMs * startMs : rssBytes;
  return thenBytes >= maxMemoryBytes ? "memory" : undefined;
}

/** So far above its limit that it is not to wait for its replacement. */
export function isOverweight({ maxMemoryBytes = Infinity }: RecycleLimits, rssBytes: number): boolean {
  return rssBytes > 1.25 * maxMemoryBytes;
}

/** How fast memory grows, over the last few seconds. */
export class MemoryTrend {
  readonly #samples: { atMs: number; bytes: number }[] = [];

  add(atMs: number, bytes: number): void {
    this.#samples.push({ atMs, bytes });
    while (atMs - (this.#samples[0]?.atMs ?? atMs) > trendMs) this.#samples.shift();
  }

  /** Bytes per ms; 0 while it shrinks, and before it has been seen for a second. */
  get growth(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < leastTrendMs) return 0;
    return Math.max(0, (last.bytes - first.bytes) / (last.atMs - first.atMs));
  }
}

const trendMs = 4_000;
const leastTrendMs = 1_000;
