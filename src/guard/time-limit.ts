/**
 * Time limit: ends an attempt whose handler takes too long, although JavaScript cannot be stopped.
 * 1. At the hard limit `ctx.signal` aborts. A handler that ends within a second after it is judged by what it gave.
 * 2. After that second the attempt has failed, and who called the handler is told so at once. But the handler still runs, and a second
 *    run must not overlap it: until it ends the run is `overdue`, and keeps its slot and its message.
 * 3. A handler that has not ended at `abandonAfter` is abandoned: the run is over, and may overlap with the next one.
 * 4. What a handler gives too late is dropped.
 */
import type { Context } from "../actor/context.ts";
import { maxTimerMs, monotonicMs } from "../kernel/clock.ts";
import { TimeLimitError, toError } from "../kernel/errors.ts";

/** Time for a handler to obey its signal. */
const graceMs = 1_000;

/** A failed attempt whose handler still runs. */
export interface Overdue {
  /** Resolves when the handler has ended, or is no longer waited for. */
  readonly over: Promise<void>;
  /** Waits no longer. */
  letGo(): void;
}

/** A run as its time limit sees it. */
export interface LimitedRun extends Context {
  overdue: Overdue | undefined;
  abort(reason: Error): void;
}

export interface TimeLimitOptions<Run extends LimitedRun> {
  actor: string;
  hardMs: number;
  /** From the handler's beginning on. */
  abandonAfterMs: number;
  /** The hard limit has passed. */
  onOverdue(run: Run): void;
  onAbandoned(run: Run): void;
  /** An abandoned handler has ended after all. */
  onLateEnd(): void;
}

export class TimeLimit<Run extends LimitedRun> {
  readonly #options: TimeLimitOptions<Run>;

  constructor(options: TimeLimitOptions<Run>) {
    this.#options = options;
  }

  /**
   * What the handler gives.
   * @throws TimeLimitError a second after the hard limit; `run.overdue` says then when the handler has ended.
   */
  within<T>(run: Run, handler: () => T | Promise<T>): Promise<T> {
    const { actor, hardMs } = this.#options;
    return new Promise((resolve, reject) => {
      const beganMs = monotonicMs();
      const overdue = new Pending();
      let timer: NodeJS.Timeout;
      const settle = (give: () => void): void => {
        clearTimeout(timer);
        give();
        overdue.end();
      };
      call(handler).then(
        (value) => settle(() => resolve(value)),
        (error: unknown) => settle(() => reject(toError(error))),
      );
      const atHardLimit = (): void => {
        const error = new TimeLimitError(actor, hardMs);
        this.#options.onOverdue(run);
        run.abort(error);
        timer = at(hardMs + graceMs, () => {
          run.overdue = overdue;
          reject(error);
          timer = at(this.#options.abandonAfterMs, () => this.#abandon(run, overdue));
        });
      };
      const at = (sinceBeganMs: number, act: () => void): NodeJS.Timeout => timerAt(beganMs + sinceBeganMs, act);
      timer = at(hardMs, atHardLimit);
    });
  }

  #abandon(run: Run, overdue: Pending): void {
    if (overdue.ended) return;
    overdue.onLateEnd = () => this.#options.onLateEnd();
    this.#options.onAbandoned(run);
    overdue.letGo();
  }
}

class Pending implements Overdue {
  readonly over: Promise<void>;
  letGo: () => void = () => undefined;
  ended = false;
  onLateEnd: (() => void) | undefined;

  constructor() {
    this.over = new Promise((resolve) => (this.letGo = resolve));
  }

  /** The handler has ended. */
  end(): void {
    this.ended = true;
    this.letGo();
    this.onLateEnd?.();
  }
}

/** Also of a handler that throws before it returns a promise. */
async function call<T>(handler: () => T | Promise<T>): Promise<T> {
  return handler();
}

/** Holds no process: what is limited does, or nobody waits for it. */
function timerAt(atMs: number, act: () => void): NodeJS.Timeout {
  return setTimeout(act, Math.min(Math.max(0, atMs - monotonicMs()), maxTimerMs)).unref();
}
