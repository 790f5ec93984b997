/** Open sends: how much of a bulk send is under way, so that its sender can wait for room, and for the end. */

/** More than the publisher's window: those that an asynchronous schema still checks are in nobody else's count. */
const maxOpen = 2_000;
/** Of bodies that are in hand and not in the publisher's count. */
const maxHeldBytes = 64 * 1_048_576;

/** Counts sends under way without keeping a promise for each. */
export class OpenSends {
  #open = 0;
  #heldBytes = 0;
  #wake: (() => void) | undefined;
  #wakeForRoom: (() => void) | undefined;

  /** Counts a body for as long as its promise is open. */
  async hold<T>(bytes: number, step: Promise<T>): Promise<T> {
    this.#heldBytes += bytes;
    try {
      return await step;
    } finally {
      this.#heldBytes -= bytes;
      if (this.#heldBytes <= maxHeldBytes) this.#wakeForRoom?.();
    }
  }

  enter(): void {
    this.#open += 1;
  }

  leave(): void {
    this.#open -= 1;
    if (this.#open === maxOpen / 2) this.#wakeForRoom?.();
    if (this.#open === 0) this.#wake?.();
  }

  /** Undefined while there is room for one more, else a promise for when there is. */
  room(): Promise<void> | undefined {
    if (this.#open < maxOpen && this.#heldBytes <= maxHeldBytes) return undefined;
    return new Promise((resolve) => (this.#wakeForRoom = resolve));
  }

  async allDone(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
