/** Open calls: what a system has accepted and not yet settled, so that its end can wait for it. */
import type { Sender } from "../actor/context.ts";
import { pause } from "../kernel/clock.ts";

export class OpenCalls {
  #open = 0;
  #idle = new AbortController();

  /** Counts a call until it is settled. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    this.#open += 1;
    try {
      return await call();
    } finally {
      this.#open -= 1;
      if (this.#open === 0) this.#idle.abort();
    }
  }

  /** A sender whose calls are counted. */
  counted(sender: Sender): Sender {
    return {
      tell: (...args: unknown[]) => this.run(() => sender.tell(...(args as Parameters<Sender["tell"]>))),
      publish: (...args: unknown[]) => this.run(() => sender.publish(...(args as Parameters<Sender["publish"]>))),
    };
  }

  /** Resolves when none is open, and after `timeoutMs` at the latest. */
  async settled(timeoutMs: number): Promise<void> {
    if (this.#open === 0) return;
    this.#idle = new AbortController();
    await pause(timeoutMs, this.#idle.signal);
  }
}
