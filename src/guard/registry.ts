/** Guard registry: every guard of one process, by name, so that all its workers share what they know; and what handlers may ask of them. */
import type { ResolvedConfig } from "../actor/config.ts";
import type { BreakerHandle, BreakerSettings, OnceOptions, RateLimitHandle } from "../actor/guard-handles.ts";
import type { Bucket } from "../broker/bucket.ts";
import type { ServerClock } from "../broker/server-clock.ts";
import { Breakers } from "./breaker/breakers.ts";
import type { BreakerEvent } from "./breaker/breaker.ts";
import { ConcurrencyLimits } from "./concurrency-limit/concurrency-limits.ts";
import { Guards } from "./guards.ts";
import type { Guard, GuardedRun } from "./guard.ts";
import { Once, type OnceRun } from "./once/once.ts";
import { RateLimits } from "./rate-limit/rate-limits.ts";
import type { SharedState } from "./shared-state.ts";

export interface GuardServices {
  /** By the names of breakers. */
  breakers: SharedState<unknown>;
  /** By the names of limits, and their keys. */
  limits: SharedState<unknown>;
  once: Bucket;
  clock: ServerClock;
  /** Calls the listener when the connection is back. */
  onUp: (listener: () => void) => () => void;
}

/** Plain data, for metrics. */
export interface GuardSnapshot {
  breakers: ReturnType<Breakers["phases"]>;
  rateLimitWaits: ReturnType<RateLimits["waits"]>;
}

export class GuardRegistry {
  readonly #breakers: Breakers;
  readonly #concurrencyLimits: ConcurrencyLimits;
  readonly #rateLimits: RateLimits;
  readonly #once: Once;

  constructor({ breakers, limits, once, clock, onUp }: GuardServices) {
    this.#breakers = new Breakers({ state: breakers, clock, onUp });
    this.#concurrencyLimits = new ConcurrencyLimits(limits, clock);
    this.#rateLimits = new RateLimits(limits, clock);
    this.#once = new Once(once, clock);
  }

  /**
   * The guards of one actor in one worker, undefined where its config has none. A run passes them in this order: what is granted for a
   * moment only comes last.
   * @param onProblem is told what no message can be blamed for, such as a server that is away.
   * @throws ConfigError where another actor gave a guard of the same name other settings.
   */
  guardsOf(config: ResolvedConfig, onProblem: (error: Error) => void): Guards | undefined {
    const guards: Guard[] = [];
    const { breaker, concurrencyLimit, rateLimit } = config;
    try {
      const circuit = breaker && this.#breakers.guard(config, breaker, onProblem);
      if (circuit !== undefined) guards.push(circuit);
      if (concurrencyLimit !== undefined)
        guards.push(this.#concurrencyLimits.guard(config, concurrencyLimit, onProblem));
      if (circuit !== undefined) guards.push(circuit.prober);
      if (rateLimit !== undefined) guards.push(this.#rateLimits.guard(config, rateLimit, onProblem));
    } catch (error) {
      // Nobody else knows of those that were made, and their names would keep these settings.
      for (const guard of guards) guard.close();
      throw error;
    }
    return guards.length === 0 ? undefined : new Guards(guards);
  }

  /** Calls the listener with each change of a circuit in this process. @returns a function that ends it. */
  onBreaker(listener: (event: BreakerEvent) => void): () => void {
    return this.#breakers.onEvent(listener);
  }

  /** What this process sees of its circuits, and how long its rate limits made messages wait. */
  snapshot(): GuardSnapshot {
    return { breakers: this.#breakers.phases(), rateLimitWaits: this.#rateLimits.waits() };
  }

  breaker(
    run: GuardedRun & { readonly actor: string },
    name: string,
    settings: BreakerSettings | undefined,
  ): BreakerHandle {
    return this.#breakers.handle(run, name, settings);
  }

  rateLimit(run: GuardedRun, name: string): RateLimitHandle {
    return this.#rateLimits.handle(run, name);
  }

  once<T>(run: OnceRun, key: string, fn: () => T | Promise<T>, options: OnceOptions | undefined): Promise<T> {
    return this.#once.call(run, key, fn, options);
  }

  /** Ends timers and interest, and gives back what the fleet should not have to wait for. Resolves when KV has it, or has not answered in time. */
  async close(): Promise<void> {
    this.#breakers.close();
    await this.#concurrencyLimits.close();
  }
}
