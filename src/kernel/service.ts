/**
 * Service: what starts once and stops once, however often and from wherever either is called.
 * 1. A second start() or stop() returns the first one's promise.
 * 2. stop() during start() waits for the start to end first.
 * 3. A failed start stops what it had begun.
 */
export abstract class Service {
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  protected abstract onStart(): Promise<void>;
  protected abstract onStop(): Promise<void>;

  start(): Promise<void> {
    this.#started ??= this.onStart().catch(async (error: unknown) => {
      await this.stop().catch(() => undefined);
      throw error;
    });
    return this.#started;
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    return this.#stopped;
  }

  /** True from the first call of stop() on. */
  get stopping(): boolean {
    return this.#stopped !== undefined;
  }

  async #stopOnce(): Promise<void> {
    // Not awaited when the failed start itself is the caller: its promise could never settle.
    await this.onStop();
  }
}
