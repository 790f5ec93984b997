/** Concurrency limit: one name in this process: its pools of permits by key, and what the guards of all its actors share. */
import type { ServerClock } from "../../broker/server-clock.ts";
import { ConfigError } from "../../kernel/errors.ts";
import { key as keyText, newId } from "../../message/names.ts";
import { keyToken } from "../key.ts";
import type { SharedState } from "../shared-state.ts";
import { Backlog } from "./backlog.ts";
import { leaseMs, PermitPool } from "./pool.ts";

/** Who is told what happens to a limit. */
export interface LimitListener {
  /** More permits may be free. */
  onChange: () => void;
  onProblem: (error: Error) => void;
}

export interface ConcurrencySettings {
  name: string;
  limit: number;
  /** Counted by key. */
  keyed: boolean;
}

/** No rate limit's key begins so, which are in the same bucket. */
export const concurrencyPrefix = "=c.";

/** The KV key of a limit's permits. */
export function concurrencyKey(name: string): string {
  return concurrencyPrefix + keyText(name);
}

export class ConcurrencyLimit {
  readonly settings: ConcurrencySettings;
  /** The actor that brought it here. */
  readonly actor: string;
  readonly backlog: Backlog;
  readonly #state: SharedState<unknown>;
  readonly #clock: ServerClock;
  readonly #holder = newId();
  readonly #listeners = new Set<LimitListener>();
  readonly #pins = new Set<LimitListener>();
  readonly #pools = new Map<string, PermitPool>();
  /** What was said of, not to be said again: the server's absence, the number of others. */
  readonly #said = new Set<string>();

  constructor(settings: ConcurrencySettings, actor: string, state: SharedState<unknown>, clock: ServerClock) {
    this.settings = settings;
    this.actor = actor;
    this.#state = state;
    this.#clock = clock;
    this.backlog = new Backlog(settings.limit);
  }

  /** True where permits of the key are held or waited for here. */
  inUse(key: string): boolean {
    return this.#pools.has(this.#place(key));
  }

  /** The permits of a key; of the limit as a whole without one. */
  pool(key?: string): PermitPool {
    const place = this.#place(key);
    let pool = this.#pools.get(place);
    if (pool !== undefined) return pool;
    pool = new PermitPool({
      state: this.#state,
      clock: this.#clock,
      key: place,
      holder: this.#holder,
      limit: this.settings.limit,
      onChange: () => {
        if (key === undefined) for (const { onChange } of this.#listeners) onChange();
      },
      onServer: (error) => this.#hearServer(error),
      onClash: (limit) => this.#problem("clash", this.#clash(limit)),
      onUnused: () => this.#pools.delete(place),
    });
    this.#pools.set(place, pool);
    return pool;
  }

  /**
   * Learns what others use, and tells them that it is in use here.
   * @throws ConfigError where others use another number. A server that is away is a problem, not an error.
   */
  async join(listener: LimitListener): Promise<void> {
    this.#listeners.add(listener);
    const base = this.pool();
    try {
      const clash = await base.look();
      if (clash !== undefined) throw this.#clash(clash);
    } catch (thrown) {
      if (thrown instanceof ConfigError) throw thrown;
      this.#hearServer(thrown as Error);
    }
    // It may have left meanwhile.
    if (!this.#listeners.has(listener)) return;
    this.#pins.add(listener);
    await base.pin();
  }

  leave(listener: LimitListener): void {
    this.#listeners.delete(listener);
    if (this.#pins.delete(listener)) this.pool().unpin();
  }

  /** One that listens takes no more permits. */
  drain(): void {
    if (this.#listeners.size <= 1) void this.flush();
  }

  /** Gives back what is idle. Resolves when KV has it, or could not be told. */
  async flush(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.flush()));
  }

  /** The KV key of a key's permits. */
  #place(key: string | undefined): string {
    const base = concurrencyKey(this.settings.name);
    return key === undefined ? base : `${base}.${keyToken(key)}`;
  }

  #hearServer(error: Error | undefined): void {
    if (error === undefined) {
      this.#said.delete("away");
      return;
    }
    const { name } = this.settings;
    this.#problem(
      "away",
      new Error(
        `The concurrency limit "${name}" cannot be kept (${error.message}); what it holds back waits until its bucket answers again.`,
        { cause: error },
      ),
    );
  }

  #problem(what: string, error: Error): void {
    if (this.#said.has(what)) return;
    this.#said.add(what);
    for (const { onProblem } of this.#listeners) onProblem(error);
  }

  #clash(limit: number): ConfigError {
    const { name, limit: own } = this.settings;
    return new ConfigError(
      `The concurrency limit "${name}" is ${own} in actor ${this.actor}, and ${limit} in workers that run now; stop those first (one that died counts for ${leaseMs / 1_000} s), or give the new one a new name.`,
    );
  }
}
