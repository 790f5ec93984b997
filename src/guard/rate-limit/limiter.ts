/**
 * Limiter: one rate limit, or one key of one, in this process: reserves slots for those that wait and gives them out in time.
 * 1. A slot is this process's once its compare-and-set succeeded. What cannot be reserved cannot start: nothing is ever run on trust.
 * 2. It holds at most two blocks, the one in use and the next.
 * 3. Several may be let through in one turn of the event loop. A handler that begins slowly makes the others late, so each looks again
 *    (`valid`) when it is about to start.
 * 4. Whatever changes leads to `#advance`, which looks at everything anew and sets the one timer.
 */
import type { ServerClock } from "../../broker/server-clock.ts";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import type { Deferral, GuardedRun } from "../guard.ts";
import type { RateLedger } from "./ledger.ts";
import { SlotPool, type EndedBlock } from "./slot-pool.ts";
import { nextSize, slotWindow, type RatePlan } from "./slots.ts";

/** Slots that come within this are pulled for, in steps, so that a pull asks for several. */
const leadMs = 60;
const leadStepMs = 20;
/** How far ahead is reserved for what is known to wait at the server. */
const horizonMs = 2_000;
/** Nobody holds a handler longer than this. */
const longestWaitMs = 2_000;
/** A message is put back to come again this long before its slot. */
const earlyMs = 25;
/** How often those that wait are looked through; there may be thousands, and `#advance` comes several times with each start. */
const letGoEveryMs = 5;
const longestDeferralMs = 10 * 60_000;
/** While the limit as a whole is held nothing is pulled, and what open pulls bring is little. */
const longestHeldMs = 5_000;
/** However slow the server is, slots begin no later than this after they are reserved. */
const longestLeadMs = 500;
/** After a failure of the server. */
const retryMs = 1_000;

/** One actor in one worker, as a limiter sees it. */
export interface LimiterClient {
  /** Messages that it could start, and that are known to wait at the server. */
  demand: number;
  /** It may pull again. */
  onChange(): void;
}

/** A run that wants to start. */
export interface SlotRequest {
  run: GuardedRun;
  client: LimiterClient;
  /** How long a slot may be away for the run to wait. */
  patienceMs: number;
  /** It has something to write before it starts: it is let through a little before its slot, and calls `begin` then. */
  comesAgain: boolean;
}

interface Waiter extends SlotRequest {
  aheadMs: number;
  sinceMs: number;
  resolve: (answer: number | Deferral) => void;
}

/** What a limit and its keys learn of the server together. */
export interface Pace {
  /** How long a reservation takes: its first slot must not be over before the answer comes. */
  roundTripMs: number;
}

export interface LimiterOptions {
  pace: Pace;
  plan: RatePlan;
  clock: ServerClock;
  ledger: RateLedger;
}

