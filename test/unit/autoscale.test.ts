/** How many processes a host runs: single decisions, and what they make of simulated queues. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  beginAutoscale,
  decide,
  defaultAutoscale,
  type AutoscaleOptions,
  type AutoscaleState,
} from "../../src/fleet/autoscale.ts";
import type { FleetFacts } from "../../src/fleet/fleet-facts.ts";
import { simulate, turns, type Moment } from "../support/fleet/simulation.ts";

const options: AutoscaleOptions = { ...defaultAutoscale, min: 1, max: 16 };

const calm: FleetFacts = {
  atMs: 0,
  need: 1,
  hosts: 1,
  ready: 1,
  backlogged: false,
  handledPerS: 0,
  cpuUse: 0,
  cpuPerProcess: 0,
  memoryPerProcessBytes: 0,
  memoryBytes: Infinity,
};

/** Looks every 5 s; the targets. All processes are ready at the next look. */
function targetsOf(looks: Partial<FleetFacts>[], more: Partial<AutoscaleOptions> = {}, begin = 1): number[] {
  let state: AutoscaleState = beginAutoscale(begin);
  return looks.map((facts, at) => {
    const decision = decide({ ...calm, atMs: 5_000 * at, ready: state.target, ...facts }, state, {
      ...options,
      ...more,
    });
    state = decision.state;
    return decision.target;
  });
}

const times = (count: number, facts: Partial<FleetFacts>): Partial<FleetFacts>[] => Array(count).fill(facts);

test("it grows where two looks in a row ask for more, or one for twice as many, and at most doubles or adds four", () => {
  expect(targetsOf([{ need: 2 }, { need: 3 }, { need: 2 }, { need: 3 }, { need: 3 }], {}, 2)).toEqual([2, 2, 2, 2, 3]);
  expect(targetsOf([{ need: 16 }], {}, 2)).toEqual([6]);
  expect(targetsOf(times(11, { need: 16 }), {}, 2)).toEqual([6, 6, 6, 6, 12, 12, 12, 12, 16, 16, 16]);
});

test("it shrinks to the most that was needed in a minute, and a need on the edge changes nothing", () => {
  const down = targetsOf([{ need: 8 }, ...times(5, { need: 3.5 }), ...times(20, { need: 1.5 })], {}, 8);
  expect(down.slice(0, 13)).toEqual(Array(13).fill(8));
  expect([down[13], down[17], down[18]]).toEqual([4, 4, 2]);
  const edge = Array.from({ length: 200 }, (_, at) => ({ need: at % 40 < 38 ? 3.9 : 4.1 }));
  expect(new Set(targetsOf(edge, {}, 4).slice(50))).toEqual(new Set([5]));
});

test("hosts that share the work each take their part, rounded up", () => {
  expect(targetsOf(times(2, { need: 7, hosts: 2 }), {}, 3).at(-1)).toBe(4);
});

test("what is not known changes nothing", () => {
  expect(targetsOf(times(30, { need: undefined, cpuUse: 1 }), {}, 5)).toEqual(Array(30).fill(5));
});

test("while the CPU is at its ceiling nothing is added, and near it no more than fits", () => {
  expect(targetsOf(times(30, { need: 16, cpuUse: 0.9 }), {}, 4).at(-1)).toBe(4);
  expect(targetsOf([{ need: 16, cpuUse: 0.8, cpuPerProcess: 0.2 }], {}, 4)).toEqual([5]);
  expect(targetsOf([{ need: 16, cpuUse: 0.5, cpuPerProcess: 0.5 }], {}, 1)).toEqual([2]);
});

test("the memory is for so many, each as large as the largest; where they grow, there are fewer, but never below the least", () => {
  const memory = { memoryBytes: 550, memoryPerProcessBytes: 100 };
  expect(targetsOf(times(30, { need: 16, ...memory }), {}, 4).at(-1)).toBe(5);
  expect(targetsOf(times(2, { need: 16, ...memory, memoryPerProcessBytes: 200 }), {}, 4)).toEqual([2, 2]);
  expect(targetsOf(times(2, { need: 16, ...memory }), { memoryCeilingBytes: 300 }, 4)).toEqual([3, 3]);
  expect(targetsOf(times(2, { need: 16, ...memory }), { memoryCeilingBytes: 50, min: 2 }, 4)).toEqual([2, 2]);
});

test("a step that brought nothing is undone and not tried for 5 minutes, then for twice as long, up to an hour", () => {
  const full = { backlogged: true, handledPerS: 1_000 };
  const targets = targetsOf([...times(3, { ...full, need: 4 }), ...times(2_500, { ...full, need: 16 })], {}, 4);
  const tries = targets.flatMap((target, at) => (target > 4 && targets[at - 1] === 4 ? [5 * at] : []));
  expect(new Set(targets)).toEqual(new Set([4, 8]));
  const pauses = tries.slice(1).map((atS, at) => atS - (tries[at] as number));
  expect(pauses.map((s) => Math.round(s / 60))).toEqual([5, 10, 20, 40, 60, 60]);
});

test("a step is not measured against a time in which the processes had too little to do", () => {
  const idle = { handledPerS: 100, need: 4 };
  const begun = { ...idle, backlogged: true, need: 5 };
  const full = { ...begun, handledPerS: 1_000 };
  // Five do what four did.
  const targets = targetsOf([idle, begun, ...times(8, full)], {}, 4);
  expect([targets[2], targets.at(-1)]).toEqual([5, 4]);
});

test("a step is measured against the processes from which it was made, not against still fewer", () => {
  // Three can do all that there is to do: two do 1,000 a second, four and six 1,400.
  const moments = simulate({ arrivals: () => 2_500, mostPerS: 1_400 }, 1_000);
  const late = moments.filter(({ atS }) => atS > 100 && atS < 350);
  expect(new Set(late.map(({ target }) => target))).toEqual(new Set([4]));
});

