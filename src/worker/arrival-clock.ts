/**
 * Arrival clock: knows since when a message that is read now can have been on its way, so that what waited for long in a socket is not
 * taken for fresh: after SIGSTOP, a handler that blocked the event loop, a network that held bytes back.
 * 1. Whatever is read after the answer to a ping was sent after that ping. The clock alone cannot tell: after a pause the timers
 *    may have their turn before the socket has.
 * 2. A new connection brings nothing older than itself.
 */
import type { Connection } from "../broker/connection.ts";
import { monotonicMs } from "../kernel/clock.ts";

const beatMs = 100;

export class ArrivalClock {
  readonly #connection: Connection;
  #sentSinceMs = monotonicMs();
  #asking = false;
  #timer: NodeJS.Timeout | undefined;
  #offUp: (() => void) | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  start(): void {
    this.#sentSinceMs = monotonicMs();
    this.#offUp ??= this.#connection.onUp(() => (this.#sentSinceMs = monotonicMs()));
    this.#timer ??= setInterval(() => void this.#ask(), beatMs).unref();
  }

  stop(): void {
    this.#offUp?.();
    clearInterval(this.#timer);
  }

  /** What is read now, the server sent at this time or later; monotonic. */
  get sentSinceMs(): number {
    return this.#sentSinceMs;
  }

  /** How long it may have been on its way, beyond a beat. */
  gapMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#sentSinceMs - beatMs);
  }

  async #ask(): Promise<void> {
    if (this.#asking || !this.#connection.up) return;
    this.#asking = true;
    const askedMs = monotonicMs();
    try {
      await this.#connection.ping();
      this.#sentSinceMs = Math.max(this.#sentSinceMs, askedMs);
    } catch {
      // The connection dropped; the next one tells by itself.
    } finally {
      this.#asking = false;
    }
  }
}