export class Limiter {
  readonly #plan: RatePlan;
  readonly #clock: ServerClock;
  readonly #ledger: RateLedger;
  readonly #pool = new SlotPool((block) => this.#ended(block));
  readonly #clients = new Set<LimiterClient>();
  #waiting: Waiter[] = [];
  /** Slots to reserve at once. */
  #size = 1;
  #reserving = false;
  #reservedMs = -Infinity;
  readonly #pace: Pace;
  #retryAtMs = 0;
  /** Until the server's time, for those that are put back. */
  #queueMs = 0;
  /** False after a block for which no message came: what was known to wait is gone. */
  #trusted = true;
  #letGoAtMs = 0;
  #advancing = false;
  /** Slots before this have been pulled for. */
  #toldMs = 0;
  /** A client was refused the one message that it may ask for when nothing is known to wait. */
  #shut = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ plan, clock, ledger, pace }: LimiterOptions) {
    this.#pace = pace;
    this.#plan = plan;
    this.#clock = clock;
    this.#ledger = ledger;
    ledger.onHeld((released) => this.held(released));
  }

  /** Everybody is held back anew; `released`: no longer for so long, and nobody need queue behind those who were put back for it. */
  held(released: boolean): void {
    if (released) this.#queueMs = 0;
    this.#advance();
  }

  /** Nothing would be lost by forgetting it. */
  get idle(): boolean {
    const nowMs = this.#clock.nowMs();
    this.#pool.expire(nowMs, this.#clock.errorMs);
    const busy = this.#waiting.length > 0 || this.#reserving || this.#pool.count > 0 || this.#clients.size > 0;
    return !busy && Math.max(this.#queueMs, this.#ledger.firstMs(nowMs)) <= nowMs;
  }

  /** How many wait for a slot. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Nobody may start under any key. */
  get isHeld(): boolean {
    return this.#ledger.limitHeldMs > this.#clock.nowMs();
  }

  get ledger(): RateLedger {
    return this.#ledger;
  }

  join(client: LimiterClient): void {
    this.#clients.add(client);
  }

  /** Those of the client that wait are put back. */
  dismiss(client: LimiterClient): void {
    this.#clients.delete(client);
    client.demand = 0;
    const [own, others] = [
      this.#waiting.filter((one) => one.client === client),
      this.#waiting.filter((one) => one.client !== client),
    ];
    this.#waiting = others;
    for (const { resolve } of own) resolve({ reason: "rate-limited", delayMs: 0 });
    if (this.#clients.size === 0 && this.#waiting.length === 0) clearTimeout(this.#timer);
  }

  /** How many messages the client may ask for. */
  room(client: LimiterClient, demand: number): number {
    client.demand = demand;
    this.#advance();
    const nowMs = this.#clock.nowMs();
    const near = this.#pool.before(this.#leadEndMs(nowMs));
    if (demand > 0 && this.#trusted) {
      let hungry = 0;
      for (const one of this.#clients) if (one.demand > 0) hungry += 1;
      return Math.ceil(near / hungry);
    }
    if (near > 0 || (!this.#away && this.#ledger.firstMs(nowMs) <= nowMs + longestWaitMs / 2)) return 1;
    this.#shut = true;
    this.#advance();
    return 0;
  }

  /** True while a start under this slot, in this turn of the event loop, keeps to the limit. */
  valid(slotMs: number): boolean {
    const { fromMs, toMs } = slotWindow(this.#clock.errorMs);
    const sinceMs = this.#clock.nowMs() - slotMs;
    return sinceMs >= fromMs && sinceMs <= toMs && slotMs >= this.#ledger.heldMs;
  }

  /** The slot that the run may start under, now or after a wait, else for how long to put it back. */
  enter(request: SlotRequest): number | Deferral | Promise<number | Deferral> {
    const { client, patienceMs, comesAgain } = request;
    const nowMs = this.#clock.nowMs();
    const aheadMs = comesAgain ? this.#pace.roundTripMs : 0;
    this.#trusted = true;
    client.demand = Math.max(0, client.demand - 1);
    if (this.#waiting.length === 0) {
      const slotMs = this.#pool.take(nowMs, this.#clock.errorMs, aheadMs);
      if (slotMs !== undefined) {
        this.#advanceSoon();
        return slotMs;
      }
    }
    const soonestMs = this.#pool.at(this.#waiting.length) ?? this.#ledger.firstMs(nowMs);
    if (this.#away || soonestMs > nowMs + patienceMs) return this.#deferral(nowMs);
    return new Promise((resolve) => {
      this.#waiting.push({ ...request, aheadMs, sinceMs: nowMs, resolve });
      this.#advance();
    });
  }

  /** Resolves when a start under this slot keeps to the limit; false once it no longer would. */
  async begin(slotMs: number): Promise<boolean> {
    for (;;) {
      const waitMs = slotMs + slotWindow(this.#clock.errorMs).fromMs - this.#clock.nowMs();
      if (waitMs <= 0) return this.valid(slotMs);
      await pause(Math.ceil(waitMs));
    }
  }

  get #away(): boolean {
    return monotonicMs() < this.#retryAtMs;
  }

  get #demand(): number {
    let sum = 0;
    if (this.#trusted) for (const { demand } of this.#clients) sum += demand;
    return sum;
  }

  #advance(): void {
    const nowMs = this.#clock.nowMs();
    const { errorMs } = this.#clock;
    this.#pool.voidBefore(this.#ledger.heldMs);
    this.#pool.expire(nowMs, errorMs);
    if (nowMs >= this.#letGoAtMs) this.#letGo(nowMs);
    for (let [first] = this.#waiting; first !== undefined; [first] = this.#waiting) {
      const slotMs = this.#pool.take(nowMs, errorMs, first.aheadMs);
      if (slotMs === undefined) break;
      this.#waiting.shift();
      first.resolve(slotMs);
    }
    const reserveAtMs = this.#reserveAtMs(nowMs);
    if (reserveAtMs <= nowMs) void this.#reserve();
    this.#tell(nowMs);
    this.#wakeAt(Math.min(reserveAtMs <= nowMs ? Infinity : reserveAtMs, this.#nextMs(nowMs, errorMs)), nowMs);
  }

  /** Puts back those that no longer need a slot, or will not have one soon. */
  #letGo(nowMs: number): void {
    this.#letGoAtMs = nowMs + letGoEveryMs;
    if (this.#waiting.length === 0) return;
    const stay: Waiter[] = [];
    for (const waiter of this.#waiting) {
      const { run, patienceMs, sinceMs, resolve } = waiter;
      const soonestMs = this.#soonestMs(stay.length, nowMs);
      const late = nowMs - sinceMs > longestWaitMs && !this.#reserving;
      if (!run.open) resolve({ reason: "rate-limited", delayMs: 0 });
      else if (this.#away || late || soonestMs > nowMs + patienceMs) resolve(this.#deferral(nowMs));
      else stay.push(waiter);
    }
    this.#waiting = stay;
  }

  /** When the waiter at this place can start, as far as is known. */
  #soonestMs(place: number, nowMs: number): number {
    const slotMs = this.#pool.at(place);
    // What was reserved for a later time only because the server is slow is waited for.
    if (slotMs !== undefined) return slotMs - 2 * this.#pace.roundTripMs;
    return this.#reserving ? nowMs : this.#ledger.firstMs(nowMs);
  }

  /** Those that are put back come again one after another, each when a slot may be free for it. */
  #deferral(nowMs: number): Deferral {
    const freeMs = this.#away ? nowMs + retryMs : this.#ledger.firstMs(nowMs);
    this.#queueMs = Math.max(this.#queueMs + this.#plan.slotMs, freeMs);
    const delayMs = Math.max(1, Math.ceil(this.#queueMs - nowMs - earlyMs));
    // A delay cannot be taken back, and the limit may be raised or released meanwhile.
    const longestMs = this.isHeld ? longestHeldMs : longestDeferralMs;
    if (delayMs > longestMs)
      return { reason: "rate-limited", delayMs: Math.round(longestMs * (0.75 + Math.random() / 4)) };
    return { reason: "rate-limited", delayMs };
  }

  /** When to reserve a block, in server time; Infinity while there is no need of one. */
  #reserveAtMs(nowMs: number): number {
    const demand = this.#demand;
    const wants = this.#waiting.length + demand;
    if (this.#reserving || wants === 0 || this.#pool.blocks >= 2) return Infinity;
    if (this.#away) return nowMs + this.#retryAtMs - monotonicMs();
    const nextMs = this.#pool.at(0);
    if (nextMs !== undefined) {
      if (this.#pool.count >= 2 * wants) return Infinity;
      if (nextMs > nowMs + leadMs) return nextMs - leadMs;
    }
    const firstMs = this.#ledger.firstMs(nowMs);
    if (firstMs <= nowMs) return nowMs;
    const reachMs = this.#reachMs;
    return Math.max(nowMs, firstMs - reachMs + this.#ledger.spread * Math.min(50, reachMs / 20));
  }

  /** How far ahead a block may begin: those that wait here hold handlers, and do so not as long. */
  get #reachMs(): number {
    return this.#demand > 0 ? horizonMs : Math.max(0, ...this.#waiting.map((one) => one.patienceMs));
  }

  async #reserve(): Promise<void> {
    const sentMs = monotonicMs();
    const pace = this.#pace;
    const wants = this.#waiting.length + this.#demand;
    const count = Math.min(this.#plan.maxBlock, Math.max(this.#size, wants));
    this.#reserving = true;
    try {
      const leadMs = pace.roundTripMs + Math.max(0, ...this.#waiting.map((one) => one.aheadMs));
      const slots = await this.#ledger.take(count, leadMs, this.#reachMs);
      const tookMs = monotonicMs() - sentMs;
      pace.roundTripMs =
        tookMs > pace.roundTripMs ? Math.min(longestLeadMs, tookMs) : 0.9 * pace.roundTripMs + 0.1 * tookMs;
      if (slots !== undefined) this.#pool.add(slots, sentMs);
    } catch {
      // The ledger has told those who should know.
      this.#retryAtMs = monotonicMs() + retryMs;
    }
    this.#reserving = false;
    this.#advance();
  }

  #ended({ size, used, reservedMs }: EndedBlock): void {
    const hungry = this.#waiting.length + this.#demand > 0;
    this.#size = nextSize({ size, used, hungry, sinceLastMs: reservedMs - this.#reservedMs }, this.#plan);
    this.#reservedMs = reservedMs;
    if (used === 0 && this.#waiting.length === 0) this.#trusted = false;
  }

  /** Lets clients pull for slots that have come near, or at all. */
  #tell(nowMs: number): void {
    const leadEndMs = this.#leadEndMs(nowMs);
    const slotMs = this.#pool.at(this.#pool.before(this.#toldMs));
    const near = slotMs !== undefined && slotMs < leadEndMs;
    const opened = this.#shut && this.#opensAtMs(nowMs) <= nowMs;
    if (!near && !opened) return;
    if (near) this.#toldMs = leadEndMs;
    this.#shut = false;
    for (const client of this.#clients) if (opened || client.demand > 0) setImmediate(() => client.onChange());
  }

  #opensAtMs(nowMs: number): number {
    if (this.#away) return nowMs + this.#retryAtMs - monotonicMs();
    const firstMs = this.#ledger.firstMs(nowMs);
    return firstMs <= nowMs ? nowMs : firstMs - longestWaitMs / 2;
  }

  /** In steps: it moves by one each `leadStepMs`. */
  #leadEndMs(nowMs: number): number {
    return Math.floor((nowMs + leadMs) / leadStepMs) * leadStepMs;
  }

  /** When something is to be done next, apart from reserving. */
  #nextMs(nowMs: number, errorMs: number): number {
    let nextMs = this.#shut ? Math.max(nowMs + 1, this.#opensAtMs(nowMs)) : Infinity;
    const { fromMs, toMs } = slotWindow(errorMs);
    const slotMs = this.#pool.at(0);
    if (this.#waiting.length > 0) {
      const oldest = this.#waiting[0] as Waiter;
      nextMs = Math.min(
        nextMs,
        slotMs === undefined ? oldest.sinceMs + longestWaitMs + 1 : slotMs + fromMs - oldest.aheadMs,
      );
    }
    if (slotMs !== undefined && this.#clients.size > 0) {
      nextMs = Math.min(nextMs, slotMs + Math.max(0, toMs) + 1);
      const untoldMs = this.#pool.at(this.#pool.before(this.#toldMs));
      if (untoldMs !== undefined)
        nextMs = Math.min(nextMs, Math.floor(untoldMs / leadStepMs + 1) * leadStepMs - leadMs);
    }
    return nextMs;
  }

  #wakeAt(atMs: number, nowMs: number): void {
    clearTimeout(this.#timer);
    if (atMs === Infinity) return;
    // At most a while: what is far off is looked at again before.
    const waitMs = Math.min(60_000, Math.max(1, Math.ceil(atMs - nowMs)));
    this.#timer = setTimeout(() => this.#advance(), waitMs).unref();
  }

  /** Once for all that start in this turn of the event loop. */
  #advanceSoon(): void {
    if (this.#advancing) return;
    this.#advancing = true;
    setImmediate(() => {
      this.#advancing = false;
      this.#advance();
    });
  }
}
