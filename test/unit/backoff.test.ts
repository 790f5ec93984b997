/** Backoff: how long a failed message waits, for every kind, jitter and throw of the dice. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RetryConfig } from "../../src/actor/config.ts";
import { backoffMs, retryHorizonMs, spreadMs } from "../../src/lifecycle/backoff.ts";
import { resolved } from "../support/resolved.ts";

const error = new Error("it broke");
const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const attempt = fc.integer({ min: 1, max: 2_000 });
/** Base and max: the one is at most the other. */
const bounds = fc
  .tuple(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 10_000_000 }))
  .map(([base, more]) => [base, base + more] as const);

function delay(retry: RetryConfig, nth: number, random = 1 - Number.EPSILON, lastDelayMs = 0, stretch = 1): number {
  return backoffMs(resolved({ retry }).retry, { attempt: nth, lastDelayMs, error }, () => random, stretch);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

describe("without jitter", () => {
  const jitter = "none";

  test("exponential doubles up to the ceiling", () => {
    expect(upTo(6).map((n) => delay({ jitter, base: 100, max: 1_000 }, n))).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  test("linear grows by the base, fixed does not grow", () => {
    expect(upTo(4).map((n) => delay({ jitter, backoff: "linear", base: 100, max: 350 }, n))).toEqual([
      100, 200, 300, 350,
    ]);
    expect(upTo(4).map((n) => delay({ jitter, backoff: "fixed", base: 100 }, n))).toEqual([100, 100, 100, 100]);
  });

  test("a function decides by attempt and error, within the ceiling; what is no delay counts as the base", () => {
    const calls: unknown[] = [];
    const backoff = (nth: number, given: Error): number => {
      calls.push([nth, given]);
      return nth * 7;
    };
    expect(upTo(4).map((n) => delay({ jitter, backoff, max: 20 }, n))).toEqual([7, 14, 20, 20]);
    expect(calls[1]).toEqual([2, error]);
    for (const bad of [Number.NaN, -1, Infinity, "soon" as never, undefined as never]) {
      expect(delay({ jitter, backoff: () => bad, base: 33 }, 1)).toBe(33);
    }
  });

  test("the delays never shrink from one attempt to the next", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("exponential", "linear", "fixed"),
        bounds,
        attempt,
        (backoff, [baseMs, maxMs], nth) => {
          const retry: RetryConfig = { backoff, jitter, base: baseMs, max: maxMs };
          return delay(retry, nth) <= delay(retry, nth + 1);
        },
      ),
    );
  });
});

test("a ceiling below the usual first delay is the first delay too", () => {
  expect(upTo(2).map((n) => delay({ jitter: "none", max: 300 }, n))).toEqual([300, 300]);
});

test("full jitter lies between nothing and the delay without jitter, and reaches both", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("exponential", "linear", "fixed"),
      bounds,
      attempt,
      dice,
      (backoff, [baseMs, maxMs], nth, random) => {
        const retry: RetryConfig = { backoff, base: baseMs, max: maxMs };
        const ms = delay(retry, nth, random);
        return ms >= 0 && ms <= delay({ ...retry, jitter: "none" }, nth);
      },
    ),
  );
  expect(delay({ base: 100 }, 3, 0)).toBe(0);
  expect(delay({ base: 100 }, 3, 0.5)).toBe(200);
  expect(delay({ base: 100 }, 3)).toBe(400);
});

test("decorrelated jitter lies between the base and three times the last delay, of which the base is the first", () => {
  fc.assert(
    fc.property(
      bounds,
      attempt,
      dice,
      fc.integer({ min: 0, max: 1_000_000 }),
      ([baseMs, maxMs], nth, random, lastDelayMs) => {
        const ms = delay({ jitter: "decorrelated", base: baseMs, max: maxMs }, nth, random, lastDelayMs);
        return ms >= Math.min(baseMs, maxMs) && ms <= Math.min(maxMs, 3 * Math.max(baseMs, lastDelayMs));
      },
    ),
  );
  expect(delay({ jitter: "decorrelated", base: 100 }, 1, 0.5, 0)).toBe(200);
  expect(delay({ jitter: "decorrelated", base: 100 }, 2, 0.5, 100)).toBe(200);
});

test("an overdrawn budget widens what the dice choose from, so that not even those at the ceiling come back together", () => {
  const wide = (jitter: "full" | "decorrelated" | "none", random: number): number =>
    delay({ jitter, base: 100, max: 1_000 }, 1, random, 0, 30);
  expect([0, 0.25, 0.5, 0.75].map((random) => wide("full", random))).toEqual([0, 250, 500, 750]);
  expect([0, 0.5].map((random) => wide("decorrelated", random))).toEqual([100, 550]);
  expect(wide("none", 0.5)).toBe(1_000);
  expect(delay({ jitter: "none", base: 100, max: 1_000 }, 1, 0, 0, 4)).toBe(400);
});

test("every delay is a whole number of milliseconds between 0 and max", () => {
  fc.assert(
    fc.property(
      fc.constantFrom("exponential", "linear", "fixed"),
      fc.constantFrom("full", "decorrelated", "none"),
      bounds,
      attempt,
      dice,
      (backoff, jitter, [baseMs, maxMs], nth, random) => {
        const ms = delay({ backoff, jitter, base: baseMs, max: maxMs }, nth, random, baseMs);
        return Number.isInteger(ms) && ms >= 0 && ms <= maxMs;
      },
    ),
  );
  expect(delay({ backoff: () => 0.4, jitter: "none" }, 1)).toBe(0);
});

test("what a handler asks for is never shortened, and spread by at most a fifth", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10_000_000 }), dice, (delayMs, random) => {
      const ms = spreadMs(delayMs, () => random);
      return Number.isInteger(ms) && ms >= delayMs && ms <= Math.round(delayMs * 1.2);
    }),
  );
  expect(spreadMs(1_000, () => 0.5)).toBe(1_100);
});

test("the horizon is the sum of the longest delays, however many there may be", () => {
  const horizon = (retry: RetryConfig): number => retryHorizonMs(resolved({ retry }).retry);
  expect(horizon({})).toBe(1_000 + 2_000 + 4_000 + 8_000);
  expect(horizon({ attempts: 1 })).toBe(0);
  expect(horizon({ attempts: 4, backoff: "linear", base: 100, max: 250 })).toBe(100 + 200 + 250);
  expect(horizon({ attempts: 4, jitter: "decorrelated", base: 100, max: 1_000 })).toBe(300 + 900 + 1_000);
  expect(horizon({ attempts: 3, backoff: () => 5, max: 700 })).toBe(2 * 700);
  for (const backoff of ["fixed", "linear", "exponential"] as const) {
    expect(horizon({ attempts: 1_000_000_001, backoff, base: 0, max: 1_000 })).toBe(0);
    expect(horizon({ attempts: 1_000_000_001, backoff, base: 500, max: 500 })).toBe(500 * 1_000_000_000);
  }
});
