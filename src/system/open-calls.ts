/** Open calls: what a system has accepted and not yet settled, so that its end can wait for it. */
import type { Sender } from "../actor/context.ts";
import { pause } from "../kernel/clock.ts";
import { ClosedError } from "../kernel/errors.ts";

export class OpenCalls {
  readonly #closed: () => boolean;
  #open = 0;
  #idle = new AbortController();

  /** @param closed the system was asked to close. */
  constructor(closed: () => boolean) {
    this.#closed = closed;
  }

  /** A call that the system's end does not wait for. @throws ClosedError, also where the end came over it. */
  async open<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed()) throw new ClosedError("system");
    try {
      return await call();
    } catch (thrown) {
      // The connection's end is no news of its own.
      throw this.#closed() ? new ClosedError("system") : thrown;
    }
  }

  /** A call that the system's end waits for. @throws ClosedError. */
  async take<T>(call: () => Promise<T>): Promise<T> {
    if (this.#closed()) throw new ClosedError("system");
    return this.run(call);
  }

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
