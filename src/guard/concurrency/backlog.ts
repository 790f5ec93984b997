/**
 * Backlog: for how long to put back what found no permit, so that those of one key come back one behind another, and about when their
 * turn is.
 */
const firstHoldMs = 25;
const minStepMs = 2;
/** An estimate is easily too long, and then permits lie idle; to ask in vain costs less. */
const maxStepMs = 50;
const longestMs = 10_000;
const maxKeys = 10_000;

export class Backlog {
  readonly #limit: number;
  readonly #random: () => number;
  /** When the last that was put back comes again, by key; monotonic ms. */
  readonly #lastMs = new Map<string, number>();
  /** How long a handler keeps its permit, a moving average. */
  #holdMs = firstHoldMs;

  /** @param random in [0, 1). */
  constructor(limit: number, random: () => number = Math.random) {
    this.#limit = limit;
    this.#random = random;
  }

  /** A handler kept its permit for so long. */
  note(heldMs: number): void {
    this.#holdMs += (heldMs - this.#holdMs) / 8;
  }

  /** @param processes how many share the limit. */
  delayMs(key: string, processes: number, nowMs: number): number {
    const stepMs = Math.min(maxStepMs, Math.max(minStepMs, (this.#holdMs * processes) / this.#limit));
    const atMs = Math.max(nowMs, this.#lastMs.get(key) ?? 0) + stepMs;
    const full = atMs > nowMs + longestMs;
    this.#lastMs.delete(key);
    this.#lastMs.set(key, full ? nowMs + longestMs : atMs);
    this.#forget(nowMs);
    // At the end of the line there is no order: spread over the second half of it.
    const delayMs = full ? longestMs * (0.5 + this.#random() / 2) : atMs - nowMs - (stepMs / 2) * this.#random();
    return Math.ceil(delayMs);
  }

  /** The oldest first. */
  #forget(nowMs: number): void {
    for (const [key, lastMs] of this.#lastMs) {
      if (lastMs > nowMs && this.#lastMs.size <= maxKeys) return;
      this.#lastMs.delete(key);
    }
  }
}
