/** Guard registry: every guard of one process, by name, so that all its workers share what they know; and what handlers may ask of them. */
import type { ResolvedConfig } from "../actor/config.ts";
import type { BreakerHandle, BreakerSettings, OnceOptions, RateLimitHandle } from "../actor/guard-handles.ts";
import type { Bucket } from "../broker/bucket.ts";
import type { ServerClock } from "../broker/server-clock.ts";
import { Breakers } from "./breakers.ts";
import type { BreakerEvent } from "./breaker.ts";
import { Guards } from "./guards.ts";
import type { Guard, GuardedRun } from "./guard.ts";
import { RateLimits } from "./rate-limits.ts";
import type { RateRecord } from "./rate-record.ts";
import type { SharedState } from "./shared-state.ts";

export interface GuardServices {
  /** By the names of breakers. */
  breakers: SharedState<unknown>;
  /** By the names of limits, and their keys. */
  limits: SharedState<RateRecord>;
  once: Bucket;
  clock: ServerClock;
  /** Calls the listener when the connection is back. @returns a function that ends it. */
  onUp: (listener: () => void) => () => void;
}

export class GuardRegistry {
  readonly #services: GuardServices;
  readonly #breakers: Breakers;
  readonly #rateLimits: RateLimits;

  constructor(services: GuardServices) {
    this.#services = services;
    const { breakers, limits, clock, onUp } = services;
    this.#breakers = new Breakers({ state: breakers, clock, onUp });
    this.#rateLimits = new RateLimits(limits, clock);
  }

  /**
   * The guards of one actor in one worker, undefined where its config has none.
   * @param onProblem is told what no message can be blamed for, such as a server that is away.
   * @throws ConfigError where another actor gave a guard of the same name other settings.
   */
  guardsOf(config: ResolvedConfig, onProblem: (error: Error) => void): Guards | undefined {
    const guards: Guard[] = [];
    // The order in which a run passes them: breaker, concurrency limit, rate limit.
    if (config.breaker !== undefined) guards.push(this.#breakers.guard(config, config.breaker, onProblem));
    if (config.concurrencyLimit !== undefined) throw new Error("not built");
    if (config.rateLimit !== undefined) guards.push(this.#rateLimits.guard(config.rateLimit, config, onProblem));
    return guards.length === 0 ? undefined : new Guards(guards);
  }

  /** Calls the listener with each change of a circuit in this process. @returns a function that ends it. */
  onBreaker(listener: (event: BreakerEvent) => void): () => void {
    return this.#breakers.onEvent(listener);
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

  once<T>(_run: GuardedRun, key: string, _fn: () => T | Promise<T>, _options: OnceOptions | undefined): Promise<T> {
    throw new Error(`not built ${key} ${this.#services.once.name}`);
  }

  /** Ends timers and interest. */
  close(): void {
    this.#breakers.close();
  }
}
