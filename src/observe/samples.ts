/** Samples: what each metric says, out of what the parts of a system tell of themselves. Pure: reads nothing and waits for nothing. */
import type { PublishSnapshot } from "../broker/publish-tally.ts";
import type { GuardSnapshot } from "../guard/registry.ts";
import type { HistogramSnapshot } from "../kernel/histogram.ts";
import { deadReasons } from "../message/failure.ts";
import type { DeferReason, LostReason } from "../worker/events.ts";
import type { LoopLag } from "../worker/loop-lag.ts";
import type { MemoryUse } from "../worker/snapshot.ts";
import type { OutcomeCounts } from "../worker/tally.ts";
import type { WorkerState } from "../worker/worker.ts";
import { places, type Backlog } from "./backlog.ts";
import { bucketSamples, coarseTimes, fineTimes, sizes, type Buckets } from "./buckets.ts";
import type { Demand } from "./demand.ts";
import type { MetricName } from "./metric-table.ts";
import { totalsOf, type ActorTotals } from "./totals.ts";

export interface WorkerFacts {
  id: string;
  version: string;
  state: WorkerState;
  healthy: boolean;
  blocked: number;
  /** By name. */
  perActor: Readonly<Record<string, ActorTotals>>;
}

export interface Facts {
  /** Those of this process, and what the stopped ones did. */
  workers: readonly WorkerFacts[];
  /** By actor; what could not be read is not there. */
  backlogs: ReadonlyMap<string, Backlog>;
  /** Undefined where it is not known. */
  demand: Demand | undefined;
  guards: GuardSnapshot;
  /** Undefined where no histograms are kept. */
  published: readonly PublishSnapshot[] | undefined;
  connectionUp: boolean;
  memory: MemoryUse;
  loop: LoopLag;
}

export interface Sample {
  /** Where it is not the metric's: of the series of a histogram or summary. */
  metricName?: string;
  labels: Record<string, string | number>;
  value: number;
}

/** What a supervisor tells of its processes, and no process of itself. */
type OfSupervisors =
  "godwit_processes" | "godwit_processes_target" | "godwit_process_replacements_total" | "godwit_process_crash_loops";

export type Samples = Record<Exclude<MetricName, OfSupervisors>, Sample[]> & Partial<Record<OfSupervisors, Sample[]>>;

/** A handler may name a breaker after whatever it calls: so many are told of, those named first, which configs do. */
const mostBreakers = 100;

// Records, so that one that is added is missed here.
const outcomes = keysOf<keyof OutcomeCounts>({ completed: 1, retry: 1, deferred: 1, interrupted: 1, dead: 1, lost: 1 });
const deferReasons = keysOf<DeferReason>({
  snooze: 1,
  busy: 1,
  suspect: 1,
  unavailable: 1,
  "dead-letters-unavailable": 1,
  "breaker-open": 1,
  "rate-limited": 1,
  "concurrency-limited": 1,
});
const lostReasons = keysOf<LostReason>({ deadline: 1, "loop-gap": 1, unconfirmed: 1, "in-hand": 1, completed: 1 });
const circuitStates = keysOf<GuardSnapshot["breakers"][number]["phase"]>({ closed: 1, open: 1, "half-open": 1 });

function keysOf<Key extends string>(record: Record<Key, 1>): Key[] {
  return Object.keys(record) as Key[];
}

/** Reasons that have not occurred are 0 and not absent: an increase from nothing would not be seen. */
export function samplesOf(facts: Facts): Samples {
  const { workers, backlogs, demand, published, connectionUp, memory, loop } = facts;
  const here = workers.filter(({ state }) => state !== "stopped");
  return {
    ...actorSamples(totalsOf(workers.map(({ perActor }) => perActor)), published !== undefined),
    godwit_handlers_limit: [...totalsOf(here.map(({ perActor }) => perActor))].map(([actor, { concurrency }]) =>
      one({ actor }, concurrency),
    ),
    ...backlogSamples(backlogs),
    godwit_processes_wanted: demand === undefined ? [] : [one({}, demand.processes)],
    ...publishSamples(published ?? []),
    ...guardSamples(facts.guards),
    godwit_event_loop_lag_seconds: [
      one({ quantile: 0.5 }, loop.p50Ms / 1_000),
      one({ quantile: 0.99 }, loop.p99Ms / 1_000),
      one({ quantile: 1 }, loop.maxMs / 1_000),
    ],
    // The loop is one: each worker of the process saw the same standstills while it ran.
    godwit_event_loop_blocked_total: [one({}, Math.max(0, ...workers.map(({ blocked }) => blocked)))],
    godwit_memory_resident_bytes: [one({}, memory.rssBytes)],
    godwit_heap_used_bytes: [one({}, memory.heapUsedBytes)],
    godwit_heap_limit_bytes: [one({}, memory.heapLimitBytes)],
    godwit_connection_up: [one({}, connectionUp ? 1 : 0)],
    godwit_worker_info: here.map(({ id, version }) => one({ worker: id, version }, 1)),
    godwit_worker_healthy: here.map(({ id, healthy }) => one({ worker: id }, healthy ? 1 : 0)),
  };
}

