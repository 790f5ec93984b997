/** What each metric says, out of facts: sums over the workers of a process, and units. */
import { expect, test } from "vitest";
import type { Backlog } from "../../src/observe/backlog.ts";
import { places } from "../../src/observe/backlog.ts";
import { samplesOf, type Facts, type WorkerFacts } from "../../src/observe/samples.ts";
import { Tally } from "../../src/worker/tally.ts";
import type { ActorSnapshot } from "../../src/worker/snapshot.ts";

/** A worker of one actor that has met everything so many times. */
function workerOf(id: string, times: number, facts: Partial<WorkerFacts> = {}): WorkerFacts {
  const tally = new Tally(true);
  const error = new Error("x");
  for (let n = 0; n < times; n++) {
    tally.began(20, 100);
    tally.handled(10);
    tally.ended({ kind: "completed", value: 1 });
    tally.ended({ kind: "deferred", reason: "rate-limited", delayMs: 1 });
    tally.ended({ kind: "dead", reason: "terminal", error });
    tally.ended({ kind: "lost", reason: "deadline" });
    tally.stalls += 1;
    tally.overdue += 1;
    tally.abandoned += 1;
    tally.resultsLost += 1;
  }
  const mail: ActorSnapshot = {
    ...tally.snapshot(),
    concurrency: 10,
    running: times,
    inHand: 2 * times,
    ackWaitMs: 30_000,
    retryHorizonMs: 0,
  };
  return { id, version: "1", state: "running", healthy: true, blocked: times, perActor: { mail }, ...facts };
}

const waiting = (count: number, oldestMs?: number): Backlog["waiting"] =>
  Object.fromEntries(places.map((lane) => [lane, { count, oldestMs }])) as Backlog["waiting"];

function factsOf(workers: WorkerFacts[], others: Partial<Facts> = {}): Facts {
  return {
    workers,
    backlogs: new Map(),
    demand: undefined,
    guards: { breakers: [], rateLimitWaits: [] },
    published: undefined,
    connectionUp: true,
    memory: { rssBytes: 1, heapUsedBytes: 2, heapLimitBytes: 3 },
    loop: { p50Ms: 1, p99Ms: 20, maxMs: 300 },
    ...others,
  };
}

/** The value of the metric with these labels. */
function valueOf(samples: ReturnType<typeof samplesOf>, name: keyof ReturnType<typeof samplesOf>, labels: object) {
  return samples[name]?.find((one) => Object.entries(labels).every(([key, value]) => one.labels[key] === value))?.value;
}

test("what a process did is the sum over its workers, the stopped ones too", () => {
  const samples = samplesOf(factsOf([workerOf("a", 2), workerOf("b", 3, { state: "stopped" })]));
  const actor = "mail";
  expect({
    completed: valueOf(samples, "godwit_messages_total", { actor, outcome: "completed" }),
    retry: valueOf(samples, "godwit_messages_total", { actor, outcome: "retry" }),
    deferred: valueOf(samples, "godwit_deferrals_total", { actor, reason: "rate-limited" }),
    snoozed: valueOf(samples, "godwit_deferrals_total", { actor, reason: "snooze" }),
    dead: valueOf(samples, "godwit_dead_letters_total", { actor, reason: "terminal" }),
    lost: valueOf(samples, "godwit_lost_total", { actor, reason: "deadline" }),
    stalls: valueOf(samples, "godwit_stalls_total", { actor }),
    overdue: valueOf(samples, "godwit_overdue_total", { actor }),
    abandoned: valueOf(samples, "godwit_abandoned_total", { actor }),
    resultsLost: valueOf(samples, "godwit_results_lost_total", { actor }),
    running: valueOf(samples, "godwit_handlers_running", { actor }),
    inHand: valueOf(samples, "godwit_messages_in_hand", { actor }),
    limit: valueOf(samples, "godwit_handlers_limit", { actor }),
    blocked: valueOf(samples, "godwit_event_loop_blocked_total", {}),
  }).toEqual({
    completed: 5,
    retry: 0,
    deferred: 5,
    snoozed: 0,
    dead: 5,
    lost: 5,
    stalls: 5,
    overdue: 5,
    abandoned: 5,
    resultsLost: 5,
    running: 5,
    inHand: 10,
    limit: 10,
    blocked: 3,
  });
});

test("a worker that should be replaced is told, and one that has stopped is not", () => {
  const workers = [workerOf("a", 1), workerOf("b", 1, { healthy: false }), workerOf("c", 1, { state: "stopped" })];
  expect(samplesOf(factsOf(workers)).godwit_worker_healthy).toEqual([
    { labels: { worker: "a" }, value: 1 },
    { labels: { worker: "b" }, value: 0 },
  ]);
});

test("times are seconds", () => {
  const queue = { pending: 12, deliveries: 7, paused: true };
  const backlog: Backlog = { ...queue, waiting: waiting(2, 5_000), scheduled: 3, inFlight: 4, dead: 5 };
  const samples = samplesOf(
    factsOf([workerOf("a", 1)], {
      backlogs: new Map([["mail", backlog]]),
      guards: { breakers: [], rateLimitWaits: [{ name: "api", count: 2, ms: 3_000 }] },
    }),
  );
  expect(samples.godwit_event_loop_lag_seconds.map(({ value }) => value)).toEqual([0.001, 0.02, 0.3]);
  expect(samples.godwit_rate_limit_wait_seconds.map(({ metricName, value }) => [metricName, value])).toEqual([
    ["godwit_rate_limit_wait_seconds_sum", 3],
    ["godwit_rate_limit_wait_seconds_count", 2],
  ]);
  expect(new Set(samples.godwit_queue_oldest_age_seconds.map(({ value }) => value))).toEqual(new Set([5]));
  expect(valueOf(samples, "godwit_messages_in_flight", { actor: "mail" })).toBe(4);
  expect(valueOf(samples, "godwit_actor_paused", { actor: "mail" })).toBe(1);
});
