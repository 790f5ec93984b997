/** Test tools: what a handler's context offers beside its message, without a fleet: closed breakers, free limits, a memory of its own. */
import type { BreakerHandle, RateLimitHandle } from "../actor/guard-handles.ts";
import { EncodeError } from "../kernel/errors.ts";
import { contentTypes, decode, encode } from "../message/codec.ts";
import type { Run, RunTools } from "../worker/run.ts";

export class TestTools implements RunTools {
  readonly #kept = new Map<string, Promise<unknown>>();

  /** Closed. */
  breaker(): BreakerHandle {
    return { open: false, fire: async (fn) => fn() };
  }

  rateLimit(): RateLimitHandle {
    return { penalize: async () => undefined };
  }

  /** As a worker does, but for what other runs of the message left: the value comes back as KV would give it. */
  async once<T>(_run: Run, key: string, fn: () => T | Promise<T>): Promise<T> {
    const kept = this.#kept.get(key) ?? call(fn);
    this.#kept.set(key, kept);
    try {
      return (await kept) as T;
    } catch (error) {
      if (!(error instanceof EncodeError) && this.#kept.get(key) === kept) this.#kept.delete(key);
      throw error;
    }
  }
}

async function call(fn: () => unknown): Promise<unknown> {
  const value = await fn();
  return (decode(encode({ value }, "msgpack"), contentTypes.msgpack) as { value: unknown }).value;
}
