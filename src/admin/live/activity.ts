/** Activity: rates, error share and quantiles of one actor, over all workers. Pure. */
import {
  addHistograms,
  emptyHistogram,
  quantileOf,
  sinceHistogram,
  type HistogramSnapshot,
} from "../../kernel/histogram.ts";
import type { ActorSnapshot } from "../../worker/snapshot.ts";
import type { OutcomeCounts } from "../../worker/tally.ts";
import type { ActorFrame } from "../api.ts";
import type { Span } from "./span.ts";

export type Activity = Pick<
  ActorFrame,
  "rate" | "errorShare" | "deferrals" | "p50Ms" | "p95Ms" | "p99Ms" | "queuedP95Ms"
> & {
  /** Not completed, a second: to be retried, or dead. */
  failedRate: number;
};

export function activityOf(actor: string, spans: Iterable<Span>): Activity {
  let rate = 0;
  let failedRate = 0;
  const deferrals = new Map<string, number>();
  const handler: HistogramSnapshot[] = [];
  const queued: HistogramSnapshot[] = [];
  for (const { seconds, now, before } of spans) {
    const own = now.perActor[actor];
    if (own === undefined) continue;
    const was = before?.perActor[actor];
    rate += ended(own, was) / seconds;
    failedRate += failed(own, was) / seconds;
    for (const [reason, count] of Object.entries(own.deferred)) {
      const more = count - (was?.deferred[reason as keyof typeof own.deferred] ?? 0);
      if (more > 0) deferrals.set(reason, (deferrals.get(reason) ?? 0) + more / seconds);
    }
    handler.push(sinceHistogram(own.handlerMs, was?.handlerMs ?? emptyHistogram));
    queued.push(sinceHistogram(own.queuedMs, was?.queuedMs ?? emptyHistogram));
  }
  const ran = addHistograms(handler);
  return {
    rate,
    failedRate,
    errorShare: rate === 0 ? 0 : failedRate / rate,
    deferrals: Object.fromEntries(deferrals),
    ...quantile("p50Ms", ran, 0.5),
    ...quantile("p95Ms", ran, 0.95),
    ...quantile("p99Ms", ran, 0.99),
    ...quantile("queuedP95Ms", addHistograms(queued), 0.95),
  };
}

/** Deliveries of all its actors that one worker ended, a second. */
export function rateOf({ seconds, now, before }: Span): number {
  const all = Object.entries(now.perActor).map(([actor, own]) => ended(own, before?.perActor[actor]));
  return all.reduce((sum, one) => sum + one, 0) / seconds;
}

function ended(own: ActorSnapshot, was: ActorSnapshot | undefined): number {
  return difference(own, was, ["completed", "retry", "dead"]);
}

function failed(own: ActorSnapshot, was: ActorSnapshot | undefined): number {
  return difference(own, was, ["retry", "dead"]);
}

function difference(own: ActorSnapshot, was: ActorSnapshot | undefined, kinds: (keyof OutcomeCounts)[]): number {
  return kinds.reduce((sum, kind) => sum + Math.max(0, own.outcomes[kind] - (was?.outcomes[kind] ?? 0)), 0);
}

function quantile<Name extends "p50Ms" | "p95Ms" | "p99Ms" | "queuedP95Ms">(
  name: Name,
  histogram: HistogramSnapshot,
  share: number,
): Partial<Record<Name, number>> {
  const value = quantileOf(histogram, share);
  return value === undefined ? {} : ({ [name]: value } as Record<Name, number>);
}
