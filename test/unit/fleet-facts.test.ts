/** What the autoscaler decides by, out of two looks. */
import { expect, test } from "vitest";
import { factsOf, type Gathered } from "../../src/fleet/fleet-facts.ts";
import type { ProcessLoad } from "../../src/observe/load.ts";

function processOf(pid: number, handled: number, cpuMs = 0): ProcessLoad {
  const mail = { concurrency: 1, running: 0, handled, handledMs: 0, deferred: 0, guarded: false, durables: [] };
  return { pid, ceiling: 1, cpuMs, rssBytes: 100 * pid, actors: { mail } };
}

function gathered(atMs: number, loads: ProcessLoad[], pending = 0, paused = false): Gathered {
  const host = { cpuUse: 0.5, cores: 2, memoryBytes: 10_000, memoryUsedBytes: 2_000 };
  const queues = new Map([["mail", { pending, deliveries: 0, paused }]]);
  return { atMs, need: 2.5, hosts: 1, ready: loads.length, loads, queues, host };
}

test("rates are those between the looks; a process that is new, or has begun anew, counts from nothing", () => {
  const before = gathered(0, [processOf(1, 100, 1_000), processOf(2, 500, 5_000)]);
  const now = gathered(10_000, [processOf(1, 300, 3_000), processOf(2, 50, 500), processOf(3, 50, 500)]);
  expect(factsOf(now, before, 0.1)).toMatchObject({
    handledPerS: 30,
    // 3 s of 20 s, by three.
    cpuPerProcess: expect.closeTo(0.05, 9) as number,
    memoryPerProcessBytes: 300,
    memoryBytes: 10_000 - 1_000 - 1_400,
    need: 2.5,
    ready: 3,
  });
});

test("the first look knows no rates", () => {
  expect(factsOf(gathered(5, [processOf(1, 100, 1_000)]), undefined, 0)).toMatchObject({
    handledPerS: 0,
    cpuPerProcess: 0,
  });
  expect(factsOf(gathered(5, [], 7), undefined, 0)).toMatchObject({ memoryPerProcessBytes: 0, backlogged: true });
});

test("what a pause holds back is no backlog", () => {
  const backlogged = (now: Gathered): boolean => factsOf(now, undefined, 0).backlogged;
  expect(backlogged(gathered(0, [processOf(1, 0)], 5))).toBe(true);
  expect(backlogged(gathered(0, [processOf(1, 0)], 0))).toBe(false);
  expect(backlogged(gathered(0, [processOf(1, 0)], 5, true))).toBe(false);
});
