/**
 * Permit pool: the permits of one key in this process: taken from KV for those who wait, handed on among them, and given back.
 * 1. A permit counts until a monotonic deadline that lies before the end of its lease at the server. What is not renewed by then is
 *    void, and its user is told.
 * 2. What is given up counts as given up before KV is told, what is granted only after.
 * 3. One write at a time. A conflict reads again.
 * 4. A permit that comes free goes to who waits here; with nobody here it stays a moment for the next. Where others wait it goes back:
 *    at once if it is idle, else after a short tenure.
 */
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { toError } from "../../kernel/errors.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import type { Shared, SharedState } from "../shared-state.ts";
import {
  clashOf,
  freePermits,
  nextExpiryMs,
  othersWait,
  readRecord,
  settleClaim,
  type ConcurrencyRecord,
  type Now,
} from "./record.ts";

/** How long the permits of a process that died are missing. */
export const leaseMs = 10_000;
/** Time for a handler to heed its signal before others start. */
const marginMs = 1_000;
const ttlMs = 3 * leaseMs;
const timeoutMs = 2_000;
const lingerMs = 50;
const tenureMs = 100;
/** How often those who wait look whether they missed a notice. */
const lookAgainMs = 500;
const retryMs = 1_000;

/** One handler's right to run. */
export interface Permit {
  /** Monotonic ms. */
  readonly sinceMs: number;
  /** The server may give it to another. */
  readonly onVoid: () => void;
}

/** Somebody who waits for a permit. */
export interface Waiter extends Pick<Permit, "onVoid"> {
  /** False when it need not have one any more. */
  readonly open: boolean;
  /** Monotonic ms. */
  readonly untilMs: number;
  readonly take: (permit: Permit) => void;
}

export interface PoolOptions {
  state: SharedState<unknown>;
  clock: ServerClock;
  /** The KV key. */
  key: string;
  /** What this process is known by. */
  holder: string;
  limit: number;
  /** More permits may be free. */
  onChange: () => void;
  /** A call to KV failed, or went well again (`undefined`). */
  onServer: (error: Error | undefined) => void;
  /** Others have another limit. */
  onClash: (limit: number) => void;
  /** Nobody needs it any more. */
  onUnused: () => void;
}

