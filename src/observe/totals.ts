/** Totals: what all workers of one process have done, by actor; most often there is one worker. Pure. */
import { addHistograms } from "../kernel/histogram.ts";
import type { ActorSnapshot } from "../worker/snapshot.ts";
import type { CountsOf } from "../worker/tally.ts";

const numbers = [
  "stalls",
  "overdue",
  "abandoned",
  "resultsLost",
  "rebuilt",
  "concurrency",
  "running",
  "inHand",
] as const satisfies (keyof ActorSnapshot)[];
const histograms = ["handlerMs", "queuedMs", "bodyBytes"] as const satisfies (keyof ActorSnapshot)[];

/** What may be added up. */
export type ActorTotals = Pick<
  ActorSnapshot,
  (typeof numbers)[number] | (typeof histograms)[number] | "outcomes" | "deferred" | "dead" | "lost"
>;

export function totalsOf(workers: readonly Readonly<Record<string, ActorTotals>>[]): Map<string, ActorTotals> {
  const totals = new Map<string, ActorTotals>();
  for (const perActor of workers) {
    for (const [actor, one] of Object.entries(perActor)) {
      const before = totals.get(actor);
      totals.set(actor, before === undefined ? one : add(before, one));
    }
  }
  return totals;
}

function add(a: ActorTotals, b: ActorTotals): ActorTotals {
  const sum = {
    ...a,
    outcomes: addCounts(a.outcomes, b.outcomes),
    deferred: addCounts(a.deferred, b.deferred),
    dead: addCounts(a.dead, b.dead),
    lost: addCounts(a.lost, b.lost),
  };
  for (const key of numbers) sum[key] = a[key] + b[key];
  for (const key of histograms) sum[key] = addHistograms([a[key], b[key]]);
  return sum;
}

function addCounts<Counts extends CountsOf<string>>(a: Counts, b: Counts): Counts {
  const sum = { ...a };
  for (const [key, count] of Object.entries(b)) Object.assign(sum, { [key]: (a[key] ?? 0) + (count ?? 0) });
  return sum;
}
