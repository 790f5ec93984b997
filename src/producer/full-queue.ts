/**
 * Full queue: holds what a full stream refused and offers it again, for a bulk send that was told to wait.
 * 1. While anything is held its sender takes no new body, so that no more than a window is in memory.
 * 2. One message asks whether there is room; each that is answered lets two more go, as TCP's slow start does. A refusal begins anew,
 *    after twice the wait.
 */
const minWaitMs = 50;
const maxWaitMs = 1_000;

export class FullQueue {
  #held: (() => void)[] = [];
  #waitMs = minWaitMs;
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;

  /** The stream was full: `send` is called once there may be room. */
  refused(send: () => void): void {
    this.#held.push(send);
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#release(1);
    }, this.#waitMs);
    this.#waitMs = Math.min(maxWaitMs, this.#waitMs * 2);
  }

  /** One was taken, or failed for another reason. */
  answered(): void {
    if (this.#held.length === 0) return;
    this.#waitMs = minWaitMs;
    if (this.#timer === undefined) this.#release(2);
  }

  /** Undefined while nothing is held, else a promise for when nothing is. */
  room(): Promise<void> | undefined {
    if (this.#held.length === 0) return undefined;
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #release(count: number): void {
    for (const send of this.#held.splice(0, count)) send();
    if (this.#held.length === 0) this.#wake?.();
  }
}
