/**
 * Seat: one place in a group, and the processes that hold it one after the other.
 * 1. Who holds it stays at work until its replacement is ready; only then it drains.
 * 2. One that ends by itself is started again, after a wait that grows while it keeps ending.
 */
import { CrashStreak } from "./crash-streak.ts";
import type { Member } from "./member.ts";
import type { ReplaceReason } from "./replace-reason.ts";
import type { WorkerEnd } from "./worker-process.ts";

type State =
  | { kind: "empty" }
  | { kind: "waiting"; timer: NodeJS.Timeout }
  | { kind: "starting"; next: Member }
  | { kind: "serving"; now: Member }
  | { kind: "replacing"; now: Member; next: Member; reason: ReplaceReason }
  | { kind: "closed" };

export interface Crash {
  member: Member;
  how: WorkerEnd;
  /** Ends in a row, each soon after its start. */
  streak: number;
  isLoop: boolean;
  /** When another is started. */
  againMs: number;
}

export interface Replaced {
  before: Member;
  reason: ReplaceReason;
}

export interface SeatOptions {
  start: () => Member;
  random: () => number;
  /** It is served by another process than before. @param replaced undefined where nobody served it. */
  onServed: (now: Member, replaced: Replaced | undefined) => void;
  onCrash: (crash: Crash) => void;
  /** The replacement ended before it was ready; who holds the seat stays. */
  onFailedReplacement: (crash: Crash, reason: ReplaceReason) => void;
}

export class Seat {
  readonly #options: SeatOptions;
  readonly #streak = new CrashStreak();
  #state: State = { kind: "empty" };
  /** Not before this may a replacement be tried again. */
  #replaceAfter: NodeJS.Timeout | undefined;

  constructor(options: SeatOptions) {
    this.#options = options;
  }

  get kind(): State["kind"] {
    return this.#state.kind;
  }

  /** Who works in it; undefined while nobody does. */
  get serving(): Member | undefined {
    return this.#state.kind === "serving" || this.#state.kind === "replacing" ? this.#state.now : undefined;
  }

  /** Who is being started for it. */
  get starting(): Member | undefined {
    return this.#state.kind === "starting" || this.#state.kind === "replacing" ? this.#state.next : undefined;
  }

  get replaceable(): boolean {
    return this.#state.kind === "serving" && this.#replaceAfter === undefined;
  }

  get loops(): boolean {
    return this.#streak.isLoop && this.serving === undefined;
  }

  /** Fills an empty seat. */
  fill(): void {
    if (this.#state.kind !== "empty") return;
    const next = this.#options.start();
    this.#state = { kind: "starting", next };
    this.#follow(next);
  }

  /** Does not wait any longer after a crash. */
  hurry(): void {
    if (this.#state.kind !== "waiting") return;
    clearTimeout(this.#state.timer);
    this.#state = { kind: "empty" };
  }

  /** Starts a process that takes over once it is ready. */
  replace(reason: ReplaceReason): void {
    if (this.#state.kind !== "serving") return;
    const next = this.#options.start();
    this.#state = { kind: "replacing", now: this.#state.now, next, reason };
    this.#follow(next);
  }

  /**
   * Takes who works in it out, before another is ready: one follows at once where it is being started already, else after a wait that grows
   * while this goes on without a replacement in good order. @returns how often in a row, and the wait.
   */
  evict(): { streak: Pick<CrashStreak, "count" | "isLoop">; againMs: number } {
    const { starting } = this;
    const againMs = this.#streak.crashed(this.serving?.readyForMs ?? 0, this.#options.random);
    this.#clearTimers();
    if (starting === undefined) this.#wait(againMs);
    else this.#state = { kind: "starting", next: starting };
    return { streak: this.#streak, againMs: starting === undefined ? againMs : 0 };
  }

  /** Takes everyone out, ready or not, and is used no more. */
  close(): Member[] {
    const out = [this.serving, this.starting].filter((one) => one !== undefined);
    this.#clearTimers();
    this.#state = { kind: "closed" };
    return out;
  }

  #clearTimers(): void {
    if (this.#state.kind === "waiting") clearTimeout(this.#state.timer);
    clearTimeout(this.#replaceAfter);
    this.#replaceAfter = undefined;
  }

  #wait(ms: number): void {
    const timer = setTimeout(() => {
      this.#state = { kind: "empty" };
      this.fill();
    }, ms);
    this.#state = { kind: "waiting", timer };
  }

  #follow(member: Member): void {
    void member.ready.then((ready) => {
      if (ready) this.#served(member);
    });
    void member.ended.then((how) => this.#ended(member, how));
  }

  #served(member: Member): void {
    if (this.starting !== member) return;
    const replaced =
      this.#state.kind === "replacing" ? { before: this.#state.now, reason: this.#state.reason } : undefined;
    this.#state = { kind: "serving", now: member };
    if (replaced !== undefined) this.#streak.over();
    this.#options.onServed(member, replaced);
  }

  /** Nothing where it was taken out before. */
  #ended(member: Member, how: WorkerEnd): void {
    const state = this.#state;
    if (state.kind === "replacing" && state.next === member) {
      this.#state = { kind: "serving", now: state.now };
      const crash = this.#count(member, how);
      this.#replaceAfter = setTimeout(() => (this.#replaceAfter = undefined), crash.againMs).unref();
      this.#options.onFailedReplacement(crash, state.reason);
    } else if (state.kind === "replacing" && state.now === member) {
      this.#state = { kind: "starting", next: state.next };
      this.#options.onCrash({ ...this.#count(member, how), againMs: 0 });
    } else if (this.serving === member || this.starting === member) {
      const crash = this.#count(member, how);
      this.#wait(crash.againMs);
      this.#options.onCrash(crash);
    }
  }

  #count(member: Member, how: WorkerEnd): Crash {
    const againMs = this.#streak.crashed(member.readyForMs, this.#options.random);
    return { member, how, streak: this.#streak.count, isLoop: this.#streak.isLoop, againMs };
  }
}