test("a step whose processes never get ready is not followed by another", () => {
  expect(targetsOf(times(50, { need: 16, ready: 4 }), {}, 4).at(-1)).toBe(8);
});

test("it says why", () => {
  const why = (facts: Partial<FleetFacts>): string => decide({ ...calm, ...facts }, beginAutoscale(4), options).why;
  expect(why({ need: 5 })).toBe("5 are needed; at the next look too, and they are started");
  expect(why({ need: 9 })).toBe("9 are needed, but a step at most doubles or adds four");
  expect(why({ need: 9, cpuUse: 0.93 })).toBe("9 are needed, but 93 % of the CPU is in use");
  expect(why({ need: 1 })).toBe("1 is needed");
});

// A burst may be younger than its first look; each step takes its time to be judged.
const slackS = 30;

const world = fc.record({
  serviceMs: fc.integer({ min: 5, max: 400 }),
  concurrency: fc.integer({ min: 1, max: 20 }),
  startMs: fc.integer({ min: 200, max: 8_000 }),
  noise: fc.double({ min: 0, max: 0.3, noNaN: true }),
  seed: fc.nat(),
  /** Processes' worth of work: what waits at first, in drain targets, and what comes. */
  backlogFor: fc.double({ min: 0, max: 6, noNaN: true }),
  arrivalsFor: fc.double({ min: 0, max: 6, noNaN: true }),
});

type World = typeof world extends fc.Arbitrary<infer W> ? W : never;

/** Of one process, messages a second. */
const perProcess = ({ concurrency, serviceMs }: World): number => (concurrency * 1_000) / serviceMs;

function within(moments: readonly Moment[], min: number, max: number): boolean {
  return moments.every(({ target }) => target >= min && target <= max);
}

test("a backlog over a steady stream is worked off in time, with one turn at most, and what is left is enough", () => {
  fc.assert(
    fc.property(world, (its) => {
      const arrivals = its.arrivalsFor * perProcess(its);
      const backlog = Math.round(its.backlogFor * 60 * perProcess(its));
      const moments = simulate({ ...its, arrivals: () => arrivals, backlog }, 900);
      const most = Math.max(2, Math.ceil(arrivals / 10));
      const drained = moments.find(({ pending }) => pending <= most)?.atS ?? Infinity;
      const steps = Math.ceil(Math.log2(2 * (its.backlogFor + its.arrivalsFor) + 1));
      expect(drained).toBeLessThan(60 + steps * (20 + its.startMs / 1_000) + slackS);
      expect(turns(moments)).toBeLessThanOrEqual(1);
      expect(within(moments, 1, 16)).toBe(true);
      // Little's law, and no more than the reserve.
      const last = moments.at(-1) as Moment;
      expect(last.target).toBeGreaterThanOrEqual(Math.floor(its.arrivalsFor));
      expect(last.target).toBeLessThanOrEqual(Math.ceil(1.1 * 1.35 * its.arrivalsFor + 0.5) + 1);
      expect(last.pending).toBeLessThanOrEqual(60 * arrivals + 1);
    }),
    { numRuns: 150 },
  );
});

test("each change of a load that comes and goes turns it once at most", () => {
  fc.assert(
    fc.property(world, fc.integer({ min: 200, max: 400 }), (its, halfS) => {
      const arrivals = its.arrivalsFor * perProcess(its);
      const moments = simulate({ ...its, arrivals: (s) => (s % (2 * halfS) < halfS ? arrivals : 0) }, 4 * halfS);
      // On, off, on, off.
      expect(turns(moments)).toBeLessThanOrEqual(4);
    }),
    { numRuns: 100 },
  );
});

test("a sawtooth and bursts never lead out of the bounds, past the memory, or up while the CPU is at its ceiling", () => {
  fc.assert(
    fc.property(world, fc.integer({ min: 20, max: 300 }), fc.boolean(), fc.nat(8), (its, periodS, saw, cpuMs) => {
      const peak = 3 * its.arrivalsFor * perProcess(its);
      const arrivals = (s: number): number =>
        saw ? (peak * (s % periodS)) / periodS : s % periodS < periodS / 5 ? peak : 0;
      const memory = { processBytes: 100e6, memoryBytes: 950e6 };
      const moments = simulate({ ...its, arrivals, cpuMs, ...memory, min: 2, max: 12 }, 900);
      expect(within(moments, 2, 9)).toBe(true);
      const hot = moments
        .slice(1)
        .filter(({ target, cpuUse }, at) => cpuUse >= 0.9 && target > (moments[at] as Moment).target);
      expect(hot).toEqual([]);
    }),
    { numRuns: 100 },
  );
});

test("where something else is short it stays near what that can do, and tries for more ever more seldom", () => {
  fc.assert(
    fc.property(world, fc.integer({ min: 1, max: 6 }), (its, knee) => {
      const mostPerS = knee * perProcess(its);
      const moments = simulate({ ...its, noise: its.noise / 3, arrivals: () => 20 * perProcess(its), mostPerS }, 3_600);
      const settled = moments.filter(({ atS }) => atS > 300);
      // A step at most doubles or adds four, and of one that passes the knee a part has helped.
      const above = settled.filter(({ target }) => target > 2 * knee + 1);
      expect(above.length).toBeLessThan(0.15 * settled.length);
      expect(Math.min(...settled.map(({ target }) => target))).toBeGreaterThanOrEqual(Math.min(knee, 16) / 2);
      expect(turns(settled)).toBeLessThanOrEqual(10);
    }),
    { numRuns: 60 },
  );
});
