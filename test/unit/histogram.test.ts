/** Histograms, and the buckets that Prometheus gets of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  addHistograms,
  emptyHistogram,
  Histogram,
  quantileOf,
  sinceHistogram,
  timeBoundsMs,
  totalOf,
  type HistogramSnapshot,
} from "../../src/kernel/histogram.ts";
import { bucketSamples, coarseTimes, fineTimes } from "../../src/observe/buckets.ts";

function of(values: readonly number[]): HistogramSnapshot {
  const histogram = new Histogram(timeBoundsMs);
  for (const value of values) histogram.record(value);
  return histogram.snapshot();
}

/** 0.01 ms to about a month, evenly over the powers of ten. */
const time = fc.double({ min: -2, max: 9.4, noNaN: true }).map((power) => 10 ** power);
const times = fc.array(time, { minLength: 1, maxLength: 200 });

/** A sum's last digits depend on the order of its parts. */
function rounded({ buckets, sum }: HistogramSnapshot): unknown {
  return { buckets, sum: Number(sum.toPrecision(9)) };
}

/** Where a value belongs. */
function placeOf(value: number): number {
  const place = timeBoundsMs.findIndex((bound) => value <= bound);
  return place === -1 ? timeBoundsMs.length : place;
}

test("a quantile lies in the bucket of the true one", () => {
  fc.assert(
    fc.property(times, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, share) => {
      const truth = values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1] as number;
      const told = quantileOf(of(values), share) as number;
      // What lies beyond the last bound is told as that bound.
      const last = timeBoundsMs.at(-1) as number;
      const [lower, upper] = [timeBoundsMs[placeOf(truth) - 1] ?? 0, timeBoundsMs[placeOf(truth)] ?? last];
      expect(told >= lower && told <= upper, `${told} for ${truth}`).toBe(true);
    }),
  );
});

test("what was counted apart adds up to what is counted together, and can be taken away again", () => {
  fc.assert(
    fc.property(times, times, (before, after) => {
      const [a, b, both] = [of(before), of(after), of([...before, ...after])];
      expect(rounded(addHistograms([a, b]))).toEqual(rounded(both));
      const difference = sinceHistogram(both, a);
      expect(difference.buckets).toEqual(b.buckets);
      expect(Math.abs(difference.sum - b.sum)).toBeLessThanOrEqual(1e-9 * both.sum);
    }),
  );
});

test("what began anew has all that it counts since; nothing has no quantile", () => {
  const [long, short] = [of([1, 2, 3]), of([5])];
  expect(sinceHistogram(short, long)).toEqual(short);
  expect(quantileOf(emptyHistogram, 0.95)).toBeUndefined();
  expect(totalOf(addHistograms([]))).toBe(0);
});

test("each bound is told with how many values are no larger, and each finer one is among ours", () => {
  for (const buckets of [fineTimes, coarseTimes]) {
    fc.assert(
      fc.property(times, (values) => {
        const samples = bucketSamples(of(values), buckets);
        expect(samples.slice(0, -3).map(({ value }) => value)).toEqual(
          buckets.bounds.map(({ le }) => values.filter((ms) => ms <= Number((le * 1_000).toPrecision(3))).length),
        );
        const [all, sum, count] = samples.slice(-3);
        expect(all).toEqual({ suffix: "_bucket", le: "+Inf", value: values.length });
        expect(sum?.value).toBeCloseTo(values.reduce((total, ms) => total + ms, 0) / 1_000, 3);
        expect(count).toEqual({ suffix: "_count", value: values.length });
      }),
      { numRuns: 30 },
    );
  }
  const edges = fineTimes.bounds.map(({ le }) => le);
  expect([edges.length, edges[0], edges[1], edges.at(-1)]).toEqual([73, 0.001, 0.0012, 1_000]);
  expect(coarseTimes.bounds.map(({ le }) => le).slice(0, 7)).toEqual([
    0.001, 0.0015, 0.0022, 0.0033, 0.0047, 0.0068, 0.01,
  ]);
});
