/**
 * Health: whether this process should be replaced, and whether it is ready, decided from what was seen of it. Pure.
 * 1. Unhealthy is what a restart would mend: a worker that does not consume although messages wait and handlers are free, a durable that
 *    is gone, handlers that nothing else can end.
 * 2. What cannot be told is healthy: while the server is away every worker would be restarted in vain.
 */
import { isoEnd } from "../kernel/until.ts";
import type { WorkerState } from "../worker/worker.ts";

/** What was seen of one durable at one time. */
export type Sighting =
  /** Something came since the last look; every handler is taken; a guard holds the actor back; nothing waits. */
  | { kind: "arrived" | "busy" | "guard" | "empty" }
  | { kind: "paused"; untilMs: number }
  /** Messages wait, handlers are free, and nothing came since the last look. */
  | { kind: "pending"; messages: number }
  /** There is no such durable any more. */
  | { kind: "gone" }
  /** `why`: as the end of a sentence. */
  | { kind: "unknown"; why: string };

/** What is known of one durable. */
export interface Watched {
  stream: string;
  durable: string;
  sighting: Sighting;
  /** When it was seen. */
  atMs: number;
  /** Since when every look has seen trouble; undefined where the last one did not. */
  troubleSinceMs: number | undefined;
}

export interface Verdict {
  healthy: boolean;
  /** One sentence. */
  says: string;
}

/** The body of `/healthz`. */
export interface HealthReport {
  healthy: boolean;
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

/**
 * Trouble counts from the first of the looks that saw it.
 * @param maxGapMs a longer time between two looks says nothing of what was in between: the process stood still.
 */
export function look(
  before: Watched | undefined,
  { stream, durable }: Pick<Watched, "stream" | "durable">,
  sighting: Sighting,
  nowMs: number,
  maxGapMs: number,
): Watched {
  const trouble = sighting.kind === "pending" || sighting.kind === "gone";
  const goesOn = before?.troubleSinceMs !== undefined && nowMs - before.atMs <= maxGapMs;
  const troubleSinceMs = trouble ? (goesOn ? before.troubleSinceMs : nowMs) : undefined;
  return { stream, durable, sighting, atMs: nowMs, troubleSinceMs };
}

/** @param watched its durables; none where nobody has looked yet. */
export function judge(watched: readonly Watched[], windowMs: number): Verdict {
  const first = (test: (one: Watched) => boolean): Watched | undefined => watched.find(test);
  const inTrouble = (one: Watched): number => (one.troubleSinceMs === undefined ? -1 : one.atMs - one.troubleSinceMs);
  const red = first((one) => inTrouble(one) >= windowMs);
  if (red !== undefined) return { healthy: false, says: describe(red) };
  const suspect = first((one) => one.troubleSinceMs !== undefined);
  const unknown = first(({ sighting }) => sighting.kind === "unknown");
  const says = suspect ?? unknown ?? first(({ sighting }) => sighting.kind !== "empty") ?? watched[0];
  return { healthy: true, says: says === undefined ? "it has not been looked at yet" : describe(says) };
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

/** @param unhealthyReasons what the workers say themselves. */
export function health(
  actors: ReadonlyMap<string, Verdict>,
  unhealthyReasons: readonly string[],
  connected: boolean,
): HealthReport {
  const failing = [...actors].filter(([, { healthy }]) => !healthy);
  return {
    healthy: failing.length === 0 && unhealthyReasons.length === 0,
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
