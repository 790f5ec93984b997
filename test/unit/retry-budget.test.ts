/** Retry budget: retries beyond a fifth of the last minute's runs wait longer, and none is dropped. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RetryBudget } from "../../src/lifecycle/retry-budget.ts";

function retries(budget: RetryBudget, count: number, nowMs: number): number[] {
  return Array.from({ length: count }, () => budget.retry(nowMs));
}

function ran(count: number, nowMs: number): RetryBudget {
  const budget = new RetryBudget();
  for (let n = 0; n < count; n++) budget.run(nowMs);
  return budget;
}

describe("a worker", () => {
  test("that runs little may retry fifty times a minute before it waits longer", () => {
    const budget = new RetryBudget();
    expect(new Set(retries(budget, 50, 5_000))).toEqual(new Set([1]));
    expect(budget.retry(5_000)).toBe(51 / 50);
  });

  test("that runs much may retry a fifth of it besides", () => {
    const budget = ran(1_000, 5_000);
    expect(new Set(retries(budget, 250, 5_000))).toEqual(new Set([1]));
    expect(budget.retry(5_000)).toBe(251 / 250);
  });

  test("of which everything fails waits in proportion", () => {
    const all = retries(new RetryBudget(), 10_000, 5_000);
    expect([all.at(99), all.at(499), all.at(-1)]).toEqual([2, 10, 200]);
  });

  test("has its budget back a minute later, and not before", () => {
    const budget = new RetryBudget();
    retries(budget, 200, 5_000);
    expect(budget.retry(64_000)).toBeGreaterThan(1);
    expect(budget.retry(65_000)).toBe(1);
  });

  test("keeps what it ran lately as the minute moves on", () => {
    expect(new Set(retries(ran(1_000, 1_000), 250, 60_500))).toEqual(new Set([1]));
    const late = ran(1_000, 1_000);
    retries(late, 50, 61_500);
    expect(late.retry(61_500), "those runs are older than a minute now").toBeGreaterThan(1);
  });

  test("that slept for hours begins anew", () => {
    const budget = new RetryBudget();
    retries(budget, 500, 5_000);
    expect(budget.retry(20_000_000)).toBe(1);
  });
});

test("no delay is ever shortened", () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 5_000 })), { maxLength: 300 });
  fc.assert(
    fc.property(steps, (all) => {
      const budget = new RetryBudget();
      let nowMs = 0;
      return all.every(([isRun, afterMs]) => {
        nowMs += afterMs;
        if (!isRun) return budget.retry(nowMs) >= 1;
        budget.run(nowMs);
        return true;
      });
    }),
  );
});
