/** Refusal streak: how often in a row a server has refused, or not answered, and whether that is to be reported. */
import { monotonicMs } from "../kernel/clock.ts";

/** An election is over sooner, as a rule. */
const reportAfterMs = 5_000;

export class RefusalStreak {
  #length = 0;
  #sinceMs = 0;
  #reported = false;

  /** Refusals since the last answer. */
  get length(): number {
    return this.#length;
  }

  /** One more. @returns true once for each streak, when it has lasted 5 s. */
  add(): boolean {
    const nowMs = monotonicMs();
    this.#length += 1;
    if (this.#length === 1) this.#sinceMs = nowMs;
    if (this.#reported || nowMs - this.#sinceMs < reportAfterMs) return false;
    this.#reported = true;
    return true;
  }

  /** There was an answer. */
  end(): void {
    this.#length = 0;
    this.#reported = false;
  }
}
