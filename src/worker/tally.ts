/** Tally: what one actor of one worker has done since the worker began, in numbers. Metrics, dashboard and `stats` are read off it. */
import {
  emptyHistogram,
  Histogram,
  sizeBoundsBytes,
  timeBoundsMs,
  type HistogramSnapshot,
} from "../kernel/histogram.ts";
import type { DeadReason } from "../message/failure.ts";
import type { DeferReason, LostReason } from "./events.ts";
import type { Outcome } from "./outcome.ts";

/** How many deliveries ended how. */
export type OutcomeCounts = Record<Outcome["kind"], number>;
export type CountsOf<Reason extends string> = Partial<Record<Reason, number>>;

/** Counters begin at 0 with the worker and only grow. */
export interface TallySnapshot {
  outcomes: OutcomeCounts;
  /** Put back, by why. */
  deferred: CountsOf<DeferReason>;
  dead: CountsOf<DeadReason>;
  lost: CountsOf<LostReason>;
  /** Runs that died with their worker, or were lost to it, of messages that ended here. */
  stalls: number;
  /** Handlers that passed the hard time limit, and those of them that were given up. */
  overdue: number;
  abandoned: number;
  resultsLost: number;
  /** Pullers that had fallen silent and were begun anew. */
  rebuilt: number;
  /** How long handlers ran, over `timeBoundsMs`. */
  handlerMs: HistogramSnapshot;
  /** How long messages had been stored when their first run began, over `timeBoundsMs`. By the host's clock and the server's. */
  queuedMs: HistogramSnapshot;
  /** Bodies of what was run, as they came, over `sizeBoundsBytes`. */
  bodyBytes: HistogramSnapshot;
}

export class Tally {
  readonly outcomes: OutcomeCounts = { completed: 0, retry: 0, deferred: 0, interrupted: 0, dead: 0, lost: 0 };
  stalls = 0;
  overdue = 0;
  abandoned = 0;
  /** Abandoned handlers that still run, as far as anyone knows. */
  adrift = 0;
  resultsLost = 0;
  rebuilt = 0;
  readonly #deferred: CountsOf<DeferReason> = {};
  readonly #dead: CountsOf<DeadReason> = {};
  readonly #lost: CountsOf<LostReason> = {};
  readonly #histograms: Record<"handlerMs" | "queuedMs" | "bodyBytes", Histogram> | undefined;

  /** @param timed false keeps no histograms; what ends is counted all the same. */
  constructor(timed: boolean) {
    this.#histograms = timed
      ? {
          handlerMs: new Histogram(timeBoundsMs),
          queuedMs: new Histogram(timeBoundsMs),
          bodyBytes: new Histogram(sizeBoundsBytes),
        }
      : undefined;
  }

  get timed(): boolean {
    return this.#histograms !== undefined;
  }

  /** A handler begins. `queuedMs`: undefined for what has been handed out before. */
  began(queuedMs: number | undefined, bodyBytes: number): void {
    if (this.#histograms === undefined) return;
    if (queuedMs !== undefined) this.#histograms.queuedMs.record(queuedMs);
    this.#histograms.bodyBytes.record(bodyBytes);
  }

  /** A handler has ended, its limit has passed, or it was given up. */
  handled(ms: number): void {
    this.#histograms?.handlerMs.record(ms);
  }

  ended(outcome: Outcome): void {
    this.outcomes[outcome.kind] += 1;
    if (outcome.kind === "deferred") add(this.#deferred, outcome.reason);
    else if (outcome.kind === "dead") add(this.#dead, outcome.reason);
    else if (outcome.kind === "lost") add(this.#lost, outcome.reason);
  }

  snapshot(): TallySnapshot {
    const { stalls, overdue, abandoned, resultsLost, rebuilt } = this;
    return {
      outcomes: { ...this.outcomes },
      deferred: { ...this.#deferred },
      dead: { ...this.#dead },
      lost: { ...this.#lost },
      stalls,
      overdue,
      abandoned,
      resultsLost,
      rebuilt,
      handlerMs: this.#histograms?.handlerMs.snapshot() ?? emptyHistogram,
      queuedMs: this.#histograms?.queuedMs.snapshot() ?? emptyHistogram,
      bodyBytes: this.#histograms?.bodyBytes.snapshot() ?? emptyHistogram,
    };
  }
}

function add<Reason extends string>(counts: CountsOf<Reason>, reason: Reason): void {
  counts[reason] = (counts[reason] ?? 0) + 1;
}

export interface WorkerStats {
  /** `overdue`: handlers that passed the hard time limit. `abandoned`: those of them that were given up. */
  actors: Record<string, OutcomeCounts & { inHand: number; overdue: number; abandoned: number }>;
  /** How often the failure lifecycle was entered; 0 while every message succeeds at once. */
  lifecycleEntries: number;
  /** How often the event loop stood still. */
  blocked: number;
  /** False while there is a reason to replace the process. */
  healthy: boolean;
  /** One sentence for each. */
  unhealthyReasons: string[];
}