export class PermitPool {
  readonly #options: PoolOptions;
  readonly #off: () => void;
  #known: Shared<ConcurrencyRecord> = { value: undefined, revision: 0 };
  /** What is known may be old. */
  #stale = true;
  #held = 0;
  /** Until when they count, monotonic. */
  #untilMs = 0;
  readonly #used = new Set<Permit>();
  #waiters: Waiter[] = [];
  #pins = 0;
  #lingerUntilMs = 0;
  #flushing = false;
  #tenureSinceMs = 0;
  #working: Promise<void> | undefined;
  #again = false;
  #retryAtMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
    // Before the first look, so that nothing falls in between.
    this.#off = options.state.listen(options.key, readRecord, (shared) => this.#hear(shared));
  }

  /** A permit that is here already, unless others came first. */
  take(onVoid: () => void): Permit | undefined {
    if (this.#idle < 1 || this.#waiters.length > 0 || !this.#counts) return undefined;
    return this.#grant(onVoid);
  }

  /** Gets in line. `asked` resolves once KV was asked for it, or could not be; `leave` leaves the line. */
  wait(waiter: Waiter): { asked: Promise<void>; leave: () => void } {
    this.#waiters.push(waiter);
    const leave = (): void => {
      this.#waiters = this.#waiters.filter((one) => one !== waiter);
    };
    return { asked: this.#work(), leave };
  }

  /** True while a permit counts. */
  has(permit: Permit): boolean {
    return this.#used.has(permit) && this.#counts;
  }

  giveBack(permit: Permit): void {
    if (!this.#used.delete(permit)) return;
    const nowMs = monotonicMs();
    if (this.#othersWait && nowMs - this.#tenureSinceMs >= tenureMs) {
      this.#tenureSinceMs = nowMs;
      void this.#work();
      return;
    }
    this.#handOut();
    if (this.#idle < 1) return;
    if (this.#othersWait || this.#flushing) {
      void this.#work();
      return;
    }
    this.#lingerUntilMs = nowMs + lingerMs;
    this.#options.onChange();
    this.#schedule();
  }

  /** Stays in use without a permit, and known to others. */
  pin(): Promise<void> {
    this.#pins += 1;
    return this.#work();
  }

  unpin(): void {
    this.#pins -= 1;
    void this.#work();
  }

  /** Gives back at once what is idle, now and from now on. Resolves when KV has it, or could not be told. */
  flush(): Promise<void> {
    this.#flushing = true;
    return this.#work();
  }

  /** Permits that nobody here or elsewhere uses, as far as known. */
  get free(): number {
    return this.#idle + freePermits(this.#known.value, this.#options.limit, this.#now);
  }

  /** How many processes use it, this one included. */
  get holders(): number {
    return Math.max(1, Object.keys(this.#known.value?.holders ?? {}).length);
  }

  /** Reads anew, and tells the limit of others where it is another one. */
  async look(): Promise<number | undefined> {
    const { clock, holder, limit } = this.#options;
    await clock.ready();
    await this.#read();
    return clashOf(this.#known.value, holder, limit, this.#now);
  }

  get #idle(): number {
    return this.#held - this.#used.size;
  }

  get #counts(): boolean {
    return monotonicMs() < this.#untilMs;
  }

  get #now(): Now {
    const { clock } = this.#options;
    return { atMs: clock.nowMs(), errorMs: clock.errorMs };
  }

  get #othersWait(): boolean {
    return othersWait(this.#known.value, this.#options.holder, this.#now);
  }

  #grant(onVoid: () => void): Permit {
    const permit = { sinceMs: monotonicMs(), onVoid };
    this.#used.add(permit);
    return permit;
  }

  #handOut(): void {
    this.#waiters = this.#waiters.filter((waiter) => waiter.open);
    while (this.#idle > 0 && this.#waiters.length > 0 && this.#counts) {
      const waiter = this.#waiters.shift() as Waiter;
      waiter.take(this.#grant(waiter.onVoid));
    }
  }

  /** Brings KV and this pool together. Never rejects. */
  #work(): Promise<void> {
    this.#again = true;
    if (this.#working === undefined) {
      this.#working = this.#workOn().finally(() => {
        this.#working = undefined;
        if (this.#again) void this.#work();
        else this.#schedule();
      });
      this.#schedule();
    }
    return this.#working;
  }

  async #workOn(): Promise<void> {
    const { clock, onServer } = this.#options;
    try {
      await clock.ready();
      for (let conflicts = 0; this.#again;) {
        this.#again = false;
        if (this.#stale) await this.#read();
        if (await this.#settle()) continue;
        conflicts += 1;
        this.#again = true;
        await pause(Math.random() * Math.min(50, 2 ** conflicts));
      }
      onServer(undefined);
    } catch (thrown) {
      this.#again = false;
      this.#stale = true;
      this.#retryAtMs = monotonicMs() + retryMs;
      onServer(toError(thrown));
    }
  }

  async #read(): Promise<void> {
    const { state, key } = this.#options;
    const before = this.#known;
    const found = await state.read(key, readRecord, timeoutMs);
    this.#stale = false;
    // A notice may have overtaken it. Else it is what there is, also in a bucket that was made anew.
    if (this.#known === before || found.revision > this.#known.revision) this.#known = found;
  }

  /** @returns false where somebody else wrote in between. */
  async #settle(): Promise<boolean> {
    const { state, clock, key, holder, limit, onClash } = this.#options;
    this.#waiters = this.#waiters.filter((waiter) => waiter.open);
    const nowMs = monotonicMs();
    const now = this.#now;
    if (!this.#counts) this.#void(this.#held);
    const stays = nowMs < this.#lingerUntilMs && !this.#flushing && !this.#othersWait;
    const keep = this.#used.size + (stays ? this.#idle : 0);
    this.#held = keep;
    const waitUntilMs = Math.max(nowMs, ...this.#waiters.map(({ untilMs }) => untilMs));
    const settled = settleClaim(
      this.#known.value,
      {
        holder,
        limit,
        keep,
        want: this.#waiters.length,
        wantUntilMs: clock.nowMs(waitUntilMs),
        pinned: this.#pins > 0,
        leaseMs,
      },
      now,
    );
    const clash = clashOf(this.#known.value, holder, limit, now);
    if (clash !== undefined) onClash(clash);
    if (settled.kept < keep) this.#void(keep - settled.kept);
    if (!settled.write) return true;
    const revision = await state.write(key, settled.record, { was: this.#known.revision, ttlMs, timeoutMs });
    if (revision === undefined) {
      this.#stale = true;
      return false;
    }
    if (revision > this.#known.revision) this.#known = { value: settled.record, revision };
    this.#untilMs = nowMs + leaseMs - marginMs - now.errorMs;
    if (this.#held === 0) this.#tenureSinceMs = nowMs;
    this.#held += settled.granted;
    this.#handOut();
    if (this.#idle > 0) this.#lingerUntilMs = Math.max(this.#lingerUntilMs, monotonicMs() + lingerMs);
    this.#options.onChange();
    return true;
  }

  /** So many permits count no more: those that nobody uses first. */
  #void(count: number): void {
    const used = Math.max(0, count - this.#idle);
    this.#held -= count;
    for (const permit of [...this.#used].slice(0, used)) {
      this.#used.delete(permit);
      permit.onVoid();
    }
  }

  #hear({ value, revision }: Shared<ConcurrencyRecord>): void {
    if (revision <= this.#known.revision) return;
    this.#known = { value, revision };
    if (this.#waiters.length > 0 || (this.#idle > 0 && this.#othersWait)) void this.#work();
    this.#options.onChange();
  }

  /** One timer, for whatever comes next; while KV is asked, for the deadline of what is held. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#working === undefined && this.#held === 0 && this.#pins === 0 && this.#waiters.length === 0) {
      this.#off();
      this.#options.onUnused();
      return;
    }
    const nowMs = monotonicMs();
    let atMs = this.#working === undefined ? Math.max(this.#nextMs(nowMs), this.#retryAtMs) : Infinity;
    if (this.#held > 0) atMs = Math.min(atMs, this.#untilMs);
    if (atMs === Infinity) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, Math.ceil(atMs - nowMs))).unref();
  }

  /** When KV is to be asked again. */
  #nextMs(nowMs: number): number {
    const { clock, holder } = this.#options;
    let atMs = Infinity;
    if (this.#idle > 0) atMs = this.#lingerUntilMs;
    if (this.#held > 0 || this.#pins > 0) atMs = Math.min(atMs, this.#untilMs + marginMs - (2 / 3) * leaseMs);
    if (this.#waiters.length > 0) {
      const expiryMs = clock.toMonotonicMs(nextExpiryMs(this.#known.value, holder)) + 2 * clock.errorMs + 1;
      atMs = Math.min(atMs, nowMs + lookAgainMs, Math.max(expiryMs, nowMs));
    }
    return atMs;
  }

  #tick(): void {
    if (!this.#counts) this.#void(this.#held);
    if (this.#working !== undefined) return this.#schedule();
    if (this.#waiters.length > 0) this.#stale = true;
    void this.#work();
  }
}
