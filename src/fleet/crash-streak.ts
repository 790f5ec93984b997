/**
 * Crash streak: how long to wait before a process that ended by itself is started again. Pure.
 * Doubles with each end that came soon after its start, from half a second to half a minute, and is spread by half, so that many that fail for
 * one reason do not come back together.
 */

const leastMs = 500;
const mostMs = 30_000;
/** One that was at work for so long did not fail at its start. */
export const steadyMs = 30_000;
/** So many in a row are a loop. */
const loopAt = 3;

export class CrashStreak {
  #count = 0;

  /** How many in a row. */
  get count(): number {
    return this.#count;
  }

  get isLoop(): boolean {
    return this.#count >= loopAt;
  }

  /** @param readyForMs how long it had been at work; 0 where it never was. @returns how long to wait. @param random from 0 to 1. */
  crashed(readyForMs: number, random: () => number): number {
    this.#count = readyForMs >= steadyMs ? 1 : this.#count + 1;
    const fullMs = Math.min(mostMs, leastMs * 2 ** (this.#count - 1));
    return fullMs * (0.5 + random() / 2);
  }

  /** One was replaced in good order. */
  over(): void {
    this.#count = 0;
  }
}
