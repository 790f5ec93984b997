/** How many processes a fleet needs, and the rates that this is made from. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Queue } from "../../src/observe/backlog.ts";
import { defaultDemand, demandOf, type ActorFacts } from "../../src/observe/demand.ts";
import { DemandWatch } from "../../src/observe/demand-watch.ts";
import type { ActorLoad, ProcessLoad } from "../../src/observe/load.ts";

const idle: ActorFacts = {
  concurrency: 10,
  running: 0,
  pending: 0,
  oldPending: 0,
  arrivalsPerS: 0,
  deliveriesPerS: 0,
  serviceMs: 20,
  runShare: 1,
  held: false,
};

function processesFor(facts: Partial<ActorFacts>, ceiling = 10): number {
  return demandOf(new Map([["mail", { ...idle, ...facts }]]), ceiling, defaultDemand).processes;
}

test("arrivals take the slots of Little's law and a quarter more; what waits takes those that work it off in a minute", () => {
  // 1,000 a second × 20 ms keep 20 handlers busy: 25 slots.
  expect(processesFor({ arrivalsPerS: 1_000 })).toBe(3);
  // 60,000 × 20 ms ÷ 60 s.
  expect(processesFor({ pending: 60_000, oldPending: 60_000 })).toBe(2);
  expect(processesFor({ arrivalsPerS: 1_000, pending: 60_000, oldPending: 60_000 })).toBe(5);
  // What came since the window began is among the arrivals.
  expect(processesFor({ arrivalsPerS: 1_000, pending: 60_000 })).toBe(3);
  expect(processesFor({ arrivalsPerS: 1_000, runShare: 0.5 })).toBe(2);
});

test("where nothing is to be done one process stays, and a hair more than whole ones is no further one", () => {
  expect(processesFor({})).toBe(1);
  expect(processesFor({ pending: 61_000, oldPending: 61_000 })).toBe(2);
  expect(processesFor({ pending: 63_000, oldPending: 63_000 })).toBe(3);
});

test("the actor that is shortest of slots decides, or all of them together where the ceiling is lower than their sum", () => {
  const both = new Map([
    ["few", { ...idle, concurrency: 2, arrivalsPerS: 240 }],
    ["many", { ...idle, concurrency: 100, arrivalsPerS: 800 }],
  ]);
  expect(demandOf(both, 102, defaultDemand).processes).toBe(3);
  expect(demandOf(both, 5, defaultDemand).processes).toBe(6);
});

test("what a guard holds back or a pause stops asks for what it gets, however much waits", () => {
  expect(processesFor({ held: true, pending: 1e6, oldPending: 1e6, arrivalsPerS: 5_000, deliveriesPerS: 900 })).toBe(2);
  expect(processesFor({ held: true, serviceMs: undefined, pending: 1e6, running: 10 })).toBe(1);
});

test("until a run has ended nobody knows how long one takes: full processes ask for a quarter more", () => {
  expect(processesFor({ serviceMs: undefined, pending: 1e6, oldPending: 1e6, running: 40 })).toBe(5);
  expect(processesFor({ serviceMs: undefined, pending: 1e6, oldPending: 1e6 })).toBe(1);
});

const load = (more: Partial<ActorLoad> = {}): ActorLoad => ({
  concurrency: 10,
  running: 0,
  handled: 0,
  handledMs: 0,
  deferred: 0,
  guarded: false,
  durables: [],
  ...more,
});

function processOf(more: Partial<ActorLoad> = {}, pid = 1): ProcessLoad {
  return { pid, ceiling: 10, cpuMs: 0, rssBytes: 0, actors: { mail: load(more) } };
}

const queueOf = (more: Partial<Queue> = {}): Map<string, Queue> =>
  new Map([["mail", { pending: 0, deliveries: 0, paused: false, ...more }]]);

/** Looks every 5 s at what `at` says; the need at each, unrounded. */
function watch(untilS: number, at: (s: number) => { loads: ProcessLoad[]; queue: Partial<Queue> }): number[] {
  const demand = new DemandWatch(defaultDemand);
  const needs: number[] = [];
  for (let s = 0; s <= untilS; s += 5) {
    const { loads, queue } = at(s);
    needs.push(demand.look(loads, queueOf(queue), s * 1_000)?.need ?? Number.NaN);
  }
  return needs;
}

