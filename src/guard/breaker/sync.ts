/**
 * Breaker sync: the record of one circuit that this process goes by, kept the same as the fleet's.
 * 1. What this process decides it goes by at once, and publishes. What it only wants to try it does once the write is its own.
 * 2. What the others write is heard; what was missed is read again on reconnect, and every few seconds while there is something to know.
 *    An older revision changes nothing.
 * 3. Without the server it goes on alone. What it decided then is published when the server is back, unless that is older than what
 *    the fleet has found out since.
 * 4. While a person holds the circuit open nothing is decided here.
 */
import type { ServerClock } from "../../broker/server-clock.ts";
import { monotonicMs } from "../../kernel/clock.ts";
import { toError } from "../../kernel/errors.ts";
import {
  clamped,
  closedRecord,
  isHeldOpen,
  readRecord,
  recordTtlMs,
  whoseCounts,
  type BreakerRecord,
} from "./record.ts";
import type { Shared, SharedState } from "../shared-state.ts";

const askMs = 3_000;
const readAgainMs = 3_000;
const maxTries = 8;

export interface BreakerSyncOptions {
  name: string;
  state: SharedState<unknown>;
  clock: ServerClock;
  /** Calls the listener when the connection is back. */
  onUp: (listener: () => void) => () => void;
  /** The longest that an open circuit waits for its next probe. */
  resetAfterMs: () => number;
  /** Another record counts now. */
  onRecord: () => void;
  /** The server is away, with why, or it is back. */
  onShared: (error: Error | undefined) => void;
}

export class BreakerSync {
  readonly #options: BreakerSyncOptions;
  #record: BreakerRecord = closedRecord("");
  #revision = 0;
  /** What was decided here and is not published yet. */
  #own: { record: BreakerRecord; decidedMs: number } | undefined;
  #shared = true;
  #started: Promise<void> | undefined;
  #settling: Promise<void> | undefined;
  #again = false;
  #endings: (() => void)[] = [];
  #closed = false;

  constructor(options: BreakerSyncOptions) {
    this.#options = options;
  }

  /** What this process goes by. */
  get record(): BreakerRecord {
    return this.#record;
  }

  /** False while the server is away. */
  get shared(): boolean {
    return this.#shared;
  }

  /** Resolves once it is known what the fleet knows, or that the server is away. Never rejects. */
  start(): Promise<void> {
    this.#started ??= this.#startOnce();
    return this.#started;
  }

  async #startOnce(): Promise<void> {
    const { name, state, clock, onUp } = this.#options;
    const again = (): void => void this.settle();
    const ticker = setInterval(() => {
      if (this.#record.state === "open" || !this.#shared) again();
    }, readAgainMs).unref();
    this.#endings = [
      () => clearInterval(ticker),
      onUp(again),
      state.listen(name, readRecord, (shared) => this.#hear(shared)),
    ];
    // Without it the host's own clock counts.
    await clock.ready().catch(() => undefined);
    await this.settle();
  }

