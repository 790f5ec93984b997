/**
 * Full queue: holds what a full stream refused and offers it again, for a bulk send that was told to wait.
 * 1. While anything is held its sender takes no new body, so that no more than a window is in memory.
 * 2. One message asks whether there is room; each that is answered lets two more go, as TCP's slow start does. A refusal begins anew,
 *    after twice the wait.
 */
const minWaitMs = 50;
const maxWaitMs = 1_000;

export class FullQueue {
  #held: ((again: boolean) => void)[] = [];
  #ended = false;
  #waitMs = minWaitMs;
  #timer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;

  /** The stream was full: `onEnd` is called with true once there may be room, with false once nothing is offered any more. */
  refused(onEnd: (again: boolean) => void): void {
    if (this.#ended) return onEnd(false);
    this.#held.push(onEnd);
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

  /** Offers nothing again. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#release(Infinity);
  }

  #release(count: number): void {
    for (const onEnd of this.#held.splice(0, count)) onEnd(!this.#ended);
    if (this.#held.length === 0) this.#wake?.();
  }
}
