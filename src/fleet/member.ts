/** Member: one worker process of a group, what it was started for, and what it says of itself. */
import { monotonicMs } from "../kernel/clock.ts";
import type { MetricsSnapshot } from "../observe/metrics-snapshot.ts";
import type { FromWorker, Report } from "./protocol.ts";
import { isOverweight, MemoryTrend, recycleReason, type RecycleLimits, type RecycleReason } from "./recycling.ts";
import type { WorkerEnd, WorkerProcess } from "./worker-process.ts";

export interface MemberOptions {
  start: (onMessage: (message: FromWorker) => void) => WorkerProcess;
  /** This one's own, drawn. */
  limits: RecycleLimits;
  /** Those that were set. */
  setLimits: RecycleLimits;
  /** Counts restarts of the group: what began before one is of an older generation. */
  generation: number;
  /** So many turns of the supervisor's watch may pass without a word. */
  silentTurns: number;
  onReport: () => void;
}

/** How long one may take until it is ready. */
const startPatienceMs = 120_000;

export class Member {
  readonly generation: number;
  /** True once its actors have started and it pulls; false once it has ended without. Never rejects. */
  readonly ready: Promise<boolean>;
  readonly #options: MemberOptions;
  readonly #process: WorkerProcess;
  readonly #startedMs = monotonicMs();
  readonly #trend = new MemoryTrend();
  readonly #looks = new Map<number, (metrics: MetricsSnapshot) => void>();
  #becameReady: () => void = () => undefined;
  #readyMs: number | undefined;
  #report: Report | undefined;
  #metrics: MetricsSnapshot = [];
  #actors: string[] = [];
  #asked = 0;
  /** Counted in turns of the watch: a clock would take a standstill of the supervisor for silence. */
  #turns = 0;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.generation = options.generation;
    const began = new Promise<boolean>((resolve) => (this.#becameReady = () => resolve(true)));
    this.#process = options.start((message) => this.#hear(message));
    // What hangs in its start would hold up a restart of the group for ever.
    const timer = setTimeout(() => void this.#process.kill(), startPatienceMs).unref();
    this.ready = Promise.race([began, this.#process.ended.then(() => false)]);
    void this.ready.then(() => clearTimeout(timer));
    void this.#process.ended.then(() => {
      for (const answer of this.#looks.values()) answer(this.#metrics);
      this.#looks.clear();
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  get ended(): Promise<WorkerEnd> {
    return this.#process.ended;
  }

  /** How long it took until it was ready; undefined before. */
  get startTookMs(): number | undefined {
    return this.#readyMs === undefined ? undefined : this.#readyMs - this.#startedMs;
  }

  /** How long it has been at work; 0 before it is ready. */
  get readyForMs(): number {
    return this.#readyMs === undefined ? 0 : monotonicMs() - this.#readyMs;
  }

  /** The names of its actors; none before it is ready. */
  get actors(): string[] {
    return this.#actors;
  }

  /** What it said last; undefined before. */
  get report(): Report | undefined {
    return this.#report;
  }

  /** Why it is to be replaced; undefined while it is not. @param startMs how long a replacement takes until it is ready. */
  due(startMs: number): RecycleReason | "unhealthy" | "silent" | undefined {
    if (this.#report === undefined) return undefined;
    if (this.#turns > this.#options.silentTurns) return "silent";
    const { load, unhealthyReasons } = this.#report;
    if (unhealthyReasons.length > 0) return "unhealthy";
    const handled = Object.values(load.actors).reduce((sum, actor) => sum + actor.handled, 0);
    const vitals = { ageMs: this.readyForMs, handled, rssBytes: load.rssBytes, growthBytesPerMs: this.#trend.growth };
    // Its replacement may have to wait for that of another.
    return recycleReason(this.#options.limits, vitals, 2 * startMs);
  }

  /** A turn of the watch has passed. */
  turn(): void {
    this.#turns += 1;
  }

  get overweight(): boolean {
    return isOverweight(this.#options.setLimits, this.#report?.load.rssBytes ?? 0);
  }

  /** What its metrics are, or were when it last told them. */
  async metrics(waitMs: number): Promise<MetricsSnapshot> {
    // One that has not started yet has nothing to tell, and would not hear the question.
    if (this.#readyMs === undefined) return this.#metrics;
    const id = ++this.#asked;
    return new Promise((resolve) => {
      const answer = (metrics: MetricsSnapshot): void => {
        clearTimeout(timer);
        this.#looks.delete(id);
        resolve(metrics);
      };
      const timer = setTimeout(() => answer(this.#metrics), waitMs);
      this.#looks.set(id, answer);
      this.#process.tell({ say: "look", id });
    });
  }

  /** What it told last. */
  get lastMetrics(): MetricsSnapshot {
    return this.#metrics;
  }

  stop(why: string, patienceMs: number): Promise<void> {
    return this.#process.stop(why, patienceMs);
  }

  kill(): Promise<void> {
    return this.#process.kill();
  }

  #hear(message: FromWorker): void {
    this.#turns = 0;
    switch (message.say) {
      case "ready":
        this.#readyMs = monotonicMs();
        this.#actors = message.actors;
        this.#becameReady();
        return;
      case "report":
        this.#report = message;
        this.#trend.add(monotonicMs(), message.load.rssBytes);
        this.#options.onReport();
        return;
      case "metrics":
        this.#metrics = message.metrics;
        if (message.id !== undefined) this.#looks.get(message.id)?.(message.metrics);
        return;
    }
  }
}
