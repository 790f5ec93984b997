/** A fleet of one host in numbers: a queue, processes that take time to start, and the real demand and decision, at a look every 5 s. */
import { beginAutoscale, decide, defaultAutoscale } from "../../../src/fleet/autoscale.ts";
import type { FleetFacts } from "../../../src/fleet/fleet-facts.ts";
import { DemandWatch } from "../../../src/observe/demand-watch.ts";

export interface World {
  /** Messages a second, at a second. */
  arrivals: (atS: number) => number;
  /** Waiting at the beginning. */
  backlog: number;
  serviceMs: number;
  concurrency: number;
  startMs: number;
  /** CPU time of a run, ms; and the cores there are. */
  cpuMs: number;
  cores: number;
  /** What all can do together, whatever their number: something that they call does no more. */
  mostPerS: number;
  processBytes: number;
  memoryBytes: number;
  min: number;
  max: number;
  drainTargetMs: number;
  /** Share by which arrivals and service times differ from tick to tick. */
  noise: number;
  seed: number;
}

export const quiet: World = {
  arrivals: () => 0,
  backlog: 0,
  serviceMs: 20,
  concurrency: 10,
  startMs: 2_000,
  cpuMs: 0,
  cores: 2,
  mostPerS: Infinity,
  processBytes: 100e6,
  memoryBytes: 100e9,
  min: 1,
  max: 16,
  drainTargetMs: 60_000,
  noise: 0,
  seed: 1,
};

export interface Moment {
  atS: number;
  target: number;
  pending: number;
  cpuUse: number;
  why: string;
}

const tickMs = 100;
const lookMs = 5_000;

export function simulate(given: Partial<World>, untilS: number): Moment[] {
  const world = { ...quiet, ...given };
  const options = { ...defaultAutoscale, min: world.min, max: world.max, shrinkAfterMs: world.drainTargetMs };
  const watch = new DemandWatch({ drainTargetMs: world.drainTargetMs, utilisation: 0.8 });
  const random = randomOf(world.seed);
  const noisy = (): number => 1 + world.noise * (2 * random() - 1);
  let state = beginAutoscale(world.min);
  let readyAt: number[] = Array<number>(world.min).fill(0);
  let pending = world.backlog;
  let handled = 0;
  let handledMs = 0;
  let before = { handled: 0, cpu: 0 };
  let cpu = 0;
  const moments: Moment[] = [];
  for (let atMs = 0; atMs <= untilS * 1_000; atMs += tickMs) {
    pending += (world.arrivals(atMs / 1_000) * noisy() * tickMs) / 1_000;
    const slots = readyAt.filter((ms) => ms <= atMs).length * world.concurrency;
    const serviceMs = world.serviceMs * noisy();
    const could = (slots * tickMs) / serviceMs;
    const most = Math.min((world.mostPerS * tickMs) / 1_000, (world.cores * tickMs) / world.cpuMs);
    const done = Math.min(pending, could, most);
    // What waits for something scarce inside of its handler takes the longer.
    handledMs += done * (could > most && pending > most ? (serviceMs * Math.min(pending, could)) / done : serviceMs);
    pending -= done;
    handled += done;
    cpu += (done * world.cpuMs) / (world.cores * tickMs);
    if (atMs % lookMs !== 0 || atMs === 0) continue;
    const actor = {
      concurrency: world.concurrency,
      running: Math.round(slots * (done / could || 0)),
      handled,
      handledMs,
      deferred: 0,
      guarded: false,
    };
    const load = {
      pid: 1,
      ceiling: world.concurrency,
      cpuMs: 0,
      rssBytes: 0,
      actors: { mail: { ...actor, durables: [] } },
    };
    const queue = { pending: Math.floor(pending), deliveries: Math.floor(handled), paused: false };
    const cpuUse = (cpu - before.cpu) / (lookMs / tickMs);
    const facts: FleetFacts = {
      atMs,
      need: watch.look([load], new Map([["mail", queue]]), atMs)?.need,
      hosts: 1,
      ready: slots / world.concurrency,
      backlogged: queue.pending > 0,
      handledPerS: (handled - before.handled) / (lookMs / 1_000),
      cpuUse,
      cpuPerProcess: cpuUse / Math.max(1, slots / world.concurrency),
      memoryPerProcessBytes: world.processBytes,
      memoryBytes: world.memoryBytes,
    };
    before = { handled, cpu };
    const decision = decide(facts, state, options);
    state = decision.state;
    const { target, why } = decision;
    const missing = Math.max(0, target - readyAt.length);
    readyAt = [...readyAt.slice(0, target), ...Array<number>(missing).fill(atMs + world.startMs)];
    moments.push({ atS: atMs / 1_000, target, pending: queue.pending, cpuUse, why });
  }
  return moments;
}

/** How often it went from growing to shrinking or back. */
export function turns(moments: readonly Moment[]): number {
  const steps = moments.slice(1).map(({ target }, at) => Math.sign(target - (moments[at] as Moment).target));
  const moves = steps.filter((step) => step !== 0);
  return moves.slice(1).filter((step, at) => step !== moves[at]).length;
}

/** The same numbers for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let at = seed;
  return () => {
    at = (at + 0x6d2b79f5) | 0;
    let mixed = Math.imul(at ^ (at >>> 15), 1 | at);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