test("a steady stream asks for what it takes once it was watched for a minute, and for no more", () => {
  const needs = watch(120, (s) => ({
    loads: [processOf({ handled: 1_000 * s, handledMs: 20_000 * s })],
    queue: { deliveries: 1_000 * s },
  }));
  expect(needs.every((need) => need <= 2.5 + 1e-9)).toBe(true);
  expect(needs.slice(12).every((need) => Math.abs(need - 2.5) < 1e-9)).toBe(true);
});

test("a burst is counted once while it is worked off, and forgotten a minute after it came", () => {
  // 60,000 come in one moment at 17 s, and are worked off at 1,000 a second.
  const needs = watch(150, (s) => {
    const done = s < 17 ? 0 : Math.min(60_000, 1_000 * (s - 17));
    return {
      loads: [processOf({ handled: 100 + done, handledMs: 20 * (100 + done) })],
      queue: { pending: s < 17 ? 0 : 60_000 - done, deliveries: done },
    };
  });
  expect(needs.slice(4, 16).map((need) => need.toFixed(2))).toEqual(Array(12).fill("2.50"));
  expect(Math.max(...needs)).toBeLessThan(2.51);
  expect(needs.slice(17).every((need) => need === 0)).toBe(true);
});

test("redeliveries are work as well, and what sleeps until then is not", () => {
  const asleep = watch(60, () => ({
    loads: [processOf({ handled: 1_000, handledMs: 1e6 })],
    queue: { deliveries: 1_000 },
  }));
  expect(asleep.every((need) => need === 0)).toBe(true);
  const again = watch(120, (s) => ({
    loads: [processOf({ handled: 1_000 * s, handledMs: 20_000 * s })],
    queue: { pending: 0, deliveries: 500 + 1_000 * s },
  }));
  expect(again.at(-1)).toBeCloseTo(2.5, 9);
});

test("the time of a run is that of the last minute's, and the last known one where none ended", () => {
  const needs = watch(300, (s) => {
    // 20 ms each for 100 s, then 40 ms each for 100 s, then nothing.
    const [fast, slow] = [Math.min(s, 100), Math.min(Math.max(0, s - 100), 100)];
    return {
      loads: [processOf({ handled: 100 * (fast + slow), handledMs: 2_000 * fast + 4_000 * slow })],
      queue: { pending: 60_000 },
    };
  });
  expect(needs[10]).toBeCloseTo(2, 9);
  expect(needs[34]).toBeCloseTo(4, 9);
  expect(needs[60]).toBeCloseTo(4, 9);
});

test("processes that come, go and begin anew, also under the same id, count what they did once", () => {
  const demand = new DemandWatch(defaultDemand);
  const serviceOf = (loads: ProcessLoad[], s: number): number =>
    (demand.look(loads, queueOf({ pending: 60_000 }), s * 1_000)?.need ?? Number.NaN) * 10;
  expect(serviceOf([processOf({ handled: 100, handledMs: 1_000 })], 0)).toBeCloseTo(10, 9);
  expect(
    serviceOf([processOf({ handled: 100, handledMs: 1_000 }), processOf({ handled: 10, handledMs: 400 }, 2)], 5),
  ).toBeCloseTo(40, 9);
  // 1 began anew, 2 is gone: 10 runs of 40 ms and 10 of 20 ms.
  expect(serviceOf([processOf({ handled: 10, handledMs: 200 })], 10)).toBeCloseTo(30, 9);
  // 2 was late, and has done nothing since.
  expect(
    serviceOf([processOf({ handled: 10, handledMs: 200 }), processOf({ handled: 10, handledMs: 400 }, 2)], 15),
  ).toBeCloseTo(30, 9);
});

