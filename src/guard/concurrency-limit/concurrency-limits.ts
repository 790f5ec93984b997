/** Concurrency limits: those of one process, by name, shared by the actors of all its workers. */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { ResolvedConcurrencyLimit } from "../../actor/guard-config.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import { pause } from "../../kernel/clock.ts";
import { ConfigError } from "../../kernel/errors.ts";
import { ConcurrencyLimitGuard } from "./concurrency-limit-guard.ts";
import type { SharedState } from "../shared-state.ts";
import { ConcurrencyLimit } from "./limit.ts";

const closeTimeoutMs = 1_000;

export class ConcurrencyLimits {
  readonly #state: SharedState<unknown>;
  readonly #clock: ServerClock;
  readonly #limits = new Map<string, { limit: ConcurrencyLimit; users: number }>();
  /** What was given up and is perhaps not yet told. */
  readonly #closing = new Set<Promise<void>>();

  constructor(state: SharedState<unknown>, clock: ServerClock) {
    this.#state = state;
    this.#clock = clock;
  }

  /** @throws ConfigError where another actor of this process has the name with other settings. */
  guard(
    config: ResolvedConfig,
    concurrencyLimit: ResolvedConcurrencyLimit,
    onProblem: (error: Error) => void,
  ): ConcurrencyLimitGuard {
    const { name, limit, key } = concurrencyLimit;
    const settings = { name, limit, keyed: key !== undefined };
    const entry = this.#limits.get(name) ?? {
      limit: new ConcurrencyLimit(settings, config.name, this.#state, this.#clock),
      users: 0,
    };
    const { settings: known, actor } = entry.limit;
    if (known.limit !== limit || known.keyed !== settings.keyed) {
      const [here, there] = [settings, known].map((one) => `${one.limit}${one.keyed ? " for each key" : ""}`);
      throw new ConfigError(
        `The concurrency limit "${name}" is ${here} in actor ${config.name} and ${there} in actor ${actor}; give it the same number in both, and a key in both or in none, or use two names.`,
      );
    }
    entry.users += 1;
    this.#limits.set(name, entry);
    return new ConcurrencyLimitGuard(entry.limit, config, concurrencyLimit, onProblem, () => {
      entry.users -= 1;
      if (entry.users > 0) return;
      this.#limits.delete(name);
      const closing = entry.limit.flush().finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    });
  }

  /** Resolves when KV has what was given up, or has not answered in time. */
  async close(): Promise<void> {
    const left = [...this.#limits.values()].map(({ limit }) => limit.flush());
    const answered = new AbortController();
    void Promise.all([...this.#closing, ...left]).then(() => answered.abort());
    await pause(closeTimeoutMs, answered.signal);
  }
}
