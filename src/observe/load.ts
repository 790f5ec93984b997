/** Load: what one process says of the work that its actors do, so that somebody can tell how many such processes are needed. Plain data. */
import { monotonicMs } from "../kernel/clock.ts";
import { totalOf } from "../kernel/histogram.ts";
import { durableName } from "../worker/durables.ts";
import type { Worker } from "../worker/worker.ts";
import type { DurableName } from "./backlog.ts";
import type { Roster } from "./roster.ts";
import { totalsOf } from "./totals.ts";

/** Guards are asked each second at least while a handler is free. */
const guardedForMs = 2_000;

export interface ActorLoad {
  /** Handlers that may run at once in this process. */
  concurrency: number;
  /** Handlers that run. */
  running: number;
  /** Runs that have ended, and how long they took together, ms. They only grow, and begin at 0 with the process. */
  handled: number;
  handledMs: number;
  /** Deliveries that were put back without a run. */
  deferred: number;
  /** A guard (breaker, rate limit, concurrency limit) let less through than was wanted, at some time in the last two seconds. */
  guarded: boolean;
  durables: DurableName[];
}

export interface ProcessLoad {
  pid: number;
  /** Handlers that may run at once over all actors. */
  ceiling: number;
  /** CPU time that it has used, ms; and its resident memory. */
  cpuMs: number;
  rssBytes: number;
  /** Those that workers of this process run. */
  actors: Record<string, ActorLoad>;
}

/** Of this process. What stopped workers did is in it, since it was work of the same kind. */
export function loadOf(roster: Pick<Roster, "facts" | "workers">): ProcessLoad {
  const done = totalsOf(roster.facts().map(({ perActor }) => perActor));
  const running = [...roster.workers].filter(({ state }) => state === "running");
  const here = totalsOf(running.map((worker) => worker.perActor()));
  const actors = [...here].map(([actor, now]): [string, ActorLoad] => {
    const { handlerMs, outcomes, deferred } = done.get(actor) ?? now;
    const load = {
      concurrency: now.concurrency,
      running: now.running,
      handled: totalOf(handlerMs),
      handledMs: handlerMs.sum,
      deferred: outcomes.deferred - (deferred.snooze ?? 0),
    };
    return [actor, { ...load, ...standing(running, actor) }];
  });
  const { user, system } = process.cpuUsage();
  return {
    pid: process.pid,
    ceiling: running.reduce((sum, { concurrency }) => sum + concurrency, 0),
    cpuMs: (user + system) / 1_000,
    rssBytes: process.memoryUsage.rss(),
    actors: Object.fromEntries(actors),
  };
}

function standing(workers: readonly Worker[], actor: string): Pick<ActorLoad, "guarded" | "durables"> {
  const looks = workers.flatMap((worker) => worker.looks().get(actor) ?? []);
  return {
    guarded: looks.some(({ guardedAtMs }) => monotonicMs() - guardedAtMs < guardedForMs),
    // Workers of one process have the same ones.
    durables: (looks[0]?.durables ?? []).map(durableName),
  };
}
