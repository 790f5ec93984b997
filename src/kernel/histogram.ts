/**
 * Histogram: how often values fell into which range. Bounds are fixed, so that those of many processes can be added up, and a difference of
 * two says what happened between them. Costs an array's worth of memory and a short search for each value.
 */

/** What travels: each bucket that holds anything, as [its place among the bounds, how many], and the sum of all values. */
export interface HistogramSnapshot {
  buckets: [place: number, count: number][];
  sum: number;
}

/** The E24 series: each bound is about a tenth above the one before it, so no quantile is off by more. */
const steps = [
  1, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2, 2.2, 2.4, 2.7, 3, 3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1,
];

/** Upper bounds for times, in milliseconds: 0.1 ms to about 11 days. What is longer falls into one more bucket, without a bound. */
export const timeBoundsMs: readonly number[] = decades(-1, 8).map(round);
/** Upper bounds for sizes, in bytes: 64 B to 1 GiB, in powers of four. */
export const sizeBoundsBytes: readonly number[] = Array.from({ length: 13 }, (_, power) => 64 * 4 ** power);

function decades(first: number, last: number): number[] {
  const powers = Array.from({ length: last - first + 1 }, (_, at) => first + at);
  return powers.flatMap((power) => steps.map((step) => step * 10 ** power));
}

/** Without what binary fractions leave behind. */
function round(value: number): number {
  return Number(value.toPrecision(3));
}

export class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  /** @param bounds upper bounds, ascending; a value that equals one belongs below it. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = Array<number>(bounds.length + 1).fill(0);
  }

  record(value: number): void {
    const bounds = this.#bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value > (bounds[middle] as number)) low = middle + 1;
      else high = middle;
    }
    this.#counts[low] = (this.#counts[low] as number) + 1;
    this.#sum += value;
  }

  snapshot(): HistogramSnapshot {
    const buckets: HistogramSnapshot["buckets"] = [];
    for (const [place, count] of this.#counts.entries()) if (count > 0) buckets.push([place, count]);
    return { buckets, sum: this.#sum };
  }
}

export const emptyHistogram: HistogramSnapshot = Object.freeze({ buckets: [], sum: 0 });

/** How many values there are. */
export function totalOf({ buckets }: HistogramSnapshot): number {
  return buckets.reduce((total, [, count]) => total + count, 0);
}

export function addHistograms(all: readonly HistogramSnapshot[]): HistogramSnapshot {
  const counts = new Map<number, number>();
  let sum = 0;
  for (const one of all) {
    sum += one.sum;
    for (const [place, count] of one.buckets) counts.set(place, (counts.get(place) ?? 0) + count);
  }
  return { buckets: [...counts].toSorted(([a], [b]) => a - b), sum };
}

/** What was recorded after `before` was taken. A process that began anew in between has less than before: then all that it has. */
export function sinceHistogram(now: HistogramSnapshot, before: HistogramSnapshot): HistogramSnapshot {
  const counts = new Map(now.buckets);
  for (const [place, count] of before.buckets) {
    const left = (counts.get(place) ?? 0) - count;
    if (left < 0) return now;
    if (left === 0) counts.delete(place);
    else counts.set(place, left);
  }
  return { buckets: [...counts].toSorted(([a], [b]) => a - b), sum: Math.max(0, now.sum - before.sum) };
}

/**
 * The value below which a share of all lies, straight between the bounds of its bucket, as Prometheus' `histogram_quantile` has it.
 * Undefined where there are no values; the last bound for what lies beyond it.
 * @param share 0.95 for P95.
 */
export function quantileOf(
  histogram: HistogramSnapshot,
  share: number,
  bounds: readonly number[] = timeBoundsMs,
): number | undefined {
  const total = totalOf(histogram);
  if (total === 0) return undefined;
  const rank = share * total;
  let below = 0;
  for (const [place, count] of histogram.buckets) {
    if (below + count >= rank) {
      const upper = bounds[place];
      if (upper === undefined) return bounds.at(-1);
      const lower = place === 0 ? 0 : (bounds[place - 1] as number);
      return lower + (upper - lower) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1);
}
