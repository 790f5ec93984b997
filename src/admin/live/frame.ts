/** Frame: everything that moves, put together from what the server and the workers have said. Pure. */
import type { WorkerStatus } from "../workers.ts";
import type { WorkerFigures } from "../../worker/snapshot.ts";
import type { ActorFrame, BreakerFrame, Frame, LastFrame, LimitFrame, WorkerFrame } from "../api.ts";
import { activityOf, rateOf, type Activity } from "./activity.ts";
import { noFigures, type ServerReading } from "./server-figures.ts";
import type { Span } from "./span.ts";

/** What has been said. */
export interface Reading {
  at: string;
  namespace: string;
  server: ServerReading;
  workers: readonly WorkerStatus[];
  /** By the worker's id; those of workers that have just gone too. */
  spans: ReadonlyMap<string, Span>;
  breakers: BreakerFrame[];
  limits: LimitFrame[];
  problems: string[];
}

export function frameOf(reading: Reading): Frame {
  const { at, namespace, server, workers, spans, breakers, limits, problems } = reading;
  const names = new Set([...server.actors.keys(), ...workers.flatMap(({ identity }) => identity.actors)]);
  const both = [...names].toSorted().map((actor) => {
    const activity = activityOf(actor, spans.values());
    return { activity, frame: actorFrame(actor, reading, activity) };
  });
  const actors = both.map(({ frame }) => frame);
  const rate = sum(both.map(({ activity }) => activity.rate));
  const failed = sum(both.map(({ activity }) => activity.failedRate));
  return {
    at,
    namespace,
    actors,
    workers: workers.map((worker) => workerFrame(worker, spans.get(worker.identity.id))),
    breakers,
    limits,
    totals: {
      rate: tidy(rate),
      errorShare: rate === 0 ? 0 : tidy(failed / rate),
      depth: sum(actors.map(({ depth }) => depth)),
      inFlight: sum(actors.map(({ inFlight }) => inFlight)),
      dead: server.dead,
      workers: workers.filter(({ snapshot }) => snapshot !== undefined).length,
    },
    problems,
  };
}

function actorFrame(actor: string, { server, workers }: Reading, activity: Activity): ActorFrame {
  const own = workers.flatMap(({ snapshot }) => snapshot?.perActor[actor] ?? []);
  const { failedRate: _unused, rate, errorShare, deferrals, ...quantiles } = activity;
  const guards = own.findLast((one) => one.breaker ?? one.rateLimit ?? one.concurrencyLimit);
  return {
    actor,
    ...(server.actors.get(actor) ?? noFigures()),
    workers: own.length,
    running: sum(own.map(({ running }) => running)),
    concurrency: sum(own.map(({ concurrency }) => concurrency)),
    rate: tidy(rate),
    errorShare: tidy(errorShare),
    deferrals: mapped(deferrals),
    ...mapped(quantiles),
    ...(guards?.breaker !== undefined && { breaker: guards.breaker }),
    ...(guards?.rateLimit !== undefined && { rateLimit: guards.rateLimit }),
    ...(guards?.concurrencyLimit !== undefined && { concurrencyLimit: guards.concurrencyLimit }),
  };
}

function workerFrame({ identity, state, snapshot, last }: WorkerStatus, span: Span | undefined): WorkerFrame {
  const { id, host, pid, version, startedAt, actors, group } = identity;
  const frame: WorkerFrame = { id, host, pid, version, startedAt, state, actors };
  if (group !== undefined) frame.group = group;
  if (snapshot === undefined) return last === undefined ? frame : { ...frame, last: lastFrame(last) };
  const { running, concurrency, memory, loop, blocked, healthy, unhealthyReasons, perActor } = snapshot;
  frame.live = {
    running,
    concurrency,
    inHand: sum(Object.values(perActor).map(({ inHand }) => inHand)),
    rate: span === undefined ? 0 : tidy(rateOf(span)),
    ...memory,
    loopP99Ms: tidy(loop.p99Ms),
    blocked,
    healthy,
    unhealthyReasons,
  };
  return frame;
}

function lastFrame({ at, state, running, inHand, rssBytes, loopP99Ms }: WorkerFigures): LastFrame {
  return { at, state, running, inHand, rssBytes, loopP99Ms: tidy(loopP99Ms) };
}

function mapped<Values extends Record<string, number>>(values: Values): Values {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, tidy(value)])) as Values;
}

/** Four digits say all that there is to say, and travel every two seconds. */
function tidy(value: number): number {
  return Number(value.toPrecision(4));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
