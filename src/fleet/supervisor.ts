/**
 * Supervisor: keeps a group of worker processes at work: as many as are wanted, each replaced before it has grown too large or too old.
 * 1. A replacement is ready before the one that it replaces drains, and no more than a quarter of the group are replaced at a time, one at
 *    least. The one exception: who is a quarter above its memory limit drains at once.
 * 2. The first process is started alone: what is wrong with actors or server is said once, and ends the start.
 */
import { availableParallelism } from "node:os";
import { formatMs } from "../kernel/duration.ts";
import { ConfigError, WorkerStartError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import type { MetricsSnapshot } from "../observe/metrics-snapshot.ts";
import { Member } from "./member.ts";
import type { FromWorker } from "./protocol.ts";
import { drawLimits, type RecycleLimits } from "./recycling.ts";
import { noReplacements, whyReplaced, type ReplaceReason } from "./replace-reason.ts";
import { Restarts, type Restarted } from "./restarts.ts";
import { steadyMs } from "./crash-streak.ts";
import { Seat, type Crash, type Replaced } from "./seat.ts";
import { endText, type WorkerProcess } from "./worker-process.ts";

export interface SupervisorOptions {
  /** Starts a worker process that speaks the protocol. */
  spawn: (onMessage: (message: FromWorker) => void) => WorkerProcess;
  processes: number;
  limits: RecycleLimits;
  /** How long one may drain; 10 s later it is killed. */
  graceMs: number;
  /** One that has said nothing for so long stands still, and is replaced. */
  silentAfterMs: number;
  log: Logger;
  /** From 0 to 1. Default: Math.random. */
  random?: () => number;
  /** A process has ended; what its metrics last were. */
  onEnded?: (metrics: MetricsSnapshot) => void;
}

export interface GroupSnapshot {
  target: number;
  starting: number;
  serving: number;
  draining: number;
  /** Since the beginning. */
  replaced: Record<ReplaceReason, number>;
  /** Seats whose processes keep ending soon after their start. */
  loops: number;
}

/** Beyond its grace a process may take so long until it is killed. */
export const drainPatienceMs = 10_000;
const watchMs = 500;
/** Until one has been seen to start. */
const usualStartMs = 1_500;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #random: () => number;
  readonly #seats: Seat[] = [];
  readonly #restarts: Restarts;
  readonly #draining = new Set<Member>();
  readonly #replaced = noReplacements();
  #target = 0;
  /** The first process was at work. */
  #begun = false;
  #onFull: () => void = () => undefined;
  #startMs = usualStartMs;
  #watch: NodeJS.Timeout | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
    this.#restarts = new Restarts({ seats: this.#seats, log: options.log, onBegun: () => this.#advance() });
  }

  /** Resolves when all are at work. @throws WorkerStartError where the first one ends before it is, ConfigError where it is larger than it may be. */
  async start(): Promise<void> {
    const { processes, limits } = this.#options;
    const scout = this.#addSeat();
    this.#target = 1;
    scout.fill();
    const first = scout.starting as Member;
    if (!(await first.ready)) {
      const how = await first.ended;
      await this.stop("its first process did not start");
      throw new WorkerStartError(endText(how));
    }
    const { maxMemoryBytes: limit = Infinity } = limits;
    const { rssBytes = 0 } = first.report?.load ?? {};
    if (rssBytes >= limit) {
      await this.stop("the refusal of its memory limit");
      throw new ConfigError(
        `The memory limit of ${megabytes(limit)} is less than a worker process takes when it starts, ${megabytes(rssBytes)}, so each would be replaced at once; raise maxMemory, on the command line --max-memory.`,
      );
    }
    this.#begun = true;
    this.#watch = setInterval(() => {
      for (const member of this.members) member.turn();
      this.#advance();
    }, watchMs);
    this.resize(processes);
    await new Promise<void>((resolve) => {
      this.#onFull = resolve;
      this.#tellFull();
    });
  }

  get target(): number {
    return this.#target;
  }

  /** Those that are at work or about to be, draining ones excepted. */
  get members(): Member[] {
    return this.#seats.flatMap(({ serving }) => serving ?? []);
  }

  /** All there are. */
  get everyone(): Member[] {
    return [...this.#seats.flatMap(({ serving, starting }) => [serving, starting]), ...this.#draining].filter(
      (one) => one !== undefined,
    );
  }

  snapshot(): GroupSnapshot {
    return {
      target: this.#target,
      starting: this.#seats.filter(({ starting }) => starting !== undefined).length,
      serving: this.members.length,
      draining: this.#draining.size,
      replaced: { ...this.#replaced },
      loops: this.#seats.filter(({ loops }) => loops).length,
    };
  }

  /** Starts or drains as many as it takes. */
  resize(processes: number): void {
    if (this.#stopped !== undefined) return;
    this.#target = processes;
    while (this.#seats.length < processes) this.#addSeat();
    while (this.#seats.length > processes) this.#drain(this.#leastNeeded(), "the group shrinks");
    this.#advance();
  }

  /** Replaces every process by one that loads all code anew. A second call while one goes on gets a restart of its own, after it. */
  restart(): Promise<Restarted> {
    return this.#restarts.add();
  }

  /** Lets all drain. Resolves when all have ended. A second call returns the first one's promise. */
  stop(why: string): Promise<void> {
    this.#stopped ??= this.#stopOnce(why);
    return this.#stopped;
  }

  /** Ends all at once. */
  async kill(): Promise<void> {
    this.#stopped ??= Promise.resolve();
    this.#restarts.stop();
    clearInterval(this.#watch);
    const all = this.everyone;
    for (const seat of this.#seats) seat.close();
    await Promise.all(all.map((member) => member.kill()));
  }

  async #stopOnce(why: string): Promise<void> {
    clearInterval(this.#watch);
    this.#restarts.stop();
    for (const seat of this.#seats.toReversed()) this.#drain(seat, why);
    await Promise.all([...this.#draining].map(({ ended }) => ended));
  }

  #addSeat(): Seat {
    const seat: Seat = new Seat({
      start: () => this.#startMember(seat),
      random: this.#random,
      onServed: (now, replaced) => this.#served(now, replaced),
      onCrash: (crash) => this.#crashed(crash),
      onFailedReplacement: (crash, reason) => this.#failedToReplace(crash, reason),
    });
    this.#seats.push(seat);
    return seat;
  }

  #startMember(seat: Seat): Member {
    const { spawn, limits, silentAfterMs, onEnded } = this.#options;
    const member = new Member({
      start: spawn,
      limits: drawLimits(limits, this.#random),
      setLimits: limits,
      generation: this.#restarts.generation,
      silentTurns: silentAfterMs / watchMs,
      onReport: () => this.#reported(seat, member),
    });
    void member.ended.then(() => onEnded?.(member.lastMetrics));
    return member;
  }

  /** Who is starting or waiting to, else who has been there longest: it would be replaced soonest. */
  #leastNeeded(): Seat {
    const oldest = this.#seats.toSorted(
      (one, other) => (other.serving?.readyForMs ?? Infinity) - (one.serving?.readyForMs ?? Infinity),
    );
    return oldest[0] as Seat;
  }

  #drain(seat: Seat, why: string): void {
    this.#seats.splice(this.#seats.indexOf(seat), 1);
    for (const member of seat.close()) this.#letGo(member, why);
  }

  #letGo(member: Member, why: string): void {
    this.#draining.add(member);
    void member.stop(why, this.#options.graceMs + drainPatienceMs).then(() => this.#draining.delete(member));
  }

  #reported(seat: Seat, member: Member): void {
    if (seat.serving !== member || this.#stopped !== undefined) return;
    if (member.overweight) this.#evict(seat, member);
    this.#advance();
  }

  #evict(seat: Seat, member: Member): void {
    this.#replaced.memory += 1;
    const { streak, againMs } = seat.evict();
    const { log } = this.#options;
    const what = { process: member.pid, ...sizeOf(member) };
    const said = "far above its memory limit, so it drains at once";
    if (streak.isLoop) {
      log.error(
        what,
        `${said}, ${streak.count} in a row: its memory limit is too small for its work; another starts in ${roughly(againMs)}`,
      );
    } else log.warn(what, said);
    this.#letGo(member, whyReplaced.memory);
  }

  /** Starts what is to be started, as much as may be at a time. */
  #advance(): void {
    if (this.#stopped !== undefined) return;
    const starting = (): number => this.#seats.filter((seat) => seat.starting !== undefined).length;
    for (const seat of this.#seats) {
      if (seat.kind === "empty" && starting() < availableParallelism()) seat.fill();
    }
    const atOnce = Math.max(1, Math.floor(this.#seats.length / 4));
    for (const seat of this.#seats) {
      if (this.#seats.filter(({ kind }) => kind === "replacing").length >= atOnce) break;
      const reason = seat.replaceable ? this.#dueReason(seat.serving as Member) : undefined;
      if (reason !== undefined) seat.replace(reason);
    }
    this.#restarts.settle();
  }

  #dueReason(member: Member): ReplaceReason | undefined {
    return this.#restarts.concerns(member) ? "restart" : member.due(this.#startMs);
  }

  #served(now: Member, replaced: Replaced | undefined): void {
    // The slowest of late: what is due is judged by it.
    this.#startMs = Math.max(now.startTookMs ?? 0, 0.8 * this.#startMs);
    if (replaced !== undefined) {
      const { before, reason } = replaced;
      this.#replaced[reason] += 1;
      this.#restarts.replaced(before);
      const { log } = this.#options;
      log.info(
        { process: before.pid, by: now.pid, ...(reason === "memory" && sizeOf(before)) },
        `replaced: ${whyReplaced[reason]}`,
      );
      this.#letGo(before, whyReplaced[reason]);
    }
    this.#tellFull();
    this.#advance();
  }

  #crashed({ member, how, streak, isLoop, againMs }: Crash): void {
    if (!this.#begun) return;
    this.#replaced.crash += 1;
    const { log } = this.#options;
    const process = member.pid;
    const ran = member.readyForMs > 0 ? `after ${roughly(member.readyForMs)}` : "before it was ready";
    const said = `ended by itself with ${endText(how)} ${ran}`;
    const again = againMs > 0 ? `another starts in ${roughly(againMs)}` : "another starts already";
    if (isLoop)
      log.error({ process }, `${said}, ${streak} in a row soon after their start: a crash loop, slowed; ${again}`);
    else log.warn({ process }, `${said}; ${again}`);
    if (this.#restarts.underWay && member.readyForMs < steadyMs && !this.#restarts.concerns(member)) {
      this.#restarts.giveUp(member, `a new process ended with ${endText(how)} ${ran}`);
    }
    this.#advance();
  }

  #failedToReplace({ member, how, againMs }: Crash, reason: ReplaceReason): void {
    const said = `a replacement ended with ${endText(how)} before it was ready`;
    const { log } = this.#options;
    if (this.#restarts.underWay) this.#restarts.giveUp(member, said);
    else {
      log.error(
        { process: member.pid, reason: whyReplaced[reason] },
        `${said}; the old one works on, and another is tried in ${roughly(againMs)}`,
      );
    }
    this.#advance();
  }

  #tellFull(): void {
    if (this.members.length >= this.#target) this.#onFull();
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

function roughly(ms: number): string {
  return formatMs(Math.round(ms / 100) * 100);
}

function sizeOf({ report }: Member): object {
  return report === undefined ? {} : { memory: megabytes(report.load.rssBytes) };
}
