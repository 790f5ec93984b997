/**
 * Loop watch: notices that the event loop of this process stood still, and names the actors that may have held it.
 * 1. A timer that comes late shows the gap. It counts where the loop was at work in it: a process that was stopped (SIGSTOP, a host
 *    that slept) while its loop waited was not blocked. One that was stopped at work looks like one that waits synchronously, as in
 *    `execSync`: little time of the processor was used in either.
 * 2. A handler whose part before its first `await` took most of the gap is named for sure. Else those are named whose handlers were
 *    in progress meanwhile.
 */
import { performance, type EventLoopUtilization } from "node:perf_hooks";
import { monotonicMs } from "../kernel/clock.ts";

const longestBeatMs = 100;

/** The event loop stood still. */
export interface Blocked {
  /** Who may have held it; none where no handler was in progress. */
  actors: string[];
  /** True where the part of a handler before its first `await` took the time. */
  certain: boolean;
  ms: number;
  /** Time of the processor that the whole process used meanwhile. Near 0, something waited synchronously, or the process was stopped. */
  cpuMs: number;
}

export interface LoopWatchOptions {
  /** A standstill of more than this counts. */
  afterMs: number;
  /** The actors whose handlers were in progress at some time since then, monotonic ms. */
  inProgress: (sinceMs: number) => string[];
  onBlocked: (blocked: Blocked) => void;
}

export class LoopWatch {
  readonly #options: LoopWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #beatAtMs = 0;
  #loop: EventLoopUtilization = performance.eventLoopUtilization();
  #cpu = process.cpuUsage();
  /** Handlers that held the loop for long before their first `await`, since the last beat. */
  #held: { actor: string; ms: number; sure: boolean }[] = [];

  constructor(options: LoopWatchOptions) {
    this.#options = options;
  }

  start(): void {
    this.#rememberNow();
    this.#timer = setInterval(() => this.#beat(), Math.min(longestBeatMs, this.#options.afterMs / 2)).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A handler took so long before its first `await`. */
  held(actor: string, ms: number, sure = true): void {
    if (ms > this.#options.afterMs / 2) this.#held.push({ actor, ms, sure });
  }

  #beat(): void {
    const { afterMs, inProgress, onBlocked } = this.#options;
    const gapMs = monotonicMs() - this.#beatAtMs;
    if (gapMs > afterMs) {
      // What the loop spent waiting for something to do is no standstill.
      const ms = Math.min(gapMs, performance.eventLoopUtilization(this.#loop).active);
      if (ms > afterMs) {
        const { user, system } = process.cpuUsage(this.#cpu);
        const held = this.#held.filter((one) => one.ms > ms / 2);
        const certain = held.some(({ sure }) => sure);
        const actors = held.filter(({ sure }) => sure === certain).map(({ actor }) => actor);
        if (!certain) actors.push(...inProgress(this.#beatAtMs));
        onBlocked({ actors: [...new Set(actors)], certain, ms, cpuMs: (user + system) / 1_000 });
      }
    }
    this.#rememberNow();
  }

  #rememberNow(): void {
    this.#beatAtMs = monotonicMs();
    this.#loop = performance.eventLoopUtilization();
    this.#cpu = process.cpuUsage();
    if (this.#held.length > 0) this.#held = [];
  }
}
