/**
 * Paced: a figure that is read off the server now and then.
 * 1. It is read again only when something has changed, and no more than a twentieth of the time is spent on reading it: what is dear is read
 *    less often. One slow read is no sign of that, as after a server that stood still: the shorter of the last two counts.
 * 2. A read that fails leaves the last value, and a sentence that says so until one succeeds.
 */
import { monotonicMs } from "../../kernel/clock.ts";
import { toError } from "../../kernel/errors.ts";

const usualShare = 0.05;
const longestRestMs = 60_000;
const restAfterFailureMs = 5_000;

export class Paced<T> {
  readonly #what: string;
  readonly #share: number;
  readonly #nowMs: () => number;
  #value: T;
  #key: string | undefined;
  #restUntilMs = -Infinity;
  /** How long the last read took; before the first nobody knows what is usual. */
  #lastTookMs = 0;
  #problem: string | undefined;

  /**
   * @param what for the sentence: "the dead letters of each actor".
   * @param initial until the first read has succeeded.
   * @param options.share of the time that reading may take. Default 0.05.
   */
  constructor(what: string, initial: T, options: { share?: number; nowMs?: () => number } = {}) {
    this.#what = what;
    this.#value = initial;
    this.#share = options.share ?? usualShare;
    this.#nowMs = options.nowMs ?? monotonicMs;
  }

  get value(): T {
    return this.#value;
  }

  /** What is wrong with the value, if anything. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * The value, read again where it is due. Never rejects.
   * @param key what it depends on: the same as at the last read means that nothing has changed. Default: it may have.
   */
  async refresh(read: () => Promise<T>, key?: string): Promise<T> {
    const beganMs = this.#nowMs();
    if (beganMs < this.#restUntilMs || (key !== undefined && key === this.#key)) return this.#value;
    try {
      this.#value = await read();
      this.#key = key;
      this.#problem = undefined;
      const endedMs = this.#nowMs();
      const tookMs = endedMs - beganMs;
      const usualMs = Math.min(tookMs, this.#lastTookMs);
      this.#lastTookMs = tookMs;
      this.#restUntilMs = endedMs + Math.min(longestRestMs, usualMs / this.#share);
    } catch (thrown) {
      const { message } = toError(thrown);
      this.#problem = `${this.#what} could not be read (${message.replace(/\.$/, "")}), and may be out of date.`;
      this.#key = undefined;
      this.#restUntilMs = this.#nowMs() + restAfterFailureMs;
    }
    return this.#value;
  }
}
