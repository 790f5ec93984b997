/** Worker snapshot: what a worker says of itself to those who ask: metrics, health, `top`, the dashboard. Plain data. */
import { hostname } from "node:os";
import { getHeapStatistics } from "node:v8";
import type { ResolvedConfig } from "../actor/config.ts";
import { retryHorizonMs } from "../lifecycle/backoff.ts";
import { packageVersion } from "../kernel/version.ts";
import { newId } from "../message/names.ts";
import type { LoopLag } from "./loop-lag.ts";
import type { Tally, TallySnapshot } from "./tally.ts";

/** Who a worker is. */
export interface WorkerIdentity {
  v: 1;
  id: string;
  host: string;
  pid: number;
  /** Of Godwit. */
  version: string;
  /** Of Node.js. */
  node: string;
  /** ISO time. */
  startedAt: string;
  actors: string[];
  /** The same for all workers that one supervisor runs: its own id. */
  group?: string;
}

/** How a worker does, in a few figures. */
export interface WorkerFigures {
  state: "starting" | "running" | "draining";
  /** ISO time at which they were taken, by the worker's clock. */
  at: string;
  /** Handlers that run, and messages in hand, over all its actors. */
  running: number;
  inHand: number;
  /** Resident memory of its process. */
  rssBytes: number;
  /** How late timers came. */
  loopP99Ms: number;
}

/** What a worker's config says of an actor that its durables must not do with less of. */
export interface Declared {
  ackWaitMs: number;
  /** Of what it hears, as the durables of its events have them. */
  filters: string[];
}

/** What a worker leaves in the workers bucket for as long as it lives; for whoever finds that it does not answer. */
export interface WorkerLease extends WorkerIdentity {
  /** Absent in those of an older version. */
  figures?: WorkerFigures;
  /** By actor. Absent in those of an older version. */
  declared?: Record<string, Declared>;
}

export interface ActorSnapshot extends TallySnapshot {
  /** Handlers that may run at once. */
  concurrency: number;
  /** Handlers that run. */
  running: number;
  /** Messages in hand: running, held, or with their settlement under way. */
  inHand: number;
  ackWaitMs: number;
  hardLimitMs?: number;
  /** How long after its first run a message may be run for the last time, by the delays alone. */
  retryHorizonMs: number;
  /** The guards that its config names. */
  breaker?: string;
  rateLimit?: string;
  concurrencyLimit?: string;
  /** Its concurrency limit counts by key. */
  concurrencyKeyed?: true;
}

export interface MemoryUse {
  rssBytes: number;
  heapUsedBytes: number;
  heapLimitBytes: number;
}

export interface WorkerSnapshot extends WorkerIdentity {
  state: "running" | "draining";
  /** ISO time of the snapshot. */
  at: string;
  /** How long the worker had been there, by a clock that is never set. */
  ageMs: number;
  concurrency: number;
  running: number;
  memory: MemoryUse;
  loop: LoopLag;
  /** How often the event loop stood still for longer than `blockedAfter`. */
  blocked: number;
  healthy: boolean;
  unhealthyReasons: string[];
  /** By name. */
  perActor: Record<string, ActorSnapshot>;
}

/** The few figures of a worker, as its snapshot has them. */
export function figuresOf({ at, running, memory, loop, perActor }: WorkerSnapshot): Omit<WorkerFigures, "state"> {
  const inHand = Object.values(perActor).reduce((sum, actor) => sum + actor.inHand, 0);
  return { at, running, inHand, rssBytes: memory.rssBytes, loopP99Ms: loop.p99Ms };
}

export function newIdentity(actors: string[], group?: string): WorkerIdentity {
  return {
    v: 1,
    id: newId(),
    host: hostname(),
    pid: process.pid,
    version: packageVersion(),
    node: process.versions.node,
    startedAt: new Date().toISOString(),
    actors,
    ...(group !== undefined && { group }),
  };
}

export function actorSnapshot(
  config: ResolvedConfig,
  tally: Tally,
  { running, inHand }: { running: number; inHand: number },
): ActorSnapshot {
  const { concurrency, ackWaitMs, hardLimitMs, breaker, rateLimit, concurrencyLimit } = config;
  return {
    ...tally.snapshot(),
    concurrency,
    running,
    inHand,
    ackWaitMs,
    ...(hardLimitMs !== undefined && { hardLimitMs }),
    retryHorizonMs: retryHorizonMs(config.retry),
    ...(breaker && { breaker: breaker.name }),
    ...(rateLimit && { rateLimit: rateLimit.name }),
    ...(concurrencyLimit && { concurrencyLimit: concurrencyLimit.name }),
    ...(concurrencyLimit?.key && { concurrencyKeyed: true }),
  };
}

export function memoryUse(): MemoryUse {
  return {
    rssBytes: process.memoryUsage.rss(),
    heapUsedBytes: process.memoryUsage().heapUsed,
    heapLimitBytes: getHeapStatistics().heap_size_limit,
  };
}
