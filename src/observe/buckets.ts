/** Buckets: our histograms as Prometheus has them: cumulative, in base units, and coarser, because each bucket is a series. Pure. */
import { sizeBoundsBytes, timeBoundsMs, totalOf, type HistogramSnapshot } from "../kernel/histogram.ts";

/** A bound that is told: its place among those that are counted, and itself in the metric's unit. */
export interface Bound {
  place: number;
  le: number;
}

export interface Buckets {
  bounds: readonly Bound[];
  /** What one unit of the histogram is in units of the metric. */
  unit: number;
}

const perDecade = 24;

/** Times from 1 ms to 1,000 s. What is shorter is in the first bucket; what is longer is in the last, which has no bound. */
function times(told: number): Buckets {
  const bounds = timeBoundsMs.flatMap((ms, place) =>
    ms >= 1 && ms <= 1e6 && place % (perDecade / told) === 0
      ? [{ place, le: Number((ms / 1_000).toPrecision(3)) }]
      : [],
  );
  return { bounds, unit: 1e-3 };
}

/** The E12 series, bounds about a fifth apart: 74 buckets. */
export const fineTimes = times(12);
/** The E6 series, bounds about a half apart: 38 buckets. */
export const coarseTimes = times(6);
/** 64 B to 1 GiB in powers of four: 14 buckets. */
export const sizes: Buckets = { bounds: sizeBoundsBytes.map((le, place) => ({ place, le })), unit: 1 };

/** A series of a histogram. */
export interface BucketSample {
  suffix: "_bucket" | "_sum" | "_count";
  /** Of a bucket. */
  le?: number | string;
  value: number;
}

export function bucketSamples(histogram: HistogramSnapshot, { bounds, unit }: Buckets): BucketSample[] {
  const samples: BucketSample[] = [];
  let at = 0;
  let count = 0;
  for (const { place, le } of bounds) {
    for (
      let bucket = histogram.buckets[at];
      bucket !== undefined && bucket[0] <= place;
      bucket = histogram.buckets[++at]
    )
      count += bucket[1];
    samples.push({ suffix: "_bucket", le, value: count });
  }
  const total = totalOf(histogram);
  samples.push({ suffix: "_bucket", le: "+Inf", value: total });
  samples.push({ suffix: "_sum", value: histogram.sum * unit });
  samples.push({ suffix: "_count", value: total });
  return samples;
}
