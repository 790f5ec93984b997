/** Slots: how many handlers may run at once, for one actor or for the whole worker. */
export class Slots {
  readonly limit: number;
  #taken = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  get free(): number {
    return this.limit - this.#taken;
  }

  get taken(): number {
    return this.#taken;
  }

  take(): void {
    this.#taken += 1;
  }

  release(): void {
    this.#taken -= 1;
  }
}
