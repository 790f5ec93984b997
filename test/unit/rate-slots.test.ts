/** Rate slots: whatever is taken, by whom and when, no span of `per` has more starts than the limit. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  clockMs,
  firstSlotMs,
  freshState,
  hold,
  lateMs,
  nextSize,
  ratePlan,
  slotWindow,
  takeSlots,
} from "../../src/guard/rate-limit/slots.ts";
import { mostIn } from "../support/limits/starts.ts";

/** Up to `most` percent, evenly spread: doubles of fast-check are not. */
const percent = (most: number) => fc.integer({ min: 0, max: most }).map((value) => value / 100);
const limits = fc
  .record({
    limit: fc.integer({ min: 1, max: 60 }),
    per: fc.integer({ min: 100, max: 60_000 }),
    share: percent(100),
  })
  .map(({ limit, per, share }) => ({ limit, per, burst: Math.max(1, Math.round(share * limit)) }));
const nowMs = 1_800_000_000_123.4;

describe("slots", () => {
  test("never let more start in any span than the limit, however late each is and however wrong its clock", () => {
    const step = fc.record({
      /** In parts of the time between two groups. */
      pause: fc.oneof(fc.constant(0), percent(110), percent(2_000)),
      /** It begins after the last slot that was taken, not after the last that was asked for. */
      idle: fc.boolean(),
      count: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 60 })),
      /** Of each start, in [-1/2 clock, late + 1/2 clock]: the ends, or between. */
      skews: fc.array(fc.oneof(fc.constant(0), fc.constant(1), percent(100)), {
        minLength: 1,
      }),
    });
    fc.assert(
      fc.property(limits, fc.array(step, { minLength: 1, maxLength: 30 }), (limit, steps) => {
        const plan = ratePlan(limit);
        let state = freshState(plan);
        let atMs = nowMs;
        const starts: number[] = [];
        let lastMs = nowMs;
        for (const { pause, idle, count, skews } of steps) {
          atMs = (idle ? Math.max(atMs, lastMs) : atMs) + pause * plan.groupMs;
          const taken = takeSlots(plan, state, atMs, count);
          state = taken.state;
          lastMs = taken.slots.at(-1) as number;
          for (const [n, slotMs] of taken.slots.entries()) {
            const skew = skews[n % skews.length] as number;
            starts.push(slotMs - clockMs / 2 + skew * (lateMs + clockMs));
          }
        }
        expect(mostIn(starts, limit.per)).toBeLessThanOrEqual(limit.limit);
      }),
      { numRuns: 1_000 },
    );
  });

  test("give nearly the whole limit to those that take all, where the burst divides it", () => {
    for (const [limit, per, burst] of [
      [100, 1_000, 1],
      [1_000, 1_000, 1],
      [100, 1_000, 10],
      [10, 60_000, 10],
    ] as const) {
      const plan = ratePlan({ limit, per, burst });
      const { slots } = takeSlots(plan, freshState(plan), nowMs, limit * 10);
      const spanMs = (slots.at(-1) as number) - (slots[0] as number) + plan.slotMs;
      expect((slots.length * per) / spanMs / limit).toBeGreaterThan(0.999 * (per / (per + lateMs + clockMs)));
    }
  });

  test("come in groups of the burst, and a group left unfinished can be finished later", () => {
    const plan = ratePlan({ limit: 10, per: 1_000, burst: 5 });
    const first = takeSlots(plan, freshState(plan), nowMs, 3);
    expect(new Set(first.slots).size).toBe(1);
    const second = takeSlots(plan, first.state, nowMs + 100, 3);
    expect(second.slots.map((slotMs) => Math.round(slotMs - nowMs))).toEqual([100, 100, 620]);
    const rested = takeSlots(plan, first.state, nowMs + 1_000, 5);
    expect(new Set(rested.slots).size).toBe(1);
  });

  test("are ascending, and none is before now, before one that was taken, or before the end of a penalty", () => {
    fc.assert(
      fc.property(
        limits,
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 90_000 }),
        (limit, count, heldForMs) => {
          const plan = ratePlan(limit);
          const one = takeSlots(plan, freshState(plan), nowMs, count);
          const held = hold(one.state, nowMs + heldForMs);
          const other = takeSlots(plan, held, nowMs, count);
          const all = [...one.slots, ...other.slots];
          expect(all).toEqual(all.toSorted((a, b) => a - b));
          expect(all[0]).toBeGreaterThanOrEqual(nowMs);
          expect(other.slots[0]).toBeGreaterThanOrEqual(nowMs + heldForMs);
          expect(other.slots[0]).toBeGreaterThanOrEqual(firstSlotMs(held, nowMs));
        },
      ),
    );
  });

  test("may be used for less long where the clock is further off, and at last not at all", () => {
    expect(slotWindow(1)).toEqual({ fromMs: 0, toMs: lateMs });
    expect(slotWindow(clockMs / 2)).toEqual({ fromMs: 0, toMs: lateMs });
    expect(slotWindow(15)).toEqual({ fromMs: 5, toMs: 15 });
    const { fromMs, toMs } = slotWindow(25);
    expect(fromMs).toBeGreaterThan(toMs);
    expect(slotWindow(Infinity).fromMs).toBe(Infinity);
  });
});

describe("blocks", () => {
  const plan = ratePlan({ limit: 100, per: 1_000, burst: 1 });

  test("cover no more than 100 ms, and at least one slot", () => {
    expect(plan.maxBlock).toBe(9);
    expect(ratePlan({ limit: 1_000, per: 1_000, burst: 1 }).maxBlock).toBe(96);
    expect(ratePlan({ limit: 1, per: 60_000, burst: 1 }).maxBlock).toBe(1);
    expect(ratePlan({ limit: 10, per: 60_000, burst: 10 }).maxBlock).toBe(10);
  });

  test("grow while all of them is used and more is wanted, and shrink to what was used", () => {
    const sizes = (use: { size: number; used: number; hungry?: boolean; sinceLastMs?: number }): number =>
      nextSize({ hungry: false, sinceLastMs: 5_000, ...use }, plan);
    expect(sizes({ size: 2, used: 2, hungry: true })).toBe(4);
    expect(sizes({ size: 8, used: 8, hungry: true })).toBe(9);
    expect(sizes({ size: 2, used: 2, sinceLastMs: 20 })).toBe(4);
    expect(sizes({ size: 2, used: 2 })).toBe(2);
    expect(sizes({ size: 8, used: 3, hungry: true })).toBe(3);
    expect(sizes({ size: 8, used: 0, hungry: true })).toBe(1);
  });
});
