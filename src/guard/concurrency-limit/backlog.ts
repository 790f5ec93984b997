/**
 * Backlog: for how long to put back what found no permit, so that those of one key come back one behind another, and about when their
 * turn is.
 */
const firstHoldMs = 25;
const minStepMs = 2;
/** An estimate is easily too long, and then permits lie idle; to ask in vain costs less. */
const maxStepMs = 50;
/** How much further apart those of a key are put with each that was put back since the last one that ran here. */
const missStepMs = 1;
const rememberMs = 10_000;
const longestMs = 10_000;
const maxKeys = 10_000;

interface Line {
  /** When the last that was put back comes again, monotonic ms. */
  lastMs: number;
  /** How many were put back since one ran here. */
  misses: number;
}

export class Backlog {
  readonly #limit: number;
  readonly #random: () => number;
  /** By key, the one that was put back last at the end. */
  readonly #lines = new Map<string, Line>();
  /** How long a handler keeps its permit, a moving average over all keys. */
  #holdMs = firstHoldMs;

  /** @param random in [0, 1). */
  constructor(limit: number, random: () => number = Math.random) {
    this.#limit = limit;
    this.#random = random;
  }

  /** A handler of the key kept its permit for so long. */
  note(key: string, heldMs: number): void {
    this.#holdMs += (heldMs - this.#holdMs) / 8;
    const line = this.#lines.get(key);
    if (line !== undefined) line.misses = 0;
  }

  /** @param processes how many share the limit. */
  delayMs(key: string, processes: number, nowMs: number): number {
    const line = this.#lines.get(key) ?? { lastMs: 0, misses: 0 };
    // The average says little of a key whose handler takes longer than those of other keys; that it is asked for in vain does.
    const leastMs = Math.max(minStepMs, line.misses * missStepMs);
    const stepMs = Math.min(maxStepMs, Math.max(leastMs, (this.#holdMs * processes) / this.#limit));
    const atMs = Math.max(nowMs, line.lastMs) + stepMs;
    const full = atMs > nowMs + longestMs;
    this.#lines.delete(key);
    this.#lines.set(key, { lastMs: full ? nowMs + longestMs : atMs, misses: line.misses + 1 });
    this.#forget(nowMs);
    // At the end of the line there is no order: spread over the second half of it.
    const delayMs = full ? longestMs * (0.5 + this.#random() / 2) : atMs - nowMs - (stepMs / 2) * this.#random();
    return Math.ceil(delayMs);
  }

  /** The oldest first. */
  #forget(nowMs: number): void {
    for (const [key, { lastMs }] of this.#lines) {
      if (lastMs + rememberMs > nowMs && this.#lines.size <= maxKeys) return;
      this.#lines.delete(key);
    }
  }
}
