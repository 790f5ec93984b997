/** Rate limits: those of one process, by name. */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { ResolvedRateLimit } from "../../actor/guard-config.ts";
import type { RateLimitHandle } from "../../actor/guard-handles.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import { toMs } from "../../kernel/duration.ts";
import { ConfigError } from "../../kernel/errors.ts";
import type { Guard, GuardedRun } from "../guard.ts";
import { RateLimit } from "./limit.ts";
import { RateLimitGuard } from "./rate-limit-guard.ts";
import { agrees, describe, freshRecord, type RateSettings } from "./record.ts";
import { ratePlan } from "./slots.ts";
import type { SharedState } from "../shared-state.ts";

export class RateLimits {
  readonly #state: SharedState<unknown>;
  readonly #clock: ServerClock;
  readonly #limits = new Map<string, RateLimit>();

  constructor(state: SharedState<unknown>, clock: ServerClock) {
    this.#state = state;
    this.#clock = clock;
  }

  /** @throws ConfigError where another actor of the process has the limit with other numbers. */
  guard(actor: ResolvedConfig, declared: ResolvedRateLimit, onProblem: (error: Error) => void): Guard {
    const { name, key } = declared;
    const settings: RateSettings = { name, plan: ratePlan(declared), keyed: key !== undefined };
    let limit = this.#limits.get(name);
    if (limit !== undefined && !agrees(freshRecord(limit.settings), settings)) {
      throw new ConfigError(
        `The rate limit ${name} is ${describe(freshRecord(settings))} in the actor ${actor.name} and ${describe(freshRecord(limit.settings))} in another one; give both the same numbers, or different names.`,
      );
    }
    if (limit === undefined) {
      limit = new RateLimit(settings, this.#state, this.#clock, () => this.#limits.delete(name));
      this.#limits.set(name, limit);
    }
    return new RateLimitGuard(limit, actor, declared, onProblem);
  }

  /** How many messages waited in this process for slots of each limit, and for how long in all. */
  waits(): { name: string; count: number; ms: number }[] {
    return [...this.#limits].map(([name, { waits }]) => ({ name, ...waits }));
  }

  /** @throws ConfigError where no actor of the process has the limit, or where it goes by keys and the message has none under it. */
  handle(run: GuardedRun, name: string): RateLimitHandle {
    const limit = this.#limits.get(name);
    if (limit === undefined) {
      const known = [...this.#limits.keys()].join(", ") || "none";
      throw new ConfigError(
        `No actor of this process has the rate limit ${JSON.stringify(name)} (those there are: ${known}); declare it as rateLimit in the config of one.`,
      );
    }
    const key = limit.keyOf(run);
    if (limit.settings.keyed && key === undefined) {
      throw new ConfigError(
        `The rate limit ${name} goes by keys, and the message ${run.id} has none under it; use it in the actor that declares it.`,
      );
    }
    return {
      penalize: async (delay) => {
        const delayMs = toMs(delay, "penalize");
        const { ledger } = key === undefined ? limit.main : limit.of(key);
        await ledger.penalize(delayMs);
      },
    };
  }
}
