/**
 * Rate ledger: the record of one limit, or of one key of it, in the limits bucket, and what this process knows of it.
 * What it knows may be old; a write that rests on it is refused then, and it is read again.
 */
import type { ServerClock } from "../../broker/server-clock.ts";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { toError } from "../../kernel/errors.ts";
import {
  agrees,
  describe,
  freshRecord,
  readRecord,
  recordTtlMs,
  withoutFarSlot,
  type RateRecord,
  type RateSettings,
} from "./record.ts";
import { clockMs, firstSlotMs, hold, takeSlots } from "./slots.ts";
import type { Shared, SharedState } from "../shared-state.ts";

const timeoutMs = 2_000;
const mostTries = 50;
const longestPauseMs = 20;

export interface LedgerOptions {
  state: SharedState<unknown>;
  clock: ServerClock;
  settings: RateSettings;
  /** The record's key. */
  key: string;
  /** The record goes after so long without a write, unless it still holds somebody back. */
  leastTtlMs: number;
  /** True: others are told of penalties only. */
  quiet: boolean;
  /** Of a key: that of its limit, whose penalty holds for every key. */
  limit?: RateLedger;
  onProblem: (error: Error) => void;
  onHealthy: () => void;
}

export class RateLedger {
  readonly #options: LedgerOptions;
  #known: Shared<RateRecord> | undefined;
  /** Slots before this are void, as the fleet knows; and as this process says, and the fleet has not heard yet. */
  #toldMs = 0;
  #ownMs = 0;
  #learntMs = -Infinity;
  /** In [0, 1), anew with each write of anyone: those who wait for the same moment do not all come at once. */
  spread = Math.random();
  readonly #heldListeners: ((released: boolean) => void)[] = [];

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** When the next slot is that nobody has, as far as is known. */
  firstMs(nowMs: number): number {
    const record = this.#known?.value;
    return Math.max(this.heldMs, record === undefined ? nowMs : firstSlotMs(record, nowMs));
  }

  /** Slots before this are void. */
  get heldMs(): number {
    return Math.max(this.#toldMs, this.#ownMs, this.#options.limit?.heldMs ?? 0);
  }

  /** The same of the limit as a whole. */
  get limitHeldMs(): number {
    return this.#options.limit?.heldMs ?? this.heldMs;
  }

  /** Calls the listener when everybody is held back anew, or no longer for so long: `released`. */
  onHeld(listener: (released: boolean) => void): void {
    this.#heldListeners.push(listener);
  }

  /** How long ago anyone wrote it, as far as is known. */
  get quietForMs(): number {
    return monotonicMs() - this.#learntMs;
  }

  /** What somebody wrote. */
  learn(shared: Shared<RateRecord>): void {
    if (shared.value !== undefined && !agrees(shared.value, this.#options.settings)) return;
    if (this.#known !== undefined && shared.revision <= this.#known.revision) return;
    const { clock } = this.#options;
    const value = shared.value && withoutFarSlot(shared.value, clock.nowMs() + clock.errorMs);
    this.#known = { ...shared, value };
    this.#learntMs = monotonicMs();
    this.spread = Math.random();
    // A record that is gone says nothing: it stayed for as long as it held anybody back.
    if (shared.value === undefined) return;
    const { heldMs } = shared.value;
    this.#hold(heldMs, heldMs >= this.#ownMs ? 0 : this.#ownMs);
  }

  #hold(toldMs: number, ownMs: number): void {
    const before = this.heldMs;
    this.#toldMs = toldMs;
    this.#ownMs = ownMs;
    const after = this.heldMs;
    if (after !== before) for (const listener of this.#heldListeners) listener(after < before);
  }

  /**
   * Reserves slots.
   * @param leadMs no slot sooner than this.
   * @param reachMs none later than this: `undefined` then.
   * @throws what the server's absence throws; it has been reported.
   */
  async take(count: number, leadMs: number, reachMs: number): Promise<number[] | undefined> {
    const { clock, settings } = this.#options;
    let slots: number[] | undefined;
    await this.#change((record, nowMs) => {
      slots = undefined;
      if (clock.errorMs >= clockMs)
        throw new Error(`the server's time is known to ${Math.round(clock.errorMs)} ms only`);
      if (Math.max(firstSlotMs(record, nowMs), this.heldMs) > nowMs + reachMs) return undefined;
      const taken = takeSlots(settings.plan, record, Math.max(nowMs + leadMs, this.heldMs), count);
      slots = taken.slots;
      return { ...record, ...taken.state };
    });
    return slots;
  }

  /** Nobody starts for so long: told to all. Where the server is away only this process heeds it; that has been reported. */
  async penalize(delayMs: number): Promise<void> {
    const { clock } = this.#options;
    await clock.ready().catch(() => undefined);
    this.#hold(this.#toldMs, Math.max(this.#ownMs, clock.nowMs() + delayMs));
    await this.#change((record, nowMs) => ({ ...record, ...hold(record, nowMs + delayMs) }), true).catch(
      () => undefined,
    );
  }

  /** Writes the record again as it is, so that it does not go. @throws as `take`. */
  async refresh(): Promise<void> {
    await this.#change((record) => record);
  }

  /** Reads, changes and writes until nobody came between. `undefined` leaves it as it is. */
  async #change(change: (record: RateRecord, nowMs: number) => RateRecord | undefined, tell = false): Promise<void> {
    const { state, clock, settings, key, leastTtlMs, quiet, onProblem, onHealthy } = this.#options;
    try {
      await clock.ready();
      for (let tries = 1; ; tries++) {
        const { value, revision: was } = this.#known ?? (await this.#read());
        if (value !== undefined && !agrees(value, settings)) throw new Error(this.#clash(value));
        const nowMs = clock.nowMs();
        const next = change(value ?? freshRecord(settings), nowMs);
        if (next === undefined) break;
        const ttlMs = recordTtlMs(next, nowMs, leastTtlMs);
        const revision = await state.write(key, next, { was, ttlMs, timeoutMs, quiet: quiet && !tell });
        if (revision !== undefined) {
          this.learn({ value: next, revision });
          break;
        }
        this.#known = undefined;
        if (tries === mostTries) throw new Error(`others wrote it ${mostTries} times in between`);
        await pause(Math.random() * Math.min(longestPauseMs, 2 ** tries));
      }
      onHealthy();
    } catch (thrown) {
      this.#known = undefined;
      const cause = toError(thrown);
      onProblem(
        new Error(
          `The rate limit ${settings.name} cannot be kept (${cause.message}), so the messages under it wait; they go on when that is mended.`,
          { cause },
        ),
      );
      throw cause;
    }
  }

  async #read(): Promise<Shared<RateRecord>> {
    const shared = await this.#options.state.read(this.#options.key, readRecord, timeoutMs);
    this.learn(shared);
    return this.#known ?? shared;
  }

  #clash(found: RateRecord): string {
    const { settings } = this.#options;
    return `others have it as ${describe(found)}, and here it is ${describe(freshRecord(settings))}`;
  }
}
