/** Hold-ups: why nobody takes an actor's messages now. Pure: read off what the fleet says of itself. */
import { isoEnd } from "../kernel/until.ts";
import type { BreakerFrame, HoldUp, LimitFrame, WorkerRef } from "./api.ts";
import type { ActorDurable } from "./durables.ts";
import { pausedUntilMs } from "./pause.ts";
import type { WorkerStatus } from "./workers.ts";

/** What the fleet says of itself at one moment. */
export interface FleetView {
  durables: readonly ActorDurable[];
  workers: readonly WorkerStatus[];
  breakers: readonly BreakerFrame[];
  limits: readonly LimitFrame[];
}

/** In the order in which to look into them. */
export function holdUpsOf({ durables, workers, breakers, limits }: FleetView, actor: string): HoldUp[] {
  const found: HoldUp[] = [];
  const pausedMs = pausedUntilMs(durables.filter((durable) => durable.actor === actor));
  const until = isoEnd(pausedMs);
  if (pausedMs !== undefined) found.push({ why: "paused", ...(until !== undefined && { until }) });

  const own = workers.flatMap(({ snapshot }) => {
    const perActor = snapshot?.perActor[actor];
    return snapshot === undefined || perActor === undefined || snapshot.state === "draining"
      ? []
      : [{ snapshot, perActor }];
  });
  if (own.length === 0) found.push({ why: "no-worker", silent: silentOf(workers, actor) });
  const full = own.every(
    ({ snapshot, perActor }) => perActor.running >= perActor.concurrency || snapshot.running >= snapshot.concurrency,
  );
  if (own.length > 0 && full) {
    const sum = (of: "running" | "concurrency"): number => own.reduce((total, { perActor }) => total + perActor[of], 0);
    found.push({ why: "busy", workers: own.length, running: sum("running"), concurrency: sum("concurrency") });
  }

  for (const { name, state, byHand, probeAt, actors } of breakers) {
    if (state !== "open" || !actors.includes(actor)) continue;
    found.push({ why: "breaker-open", name, byHand, ...(probeAt !== undefined && { probeAt }) });
  }
  for (const limit of limits) if (limit.actors.includes(actor)) found.push(...limitHoldUp(limit));
  return found;
}

/** What a limit by key says of one message only its worker knows, and says when it puts it back. */
function limitHoldUp(frame: LimitFrame): HoldUp[] {
  const { name } = frame;
  if (frame.kind === "rate") {
    const { heldUntil, nextAt } = frame;
    const until = heldUntil ?? nextAt;
    return until === undefined ? [] : [{ why: "rate-limited", name, until, held: heldUntil !== undefined }];
  }
  const { limit, inUse = 0, waiting = 0 } = frame;
  return inUse < limit ? [] : [{ why: "concurrency-limited", name, limit, inUse, waiting }];
}

/** Workers of an actor that have a lease and do not answer: one of them may hold a message that nobody else has. */
export function silentOf(workers: readonly WorkerStatus[], actor: string): WorkerRef[] {
  return workers
    .filter(({ state, identity }) => state === "silent" && identity.actors.includes(actor))
    .map(({ identity: { id, host, pid } }) => ({ id, host, pid }));
}