function actorSamples(totals: ReadonlyMap<string, ActorTotals>, timed: boolean) {
  const actors = [...totals];
  const each = (read: (totals: ActorTotals) => number): Sample[] =>
    actors.map(([actor, its]) => one({ actor }, read(its)));
  const eachOf = (label: string, values: readonly string[], read: (totals: ActorTotals) => object): Sample[] =>
    actors.flatMap(([actor, its]) => {
      const counts = new Map<string, number>(Object.entries(read(its)));
      return values.map((value) => one({ actor, [label]: value }, counts.get(value) ?? 0));
    });
  const eachHistogram = (name: MetricName, buckets: Buckets, read: (totals: ActorTotals) => HistogramSnapshot) =>
    timed ? actors.flatMap(([actor, its]) => histogram(name, { actor }, read(its), buckets)) : [];
  return {
    godwit_messages_total: eachOf("outcome", outcomes, (its) => its.outcomes),
    godwit_deferrals_total: eachOf("reason", deferReasons, (its) => its.deferred),
    godwit_dead_letters_total: eachOf("reason", deadReasons, (its) => its.dead),
    godwit_lost_total: eachOf("reason", lostReasons, (its) => its.lost),
    godwit_stalls_total: each((its) => its.stalls),
    godwit_overdue_total: each((its) => its.overdue),
    godwit_abandoned_total: each((its) => its.abandoned),
    godwit_results_lost_total: each((its) => its.resultsLost),
    godwit_pullers_rebuilt_total: each((its) => its.rebuilt),
    godwit_handler_duration_seconds: eachHistogram(
      "godwit_handler_duration_seconds",
      fineTimes,
      (its) => its.handlerMs,
    ),
    godwit_queue_duration_seconds: eachHistogram("godwit_queue_duration_seconds", coarseTimes, (its) => its.queuedMs),
    godwit_received_body_bytes: eachHistogram("godwit_received_body_bytes", sizes, (its) => its.bodyBytes),
    godwit_handlers_running: each((its) => its.running),
    godwit_messages_in_hand: each((its) => its.inHand),
  };
}

function backlogSamples(backlogs: ReadonlyMap<string, Backlog>) {
  const actors = [...backlogs];
  const each = (read: (backlog: Backlog) => number): Sample[] =>
    actors.map(([actor, its]) => one({ actor }, read(its)));
  return {
    godwit_queue_depth: actors.flatMap(([actor, { waiting }]) =>
      places.map((lane) => one({ actor, lane }, waiting[lane].count)),
    ),
    godwit_queue_oldest_age_seconds: actors.flatMap(([actor, { waiting }]) =>
      places.flatMap((lane) => {
        const { count, oldestMs } = waiting[lane];
        if (count > 0 && oldestMs === undefined) return [];
        return [one({ actor, lane }, (oldestMs ?? 0) / 1_000)];
      }),
    ),
    godwit_queue_scheduled: each((its) => its.scheduled),
    godwit_messages_in_flight: each((its) => its.inFlight),
    godwit_dead_letters_stored: each((its) => its.dead),
    godwit_actor_paused: each((its) => (its.paused ? 1 : 0)),
  };
}

function publishSamples(published: readonly PublishSnapshot[]) {
  return {
    godwit_publish_duration_seconds: published.flatMap(({ stream, publishMs }) =>
      histogram("godwit_publish_duration_seconds", { stream }, publishMs, coarseTimes),
    ),
    godwit_sent_body_bytes: published.flatMap(({ stream, bodyBytes }) =>
      histogram("godwit_sent_body_bytes", { stream }, bodyBytes, sizes),
    ),
    godwit_publish_errors_total: published.flatMap(({ stream, errors }) =>
      Object.entries(errors).map(([code, count]) => one({ stream, code }, count)),
    ),
  };
}

function guardSamples({ breakers, rateLimitWaits }: GuardSnapshot) {
  const name = "godwit_rate_limit_wait_seconds";
  return {
    godwit_breaker_state: breakers
      .slice(0, mostBreakers)
      .flatMap(({ name: breaker, phase }) =>
        circuitStates.map((state) => one({ breaker, state }, phase === state ? 1 : 0)),
      ),
    godwit_rate_limit_wait_seconds: rateLimitWaits.flatMap(({ name: limit, count, ms }) => [
      { metricName: `${name}_sum`, labels: { limit }, value: ms / 1_000 },
      { metricName: `${name}_count`, labels: { limit }, value: count },
    ]),
  };
}

function histogram(
  name: MetricName,
  labels: Sample["labels"],
  snapshot: HistogramSnapshot,
  buckets: Buckets,
): Sample[] {
  return bucketSamples(snapshot, buckets).map(({ suffix, le, value }) => ({
    metricName: `${name}${suffix}`,
    labels: le === undefined ? labels : { ...labels, le },
    value,
  }));
}

function one(labels: Sample["labels"], value: number): Sample {
  return { labels, value };
}