test("a durable that was made anew, or emptied by hand, is no negative rate", () => {
  const demand = new DemandWatch(defaultDemand);
  const did = processOf({ handled: 10, handledMs: 200 });
  const needAt = (s: number, queue: Partial<Queue>): number | undefined =>
    demand.look([did], queueOf(queue), s * 1_000)?.need;
  needAt(0, { pending: 90_000, deliveries: 5_000 });
  expect(needAt(5, { pending: 0, deliveries: 5_000 })).toBe(0);
  expect(needAt(10, { pending: 30_000, deliveries: 0 })).toBeCloseTo(1, 9);
  expect(needAt(15, { pending: 30_000, deliveries: 0 })).toBeCloseTo(1, 9);
});

test("a guard holds back where slots are idle and messages wait; where slots are busy these are what is short", () => {
  // Ten slots in each of two processes; every 5 s so many runs of 20 ms end in each, of 2,500 that could.
  const needOf = (each: number, guarded: boolean, pending: number): number | undefined => {
    const demand = new DemandWatch(defaultDemand);
    const look = (n: number) => {
      const did = { handled: 100 + each * n, handledMs: 20 * (100 + each * n), running: 5 };
      const loads = [processOf(did), processOf({ ...did, guarded }, 2)];
      return demand.look(loads, queueOf({ pending, deliveries: 2 * each * n }), 5_000 * n)?.need;
    };
    look(0);
    return look(1);
  };
  expect(needOf(500, true, 600_000)).toBeLessThan(1);
  expect(needOf(500, false, 600_000)).toBeGreaterThan(20);
  expect(needOf(2_000, true, 600_000)).toBeGreaterThan(20);
  expect(needOf(500, true, 0)).toBe(needOf(500, false, 0));
});

test("where runs are longer than the time between looks, it counts how many are under way", () => {
  const needOf = (running: number): number | undefined => {
    const demand = new DemandWatch(defaultDemand);
    const did = { handled: 10, handledMs: 600_000, guarded: true, running };
    demand.look([processOf(did)], queueOf({ pending: 100 }), 0);
    return demand.look([processOf(did)], queueOf({ pending: 100 }), 5_000)?.need;
  };
  expect([needOf(4), needOf(10)]).toEqual([0, 10]);
});

test("two who look with the same queues get the same, and do not stand in each other's way", () => {
  const demand = new DemandWatch(defaultDemand);
  const queues = queueOf({ pending: 60_000 });
  const first = demand.look([processOf({ handled: 10, handledMs: 200 })], queues, 0);
  expect(demand.look([processOf({ handled: 99, handledMs: 99 })], queues, 1)).toBe(first);
});

test("looks that lie further apart than the drain target still have what waits worked off within it", () => {
  const demand = new DemandWatch({ ...defaultDemand, drainTargetMs: 10_000 });
  const did = processOf({ handled: 10, handledMs: 200 });
  demand.look([did], queueOf(), 0);
  expect(demand.look([did], queueOf({ pending: 10_000 }), 60_000)?.need).toBeCloseTo(2, 9);
});

test("what is not known is not guessed", () => {
  const demand = new DemandWatch(defaultDemand);
  expect(demand.look([processOf()], new Map(), 0)).toBeUndefined();
  expect(demand.look([], queueOf(), 5_000)).toBeUndefined();
});

test("whatever the counts and clocks do, it is a number of at least one", () => {
  const whole = fc.nat(1e9);
  const step = fc.record({
    ms: fc.integer({ min: -1e6, max: 1e6 }),
    queue: fc.record({ pending: whole, deliveries: whole, paused: fc.boolean() }),
    load: fc.record({ handled: whole, handledMs: whole, deferred: whole, running: whole, guarded: fc.boolean() }),
    pid: fc.nat(2),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const demand = new DemandWatch(defaultDemand);
      let nowMs = 0;
      for (const { ms, queue, load: its, pid } of steps) {
        nowMs += ms;
        const found = demand.look([processOf(its, pid)], queueOf(queue), nowMs);
        expect(found?.processes).toBeGreaterThanOrEqual(1);
        expect(Number.isSafeInteger(found?.processes)).toBe(true);
        expect([...(found?.slots.values() ?? [])].every((slots) => slots >= 0)).toBe(true);
      }
    }),
  );
});
