/**
 * Rate limit: one name in this process, for all its actors and workers: what it was declared to be, its limiter, and those of
 * its keys that are in use.
 */
import type { ServerClock } from "../../broker/server-clock.ts";
import { declareLimit, declarationTtlMs, refreshEveryMs } from "./declaration.ts";
import { RateLedger } from "./ledger.ts";
import { Limiter, type LimiterClient, type Pace } from "./limiter.ts";
import type { GuardedRun } from "../guard.ts";
import { readRecord, recordKey, type RateSettings } from "./record.ts";
import type { SharedState } from "../shared-state.ts";

/** A key's record says nothing that is not over by then. */
export const keyTtlMs = 5_000;
/** Beyond this many keys in use the oldest are forgotten, and read again when they come. */
const mostKeys = 50_000;

export class RateLimit {
  readonly settings: RateSettings;
  /** How many messages waited in this process for a slot, and for how long in all. */
  readonly waits = { count: 0, ms: 0 };
  /** Of the limit without keys; with keys, of its declaration and of what holds every key back. */
  readonly main: Limiter;
  readonly #state: SharedState<unknown>;
  readonly #clock: ServerClock;
  readonly #onEmpty: () => void;
  readonly #pace: Pace = { roundTripMs: 2 };
  readonly #keys = new Map<string, Limiter>();
  readonly #keyOf = new WeakMap<GuardedRun, string>();
  readonly #listeners = new Set<(error: Error) => void>();
  #started: Promise<void> | undefined;
  #offs: (() => void)[] = [];
  #ticker: NodeJS.Timeout | undefined;
  #troubled = false;

  constructor(settings: RateSettings, state: SharedState<unknown>, clock: ServerClock, onEmpty: () => void) {
    this.settings = settings;
    this.#state = state;
    this.#clock = clock;
    this.#onEmpty = onEmpty;
    this.main = this.#limiter(undefined);
    this.main.ledger.onHeld((released) => {
      for (const limiter of this.#keys.values()) limiter.held(released);
    });
  }

  /** @returns a function that ends it; when all have, the limit is at its end. */
  join(onProblem: (error: Error) => void): () => void {
    this.#listeners.add(onProblem);
    return () => {
      if (this.#listeners.delete(onProblem) && this.#listeners.size === 0) this.#close();
    };
  }

  /** Declares the limit to the fleet. @throws ConfigError where others have it in use with other numbers. */
  async start(): Promise<void> {
    this.#started ??= this.#startOnce();
    await this.#started;
  }

  async #startOnce(): Promise<void> {
    try {
      await declareLimit(this.#state, this.settings, this.#clock, () => this.#listeners.size > 0);
    } catch (thrown) {
      this.#started = undefined;
      throw thrown;
    }
    if (this.#listeners.size === 0) return;
    const { ledger } = this.main;
    this.#offs = [this.#state.listen(recordKey(this.settings.name), readRecord, (shared) => ledger.learn(shared))];
    if (this.settings.keyed) {
      const each = `${recordKey(this.settings.name)}.*`;
      this.#offs.push(this.#state.listen(each, readRecord, (shared, key) => this.#keys.get(key)?.ledger.learn(shared)));
      // What holds every key back stands in no key's record. Without the server nothing is reserved either.
      await ledger.refresh().catch(() => undefined);
    }
    this.#ticker = setInterval(() => this.#tick(), refreshEveryMs).unref();
  }

  /** The limiter of a key. */
  of(key: string): Limiter {
    const place = recordKey(this.settings.name, key);
    let limiter = this.#keys.get(place);
    if (limiter === undefined) {
      limiter = this.#limiter(place);
      this.#keys.set(place, limiter);
      if (this.#keys.size > mostKeys) this.#forget((one) => one.waiting === 0, 1);
    }
    return limiter;
  }

  /** For what its handler asks of the limit. */
  noteKey(run: GuardedRun, key: string): void {
    this.#keyOf.set(run, key);
  }

  /** The key of a message; undefined where it has none under this limit. */
  keyOf(run: GuardedRun): string | undefined {
    return this.#keyOf.get(run);
  }

  /** The client's messages that wait are put back. */
  dismiss(client: LimiterClient): void {
    this.main.dismiss(client);
    for (const limiter of this.#keys.values()) limiter.dismiss(client);
  }

  #limiter(place: string | undefined): Limiter {
    const ledger = new RateLedger({
      state: this.#state,
      clock: this.#clock,
      settings: this.settings,
      key: place ?? recordKey(this.settings.name),
      leastTtlMs: place === undefined ? declarationTtlMs : keyTtlMs,
      quiet: place !== undefined,
      ...(place !== undefined && { limit: this.main.ledger }),
      onProblem: (error) => this.#report(error),
      onHealthy: () => (this.#troubled = false),
    });
    return new Limiter({ plan: this.settings.plan, clock: this.#clock, ledger, pace: this.#pace });
  }

  /** Once, until it has worked again. */
  #report(error: Error): void {
    if (this.#troubled) return;
    this.#troubled = true;
    for (const listener of this.#listeners) listener(error);
  }

  #tick(): void {
    const { ledger } = this.main;
    // What cannot be written now was reported, and is tried again.
    if (ledger.quietForMs > refreshEveryMs * 0.75) void ledger.refresh().catch(() => undefined);
    this.#forget((limiter) => limiter.idle, Infinity);
  }

  #forget(mayGo: (limiter: Limiter) => boolean, most: number): void {
    let gone = 0;
    for (const [place, limiter] of this.#keys) {
      if (gone >= most) return;
      if (mayGo(limiter) && this.#keys.delete(place)) gone += 1;
    }
  }

  #close(): void {
    clearInterval(this.#ticker);
    for (const off of this.#offs) off();
    this.#onEmpty();
  }
}
