/** Breaker handle: a circuit breaker inside a handler, `ctx.breaker(name)`. */
import type { BreakerHandle } from "../../actor/guard-handles.ts";
import { ConfigError } from "../../kernel/errors.ts";
import type { Breaker } from "./breaker.ts";
import { toError } from "../../kernel/errors.ts";
import { judge, type Verdict } from "./record.ts";
import type { GuardedRun } from "../guard.ts";

export class HandlerBreaker implements BreakerHandle {
  readonly #breaker: Breaker;
  readonly #run: GuardedRun;
  readonly #counts: (error: Error) => boolean;

  /** @param counts false for an error that says nothing against the dependency. */
  constructor(breaker: Breaker, run: GuardedRun, counts: (error: Error) => boolean) {
    this.#breaker = breaker;
    this.#run = run;
    this.#counts = counts;
  }

  get open(): boolean {
    return this.#breaker.phase === "open" && !this.#breaker.isProbing(this.#run);
  }

  async fire<T>(fn: () => T | Promise<T>, fallback?: () => T | Promise<T>): Promise<T> {
    const breaker = this.#breaker;
    if (typeof fn !== "function" || (fallback !== undefined && typeof fallback !== "function")) {
      throw new ConfigError(
        `ctx.breaker("${breaker.name}").fire() takes a function, and perhaps another one as fallback; write fire(() => call(…)).`,
      );
    }
    await breaker.start();
    // The run as a whole is the probe.
    if (breaker.isProbing(this.#run)) return fn();
    const verdict = (error: unknown): Verdict => (this.#run.open ? judge(toError(error), this.#counts) : "nothing");
    const probe = breaker.phase === "half-open" ? await breaker.probe() : undefined;
    if (probe === undefined) {
      if (breaker.phase !== "closed" && fallback !== undefined) return fallback();
      return breaker.run(fn, verdict);
    }
    try {
      return await probe.run(fn, verdict);
    } catch (error) {
      if (probe.failed && fallback !== undefined) return fallback();
      throw error;
    }
  }
}
