/**
 * Health: whether this process should be replaced, and whether it is ready, decided from what the watchdogs of its workers have seen. Pure.
 * 1. Unhealthy is what a restart would mend: a worker that does not consume although messages wait and handlers are free, a durable that
 *    is gone, handlers that nothing else can end.
 * 2. What cannot be told is healthy: while the server is away every worker would be restarted in vain.
 * 3. Messages that are stranded make an actor unhealthy, and are told; but no restart would help them, so none is asked for.
 */
import { isoEnd } from "../kernel/until.ts";
import type { Watched } from "../worker/sighting.ts";
import type { Worker, WorkerState } from "../worker/worker.ts";

/** What it needs of a worker. */
export interface WatchedWorker {
  readonly state: WorkerState;
  readonly stats: Pick<Worker["stats"], "unhealthyReasons">;
  watched(): ReadonlyMap<string, readonly Watched[]>;
  readonly edited?: readonly string[];
}

export interface Verdict {
  healthy: boolean;
  /** One sentence. */
  says: string;
  /** How often one of its pullers was begun anew; absent where none was. */
  rebuilt?: number;
  /** Messages that are stored, and that no durable of its will ever hand out; absent where there are none. */
  stranded?: number;
}

/** The body of `/healthz`. */
export interface HealthReport {
  healthy: boolean;
  /** Whether starting the process again would help: the status is then 503. */
  restart: boolean;
  /** Why not, or why it cannot be told; one sentence for each. */
  reasons: string[];
  /** By name. */
  actors: Record<string, Verdict>;
}

/** The body of `/readyz`. */
export interface ReadyReport {
  ready: boolean;
  /** Why not; one sentence for each. */
  reasons: string[];
}

/** @param watched its durables; none where nobody has looked yet. */
export function judge(watched: readonly Watched[], windowMs: number): Verdict {
  const first = (test: (one: Watched) => boolean): Watched | undefined => watched.find(test);
  const inTrouble = (one: Watched): number => (one.troubleSinceMs === undefined ? -1 : one.atMs - one.troubleSinceMs);
  const rebuilt = watched.reduce((sum, { rebuilds }) => sum + (rebuilds?.total ?? 0), 0);
  const verdict = (healthy: boolean, says: string): Verdict => {
    if (rebuilt === 0) return { healthy, says };
    return { healthy, says: `${says}; what pulls for it had fallen silent and was begun anew: ${rebuilt} ×`, rebuilt };
  };
  const red = first((one) => inTrouble(one) >= windowMs);
  if (red !== undefined) return verdict(false, describe(red));
  const stranded = watched.reduce((sum, one) => sum + one.stranded, 0);
  if (stranded > 0) {
    const says = `${stranded} of its messages are stored, and no durable will ever hand them out; run godwit doctor --mend stranded`;
    return { ...verdict(false, says), stranded };
  }
  const suspect = first((one) => one.troubleSinceMs !== undefined);
  const unknown = first(({ sighting }) => sighting.kind === "unknown");
  const says = suspect ?? unknown ?? first(({ sighting }) => sighting.kind !== "empty") ?? watched[0];
  return verdict(true, says === undefined ? "it has not been looked at yet" : describe(says));
}

function describe({ stream, durable, sighting, atMs, troubleSinceMs = atMs }: Watched): string {
  const seconds = Math.round((atMs - troubleSinceMs) / 1_000);
  const what = `its durable ${durable} on ${stream}`;
  switch (sighting.kind) {
    case "arrived":
      return "it consumes";
    case "busy":
      return "it is busy: as many handlers run as may";
    case "guard":
      return "a guard holds it back";
    case "empty":
      return "it is idle: nothing waits";
    case "paused":
      return `it is paused until ${isoEnd(sighting.untilMs) ?? "it is resumed"}`;
    case "pending":
      return `${sighting.messages} messages wait for ${what}, handlers are free, and nothing has come for ${seconds} s: does the server refuse its pulls?`;
    case "gone":
      return `${what} is gone, and was for ${seconds} s; the worker makes it anew when it starts again`;
    case "unknown":
      return `whether it consumes cannot be told: ${sighting.why}`;
  }
}

/**
 * What `/healthz` says of the workers of this process; those that start or drain are passed over.
 * @param windowMs for so long nothing may arrive of what waits.
 * @param unfit why the server that there is now, or what is on it, cannot be relied on.
 */
export function healthOf(
  workers: Iterable<WatchedWorker>,
  windowMs: number,
  connected: boolean,
  unfit: readonly Error[] = [],
): HealthReport {
  const running = [...workers].filter(({ state }) => state === "running");
  const verdicts = new Map<string, Verdict>();
  for (const worker of running) {
    for (const [actor, watched] of worker.watched()) {
      // Of several workers with the actor in one process the worst is told.
      if (verdicts.get(actor)?.healthy !== false) verdicts.set(actor, judge(watched, windowMs));
    }
  }
  const report = health(
    verdicts,
    running.flatMap(({ stats }) => stats.unhealthyReasons),
    connected,
  );
  // Not for a restart to mend either.
  const more = [...unfit.map(({ message }) => message), ...running.flatMap(({ edited = [] }) => edited)];
  return more.length === 0 ? report : { ...report, healthy: false, reasons: [...report.reasons, ...more] };
}

/** @param unhealthyReasons what the workers say themselves. */
export function health(
  actors: ReadonlyMap<string, Verdict>,
  unhealthyReasons: readonly string[],
  connected: boolean,
): HealthReport {
  const failing = [...actors].filter(([, { healthy }]) => !healthy);
  const restart = failing.some(([, { stranded }]) => stranded === undefined) || unhealthyReasons.length > 0;
  return {
    healthy: failing.length === 0 && unhealthyReasons.length === 0,
    restart,
    reasons: [
      ...failing.map(([actor, { says }]) => `${actor}: ${says}`),
      ...unhealthyReasons,
      ...(connected
        ? []
        : ["there is no connection to the server, so it cannot be told what waits; starting again would not help"]),
    ],
    actors: Object.fromEntries(actors),
  };
}

/** @param workers those that have not stopped; none in a process that only sends. */
export function readiness(workers: readonly WorkerState[], connected: boolean, closing: boolean): ReadyReport {
  const reasons = [
    ...(connected ? [] : ["there is no connection to the server"]),
    ...(workers.includes("starting") ? ["its actors have not all started"] : []),
    ...(closing || workers.includes("draining") ? ["it drains"] : []),
  ];
  return { ready: reasons.length === 0, reasons };
}
