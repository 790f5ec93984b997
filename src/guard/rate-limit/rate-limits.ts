/** Rate limits: those of one process, by name. */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { ResolvedRateLimit } from "../../actor/guard-config.ts";
import type { RateLimitHandle } from "../../actor/guard-handles.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import { toMs } from "../../kernel/duration.ts";
import { ConfigError } from "../../kernel/errors.ts";
import type { Guard, GuardedRun } from "../guard.ts";
import { LimitDomain } from "./domain.ts";
import { RateLimitGuard } from "./rate-limit-guard.ts";
import { agrees, describe, freshRecord, type RateRecord, type RateTerms } from "./record.ts";
import { ratePlan } from "./slots.ts";
import type { SharedState } from "../shared-state.ts";

export class RateLimits {
  readonly #state: SharedState<RateRecord>;
  readonly #clock: ServerClock;
  readonly #domains = new Map<string, LimitDomain>();

  constructor(state: SharedState<RateRecord>, clock: ServerClock) {
    this.#state = state;
    this.#clock = clock;
  }

  /** @throws ConfigError where another actor of the process has the limit with other numbers. */
  guard(actor: ResolvedConfig, limit: ResolvedRateLimit, onProblem: (error: Error) => void): Guard {
    const { name, key } = limit;
    const terms: RateTerms = { name, plan: ratePlan(limit), keyed: key !== undefined };
    let domain = this.#domains.get(name);
    if (domain !== undefined && !agrees(freshRecord(domain.terms), terms)) {
      throw new ConfigError(
        `The rate limit ${name} is ${describe(freshRecord(terms))} in the actor ${actor.name} and ${describe(freshRecord(domain.terms))} in another one; give both the same numbers, or different names.`,
      );
    }
    if (domain === undefined) {
      domain = new LimitDomain(terms, this.#state, this.#clock, () => this.#domains.delete(name));
      this.#domains.set(name, domain);
    }
    return new RateLimitGuard(domain, actor, limit, onProblem);
  }

  /** @throws ConfigError where no actor of the process has the limit, or where it goes by keys and the message has none under it. */
  handle(run: GuardedRun, name: string): RateLimitHandle {
    const domain = this.#domains.get(name);
    if (domain === undefined) {
      const known = [...this.#domains.keys()].join(", ") || "none";
      throw new ConfigError(
        `No actor of this process has the rate limit ${JSON.stringify(name)} (those there are: ${known}); declare it as rateLimit in the config of one.`,
      );
    }
    const key = domain.keyOf(run);
    if (domain.terms.keyed && key === undefined) {
      throw new ConfigError(
        `The rate limit ${name} goes by keys, and the message ${run.id} has none under it; use it in the actor that declares it.`,
      );
    }
    return {
      penalize: async (delay) => {
        const delayMs = toMs(delay, "penalize");
        const { ledger } = key === undefined ? domain.main : domain.of(key);
        await ledger.penalize(delayMs);
      },
    };
  }
}
