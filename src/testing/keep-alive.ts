/**
 * Keep-alive: holds the process while calls are under way and for a while after the last sign of life. The connections of the kit do
 * not hold it, so that a test which forgets to close its system ends all the same, a little later.
 */
const quietMs = 5_000;

export class KeepAlive {
  #calls = 0;
  #timer: NodeJS.Timeout | undefined;

  /** A sign of life. */
  touch(): void {
    if (this.#timer !== undefined) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#quiet(), quietMs);
  }

  /** Holds the process until the promise is settled, and gives it back. */
  async during<T>(call: Promise<T>): Promise<T> {
    this.#calls += 1;
    this.touch();
    try {
      return await call;
    } finally {
      this.#calls -= 1;
      this.touch();
    }
  }

  /** Lets go at once. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #quiet(): void {
    this.#timer = undefined;
    if (this.#calls > 0) this.touch();
  }
}
