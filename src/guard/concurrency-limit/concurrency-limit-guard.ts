/**
 * Concurrency limit guard: lets a handler of one actor run while it has one of the fleet's permits.
 * 1. A run waits for a permit but shortly, since it takes a handler's place meanwhile; with keys only some of the places, so that a busy
 *    key does not keep the others. What gets none is put back behind those of its key that were put back before.
 * 2. A permit that the server could not be told of for most of its lease is void: its handler's signal aborts, and what it then throws
 *    is no failed attempt. Not to overlap goes before finishing.
 */
import type { ResolvedConfig } from "../../actor/config.ts";
import type { ResolvedConcurrencyLimit } from "../../actor/guard-config.ts";
import { Deferred } from "../../actor/signals.ts";
import { monotonicMs } from "../../kernel/clock.ts";
import type { ConcurrencyLimit, LimitListener } from "./limit.ts";
import type { Permit, PermitPool } from "./pool.ts";
import type { Deferral, Guard, GuardedRun, Handler } from "../guard.ts";
import { keyOfInput } from "../key.ts";

const reason = "concurrency-limited";
const waitMs = { whole: 2_000, keyed: 1_000 };
/** Of an actor's places, how many may wait for permits of busy keys. */
const waitingShare = 1 / 4;
const voidDelayMs = 1_000;

export class ConcurrencyLimitGuard implements Guard {
  readonly label: string;
  readonly #limit: ConcurrencyLimit;
  readonly #key: ((input: unknown) => string) | undefined;
  readonly #what: string;
  readonly #maxWaiting: number;
  readonly #listener: LimitListener;
  readonly #release: () => void;
  readonly #permits = new Map<GuardedRun, { permit: Permit; pool: PermitPool; key: string }>();
  readonly #voided = new WeakSet<object>();
  /** Ends the wait of each that waits. */
  readonly #waits = new Set<() => void>();
  #draining = false;

  /** @param release called once when it is closed. */
  constructor(
    limit: ConcurrencyLimit,
    { name, concurrency }: ResolvedConfig,
    { key }: ResolvedConcurrencyLimit,
    onProblem: (error: Error) => void,
    release: () => void,
  ) {
    this.#limit = limit;
    this.label = `concurrency limit ${limit.settings.name}`;
    this.#key = key;
    this.#what = `concurrency limit "${limit.settings.name}" of actor ${name}`;
    this.#maxWaiting = key === undefined ? Infinity : Math.max(1, Math.floor(concurrency * waitingShare));
    this.#listener = { onChange: () => undefined, onProblem };
    this.#release = release;
  }

  async start(onChange: () => void): Promise<void> {
    if (this.#key === undefined) this.#listener.onChange = onChange;
    await this.#limit.join(this.#listener);
  }

  /** One more than there are permits, so that the next is there when one comes free. */
  room(): number {
    return this.#key === undefined ? this.#limit.pool().free + 1 : Infinity;
  }

  enter(run: GuardedRun, input: unknown): Deferral | undefined | Promise<Deferral | undefined> {
    const held = this.#permits.get(run);
    if (held?.pool.has(held.permit)) return undefined;
    if (this.#draining) return { reason, delayMs: 0 };
    const key = this.#key === undefined ? undefined : keyOfInput(this.#key, input, this.#what, run);
    const crowded = this.#waits.size >= this.#maxWaiting;
    const busyHere = key !== undefined && this.#limit.inUse(key);
    const pool = this.#limit.pool(key);
    const permit = pool.take(() => this.#void(run));
    if (permit !== undefined) {
      this.#permits.set(run, { permit, pool, key: key ?? "" });
      return undefined;
    }
    if (crowded && busyHere) return this.#defer(key, pool);
    return this.#wait(run, key, pool, crowded);
  }

  leave(run: GuardedRun): void {
    const held = this.#permits.get(run);
    if (held === undefined) return;
    this.#permits.delete(run);
    this.#limit.backlog.note(held.key, monotonicMs() - held.permit.sinceMs);
    held.pool.giveBack(held.permit);
  }

  around(handler: Handler): Handler {
    return async (input, ctx) => {
      try {
        return await handler(input, ctx);
      } catch (error) {
        if (!this.#voided.has(ctx)) throw error;
        throw new Deferred(reason, voidDelayMs, `the permit of the ${this.#what} was lost`, { cause: error });
      }
    };
  }

  drain(): void {
    this.#draining = true;
    for (const end of this.#waits) end();
    this.#limit.drain();
  }

  close(): void {
    this.#limit.leave(this.#listener);
    this.#release();
  }

  /** @param briefly for no longer than KV takes to say whether one is free. */
  async #wait(
    run: GuardedRun,
    key: string | undefined,
    pool: PermitPool,
    briefly: boolean,
  ): Promise<Deferral | undefined> {
    const longestMs = key === undefined ? waitMs.whole : waitMs.keyed;
    const permit = await new Promise<Permit | undefined>((resolve) => {
      const end = (got?: Permit): void => {
        clearTimeout(timer);
        leave();
        this.#waits.delete(giveUp);
        resolve(got);
      };
      const giveUp = (): void => end();
      const timer = setTimeout(giveUp, longestMs);
      this.#waits.add(giveUp);
      const { asked, leave } = pool.wait({
        get open() {
          return run.open;
        },
        // A place that is left as soon as KV has answered must not keep others.
        untilMs: monotonicMs() + (briefly ? 0 : longestMs),
        onVoid: () => this.#void(run),
        take: end,
      });
      if (briefly) void asked.then(giveUp);
    });
    if (permit !== undefined) {
      this.#permits.set(run, { permit, pool, key: key ?? "" });
      return undefined;
    }
    return this.#draining ? { reason, delayMs: 0 } : this.#defer(key, pool);
  }

  #defer(key: string | undefined, pool: PermitPool): Deferral {
    const processes = Math.max(pool.holders, this.#limit.pool().holders);
    return { reason, delayMs: this.#limit.backlog.delayMs(key ?? "", processes, monotonicMs()) };
  }

  #void(run: GuardedRun): void {
    this.#voided.add(run);
    this.#permits.delete(run);
    run.abort(
      new Error(`the permit of the ${this.#what} is no longer this worker's: its lease passed without being renewed`),
    );
  }
}
