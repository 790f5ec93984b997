/**
 * Demand: how many worker processes the fleet needs for what waits and arrives. Pure.
 *
 * By Little's law (J. D. C. Little, "A Proof for the Queuing Formula: L = λW", Operations Research 9, 1961) as many handlers are busy on
 * average as messages arrive in a time, times how long each takes. An actor needs the slots for that, a little idle (`utilisation`), and those
 * that work off what waits within the drain target.
 * 1. A message counts once: as an arrival for the first drain target of its life, then as backlog. Counted as both, a burst would ask for twice
 *    the slots, and again for as long as it takes to forget it.
 * 2. What sleeps until its next attempt or in the schedule is neither, until it is delivered.
 * 3. An actor that is paused or held back by a guard needs what its deliveries take, since more slots would stand idle.
 */

export interface DemandOptions {
  /** In which what waits is to be worked off, ms; also the time over which arrivals are counted. Default 1 min. */
  drainTargetMs: number;
  /** The share of the slots that are to be busy with what arrives. Default 0.8. */
  utilisation: number;
}

export const defaultDemand: DemandOptions = Object.freeze({ drainTargetMs: 60_000, utilisation: 0.8 });

/** Of one actor; over the whole fleet, but for `concurrency` and `running`. */
export interface ActorFacts {
  /** Handlers that may run at once in one process. */
  concurrency: number;
  /** Handlers that run in the processes that were asked. */
  running: number;
  /** Messages that no worker has been handed, and those of them that had waited before `arrivalsPerS` was counted. */
  pending: number;
  oldPending: number;
  /** Messages that came, redeliveries included. */
  arrivalsPerS: number;
  deliveriesPerS: number;
  /** Mean time of a run, ms; undefined while none has ended. */
  serviceMs: number | undefined;
  /** The share of deliveries that are run and not put back at once. */
  runShare: number;
  /** Paused, or slots are idle although messages wait, because a guard lets nothing more through. */
  held: boolean;
}

export interface Demand {
  /** Whole processes, at least 1. */
  processes: number;
  /** The same before it was rounded. */
  need: number;
  /** Handlers at work, by actor. */
  slots: ReadonlyMap<string, number>;
}

/** A need of 2.04 is not three processes: what is measured is not as exact, and the utilisation leaves room. */
const rounding = 0.05;

/** @param ceiling handlers that may run at once in one process, over all its actors. */
export function demandOf(actors: ReadonlyMap<string, ActorFacts>, ceiling: number, options: DemandOptions): Demand {
  const slots = new Map([...actors].map(([actor, facts]) => [actor, slotsOf(facts, options)]));
  const byActor = [...actors].map(([actor, { concurrency }]) => (slots.get(actor) ?? 0) / Math.max(1, concurrency));
  const all = [...slots.values()].reduce((sum, its) => sum + its, 0);
  const need = Math.max(0, all / Math.max(1, ceiling), ...byActor);
  return { processes: wholeProcesses(need), need, slots };
}

/** At least one: where none runs, nobody tells that more are needed. */
export function wholeProcesses(need: number): number {
  return Math.max(1, Math.ceil(need - rounding));
}

function slotsOf(facts: ActorFacts, { drainTargetMs, utilisation }: DemandOptions): number {
  const { running, pending, oldPending, arrivalsPerS, deliveriesPerS, serviceMs, runShare, held } = facts;
  // As long as nobody knows how long a run takes, what runs is all that is known to be needed; where all slots are taken, a little more.
  if (serviceMs === undefined) return held ? running : running / utilisation;
  const busy = (perS: number): number => (perS / 1_000) * runShare * serviceMs;
  if (held) return busy(deliveriesPerS);
  const drain = (messages: number): number => (messages * serviceMs) / drainTargetMs;
  // Where the looks lie further apart than the drain target, what came in between has to go faster than it came.
  return Math.max(busy(arrivalsPerS) / utilisation + drain(oldPending), drain(pending));
}
