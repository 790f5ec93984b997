/** The record of a concurrency limit: whatever processes claim, the permits that count never exceed the limit, and nobody is passed over. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { settleClaim, type Claim, type ConcurrencyRecord } from "../../src/guard/concurrency-limit/record.ts";

const leaseMs = 10_000;
const exact = (atMs: number) => ({ atMs, errorMs: 0 });

function claim(holder: string, keep: number, want: number, limit = 2): Claim {
  return { holder, limit, keep, want, wantUntilMs: 1_000, pinned: false, leaseMs };
}

/** Applies claims one after another, all at time 0. */
function settleAll(...claims: Claim[]): { record: ConcurrencyRecord; granted: number[] } {
  let record: ConcurrencyRecord | undefined;
  const granted: number[] = [];
  for (const one of claims) {
    const settled = settleClaim(record, one, exact(0));
    record = settled.record;
    granted.push(settled.granted);
  }
  return { record: record as ConcurrencyRecord, granted };
}

test("Permits that count never exceed the limit, and who has one knows it", () => {
  const step = fc.record({
    who: fc.integer({ min: 0, max: 3 }),
    release: fc.nat(3),
    want: fc.nat(4),
    afterMs: fc.constantFrom(0, 1, 500, 4_000, 11_000),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 60 }), (limit, steps) => {
      let record: ConcurrencyRecord | undefined;
      let nowMs = 0;
      /** What each process counts on, and until when: its own deadline lies before that of its lease. */
      const held = [0, 1, 2, 3].map(() => ({ permits: 0, untilMs: 0 }));
      for (const { who, release, want, afterMs } of steps) {
        nowMs += afterMs;
        const own = held[who] as { permits: number; untilMs: number };
        const has = nowMs < own.untilMs ? own.permits : 0;
        const keep = Math.max(0, has - release);
        const wantUntilMs = nowMs + 1_000;
        const settled = settleClaim(
          record,
          { ...claim(`p${who}`, keep, want, limit), wantUntilMs },
          { atMs: nowMs, errorMs: 5 },
        );
        expect(settled.kept).toBe(keep);
        if (settled.write) {
          record = settled.record;
          own.untilMs = nowMs + leaseMs - 1_000;
        }
        // Nothing is granted that KV is not told of.
        expect(settled.write ? 0 : settled.granted).toBe(0);
        own.permits = settled.kept + settled.granted;
        const counting = held.filter((one) => nowMs < one.untilMs).reduce((sum, { permits }) => sum + permits, 0);
        expect(counting).toBeLessThanOrEqual(limit);
      }
    }),
    { numRuns: 500 },
  );
});

describe("those who wait", () => {
  test("get what comes free in the order in which they came", () => {
    const { record, granted } = settleAll(claim("a", 0, 2), claim("b", 0, 1), claim("c", 0, 1), claim("a", 1, 0));
    expect(granted).toEqual([2, 0, 0, 0]);
    // One is free now: c, and a once more, leave it to b.
    expect(settleClaim(record, claim("c", 0, 1), exact(1)).granted).toBe(0);
    expect(settleClaim(record, claim("a", 1, 1), exact(1)).granted).toBe(0);
    expect(settleClaim(record, claim("b", 0, 1), exact(1)).granted).toBe(1);
  });

  test("hold nobody back once their wait is over", () => {
    const { record } = settleAll(claim("a", 0, 2), claim("b", 0, 1), claim("a", 1, 0));
    expect(settleClaim(record, claim("c", 0, 1), exact(1_000)).granted).toBe(0);
    expect(settleClaim(record, claim("c", 0, 1), exact(1_001)).granted).toBe(1);
  });

  test("write nothing where nothing changes", () => {
    const { record } = settleAll(claim("a", 0, 2), claim("b", 0, 1));
    expect(settleClaim(record, claim("b", 0, 1), exact(1)).write).toBe(false);
    expect(settleClaim(record, claim("a", 2, 0), exact(1)).write).toBe(false);
    expect(settleClaim(record, claim("a", 2, 0), exact(4_000)).write).toBe(true);
  });
});

test("A dead holder's permits come free when its lease is over for certain", () => {
  const { record } = settleAll(claim("a", 0, 2));
  const at = (atMs: number, errorMs: number): number =>
    settleClaim(record, claim("b", 0, 1), { atMs, errorMs }).granted;
  expect(at(leaseMs, 0)).toBe(0);
  expect(at(leaseMs + 1, 0)).toBe(1);
  expect(at(leaseMs + 1, 20)).toBe(0);
});

test("What KV does not know of is lost", () => {
  expect(settleClaim(undefined, claim("a", 2, 0), exact(0)).kept).toBe(0);
  const { record } = settleAll(claim("a", 0, 1));
  expect(settleClaim(record, claim("a", 2, 0), exact(1)).kept).toBe(1);
});

test("Of two limits the smaller holds while both are in use, then the own", () => {
  const { record, granted } = settleAll(claim("a", 0, 1, 1), claim("b", 0, 3, 3));
  expect(granted).toEqual([1, 0]);
  expect(record.limit).toBe(1);
  const { record: later } = settleClaim(record, claim("a", 0, 0, 1), exact(1));
  const settled = settleClaim(later, claim("b", 0, 3, 3), exact(2));
  expect(settled.granted).toBe(3);
  expect(settled.record.limit).toBe(3);
});