  /** Decides: counts here at once, and for the others as soon as they hear of it. */
  decide(record: BreakerRecord): void {
    if (isHeldOpen(this.#record, this.#options.clock.nowMs())) return;
    this.#own = { record, decidedMs: monotonicMs() };
    this.#goBy(record);
    void this.settle();
  }

  /** Makes a record count if nobody else has written meanwhile; alone, where the server is away. @returns it, undefined where it does not count. */
  async take(make: () => BreakerRecord): Promise<BreakerRecord | undefined> {
    if (this.#shared) {
      const record = make();
      try {
        const written = await this.#write(record);
        if (typeof written !== "number") {
          this.#adopt(written);
          return undefined;
        }
        this.#adopt({ value: record, revision: written });
        return record;
      } catch (thrown) {
        this.#setShared(toError(thrown));
      }
    }
    // Made anew: the server was waited for.
    const record = make();
    this.#own = { record, decidedMs: monotonicMs() };
    this.#goBy(record);
    return record;
  }

  /** Publishes what is to be published, or reads what the others wrote. Resolves when it is done, or the server is away. Never rejects. */
  settle(): Promise<void> {
    this.#again = true;
    this.#settling ??= this.#settle().finally(() => (this.#settling = undefined));
    return this.#settling;
  }

  async #settle(): Promise<void> {
    try {
      for (let tries = 0; this.#again && !this.#closed; tries++) {
        if (tries === maxTries) throw new Error("others write it all the time");
        this.#again = false;
        await (this.#own === undefined ? this.#refresh() : this.#publish(this.#own));
      }
      this.#setShared(undefined);
    } catch (thrown) {
      this.#setShared(toError(thrown));
    }
  }

  async #refresh(): Promise<void> {
    const known = this.#revision;
    const theirs = await this.#read();
    // What was heard or decided meanwhile is newer.
    if (this.#revision !== known || this.#own !== undefined) return;
    if (theirs.value === undefined && this.#record.state === "open") {
      // The bucket was made anew, or nobody probed for days: an open circuit is not closed by that.
      this.#revision = theirs.revision;
      this.#own = { record: this.#record, decidedMs: monotonicMs() };
      this.#again = true;
    } else {
      this.#adopt(theirs);
    }
  }

  async #publish(own: { record: BreakerRecord; decidedMs: number }): Promise<void> {
    const was = this.#revision;
    const written = await this.#write(own.record);
    if (typeof written === "number") {
      this.#revision = Math.max(this.#revision, written);
      if (this.#own === own) this.#own = undefined;
      return;
    }
    const mine = { record: own.record, was, ageMs: monotonicMs() - own.decidedMs };
    const { clock, resetAfterMs } = this.#options;
    if (whoseCounts(mine, written, resetAfterMs(), clock.nowMs()) === "own") this.#revision = written.revision;
    else if (this.#own === own) {
      this.#own = undefined;
      this.#adopt(written);
    }
    if (this.#own !== undefined) this.#again = true;
  }

  /** @returns the new revision, or what somebody else had written. */
  async #write(record: BreakerRecord): Promise<number | Shared<BreakerRecord>> {
    const { name, state, clock } = this.#options;
    const ttlMs = recordTtlMs(record, clock.nowMs());
    const revision = await state.write(name, record, { was: this.#revision, ttlMs, timeoutMs: askMs });
    if (revision !== undefined) return revision;
    const theirs = await this.#read();
    // Written by us all the same: the answer was lost, and the server refused the repeat.
    return theirs.value?.by === record.by ? theirs.revision : theirs;
  }

  async #read(): Promise<Shared<BreakerRecord>> {
    const { name, state } = this.#options;
    return state.read(name, readRecord, askMs);
  }

  #hear({ value, revision }: Shared<BreakerRecord>): void {
    if (revision <= this.#revision) return;
    if (this.#own !== undefined || !this.#shared) return void this.settle();
    this.#adopt({ value, revision });
  }

  #adopt({ value, revision }: Shared<BreakerRecord>): void {
    // What is decided here is settled by its own write.
    if (this.#own !== undefined) return;
    const news = revision !== this.#revision;
    this.#revision = revision;
    if (!news) return;
    const { clock, resetAfterMs } = this.#options;
    this.#goBy(value === undefined ? closedRecord("") : clamped(value, clock.nowMs(), resetAfterMs()));
  }

  #goBy(record: BreakerRecord): void {
    this.#record = record;
    this.#options.onRecord();
  }

  #setShared(error: Error | undefined): void {
    const shared = error === undefined;
    if (this.#shared === shared || this.#closed) return;
    this.#shared = shared;
    this.#options.onShared(error);
  }

  /** Ends timers and interest. */
  close(): void {
    this.#closed = true;
    for (const end of this.#endings) end();
    this.#endings = [];
  }
}
