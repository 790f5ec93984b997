/**
 * Loop monitor: knows when the event loop last turned, so that messages read after a pause (SIGSTOP, a blocking handler) are not
 * taken for fresh. What was read after a gap may have waited in the socket for all of it.
 */
import { monotonicMs } from "../kernel/clock.ts";

const beatMs = 100;

export class LoopMonitor {
  #lastBeatMs = monotonicMs();
  #timer: NodeJS.Timeout | undefined;

  start(): void {
    this.#lastBeatMs = monotonicMs();
    this.#timer ??= setInterval(() => (this.#lastBeatMs = monotonicMs()), beatMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** When the loop was last known to turn: what is read now cannot have been waiting since before that. */
  get lastBeatMs(): number {
    return this.#lastBeatMs;
  }

  /** How long the loop has been standing still, beyond a beat. */
  gapMs(nowMs: number): number {
    return Math.max(0, nowMs - this.#lastBeatMs - beatMs);
  }
}
