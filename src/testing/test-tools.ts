/** Test tools: what a handler's context offers beside its message, without a fleet: closed breakers, free limits, a memory of its own. */
import type { BreakerHandle, RateLimitHandle } from "../actor/guard-handles.ts";
import type { Run, RunTools } from "../worker/run.ts";

export class TestTools implements RunTools {
  readonly #kept = new Map<string, unknown>();

  /** Closed. */
  breaker(): BreakerHandle {
    return { open: false, fire: async (fn) => fn() };
  }

  rateLimit(): RateLimitHandle {
    return { penalize: async () => undefined };
  }

  async once<T>(_run: Run, key: string, fn: () => T | Promise<T>): Promise<T> {
    if (!this.#kept.has(key)) this.#kept.set(key, await fn());
    return this.#kept.get(key) as T;
  }
}
