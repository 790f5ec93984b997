/** Retry budget: retries beyond a fifth of the last minute's runs wait longer, and none is dropped. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RetryBudget } from "../../src/lifecycle/retry-budget.ts";

const maxMs = 600_000;

function stretches(budget: RetryBudget, count: number, nowMs: number): number[] {
  return Array.from({ length: count }, () => budget.stretch(1_000, maxMs, nowMs));
}

describe("a worker", () => {
  test("that runs little may retry fifty times a minute before it waits longer", () => {
    const budget = new RetryBudget();
    expect(new Set(stretches(budget, 50, 5_000))).toEqual(new Set([1_000]));
    expect(budget.stretch(1_000, maxMs, 5_000)).toBeGreaterThan(1_000);
  });

  test("that runs much may retry a fifth of it besides", () => {
    const budget = new RetryBudget();
    for (let n = 0; n < 1_000; n++) budget.run(5_000);
    expect(new Set(stretches(budget, 250, 5_000))).toEqual(new Set([1_000]));
    expect(budget.stretch(1_000, maxMs, 5_000)).toBe(Math.round((1_000 * 251) / 250));
  });

  test("of which everything fails waits in proportion, up to max", () => {
    const budget = new RetryBudget();
    const all = stretches(budget, 10_000, 5_000);
    expect(all.at(99)).toBe(2_000);
    expect(all.at(499)).toBe(10_000);
    expect(all.at(-1)).toBe(200_000);
    expect(budget.stretch(1_000, 1_500, 5_000)).toBe(1_500);
    expect(budget.stretch(2_000, 1_500, 5_000), "what was longer already is not shortened").toBe(2_000);
  });

  test("has its budget back a minute later, and not before", () => {
    const budget = new RetryBudget();
    stretches(budget, 200, 5_000);
    expect(budget.stretch(1_000, maxMs, 64_000)).toBeGreaterThan(1_000);
    expect(budget.stretch(1_000, maxMs, 65_000)).toBe(1_000);
  });

  test("keeps what it ran lately as the minute moves on", () => {
    const budget = new RetryBudget();
    for (let n = 0; n < 1_000; n++) budget.run(1_000);
    expect(new Set(stretches(budget, 250, 60_500))).toEqual(new Set([1_000]));
    const late = new RetryBudget();
    for (let n = 0; n < 1_000; n++) late.run(1_000);
    stretches(late, 50, 61_500);
    expect(late.stretch(1_000, maxMs, 61_500), "those runs are older than a minute now").toBeGreaterThan(1_000);
  });

  test("that slept for hours begins anew", () => {
    const budget = new RetryBudget();
    stretches(budget, 500, 5_000);
    expect(budget.stretch(1_000, maxMs, 20_000_000)).toBe(1_000);
  });
});

test("a delay is never shortened, and never stretched beyond max", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5_000 })), { maxLength: 300 }),
      fc.integer({ min: 0, max: 100_000 }),
      fc.integer({ min: 0, max: 200_000 }),
      (steps, delayMs, ceilingMs) => {
        const budget = new RetryBudget();
        let nowMs = 0;
        for (const [isRun, afterMs] of steps) {
          nowMs += afterMs;
          if (isRun) budget.run(nowMs);
          else {
            const ms = budget.stretch(delayMs, ceilingMs, nowMs);
            if (!Number.isInteger(ms) || ms < delayMs || ms > Math.max(delayMs, ceilingMs)) return false;
          }
        }
        return true;
      },
    ),
  );
});
