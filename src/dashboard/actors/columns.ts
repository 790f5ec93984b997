/** What the actors are sorted and filtered by. Pure. */
import type { ActorFrame } from "../../admin/api.ts";

export interface Column {
  key: string;
  title: string;
  /** What the heading's tooltip says. */
  explain: string;
  value: (actor: ActorFrame) => number | string;
  class?: string;
}

export const columns: readonly Column[] = [
  { key: "name", title: "Actor", explain: "By name", value: ({ actor }) => actor },
  {
    key: "rate",
    title: "Rate",
    explain: "Deliveries that came to an end, a second: completed, to be retried, or dead",
    value: ({ rate }) => rate,
  },
  {
    key: "depth",
    title: "Depth",
    explain: "Messages that no worker has been handed yet",
    value: ({ depth }) => depth,
  },
  {
    key: "oldest",
    title: "Oldest",
    explain: "How long the oldest message that waits has been stored",
    value: ({ oldestMs }) => oldestMs ?? -1,
    class: "wide",
  },
  {
    key: "p50",
    title: "P50",
    explain: "How long handlers ran: half of them took at most this long",
    value: ({ p50Ms }) => p50Ms ?? -1,
    class: "roomy",
  },
  {
    key: "p95",
    title: "P95",
    explain: "How long handlers ran: 95 of 100 took at most this long",
    value: ({ p95Ms }) => p95Ms ?? -1,
  },
  {
    key: "p99",
    title: "P99",
    explain: "How long handlers ran: 99 of 100 took at most this long",
    value: ({ p99Ms }) => p99Ms ?? -1,
    class: "roomy",
  },
  {
    key: "errors",
    title: "Errors",
    explain: "The share of ended deliveries that was not completed",
    value: ({ errorShare }) => errorShare,
  },
  {
    key: "running",
    title: "Running",
    explain: "Handlers that run, of those that may",
    value: ({ running }) => running,
    class: "wide",
  },
  {
    key: "workers",
    title: "Workers",
    explain: "Workers that serve it",
    value: ({ workers }) => workers,
    class: "wide",
  },
  { key: "dead", title: "Dead", explain: "Dead letters", value: ({ dead }) => dead, class: "wide" },
];

/** Every word of the filter occurs in the name. */
export function filtered(actors: readonly ActorFrame[], filter: string): ActorFrame[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return actors.filter(({ actor }) => words.every((word) => actor.toLowerCase().includes(word)));
}

/** @param order a column's key, with `-` before it for the largest first; what is unknown sorts by name. */
export function sorted(actors: readonly ActorFrame[], order: string): ActorFrame[] {
  const column = columns.find(({ key }) => key === order.replace(/^-/, "")) ?? columns[0];
  const sign = order.startsWith("-") ? -1 : 1;
  return actors.toSorted((a, b) => sign * compare(column?.value(a), column?.value(b)) || compare(a.actor, b.actor));
}

function compare(a: number | string | undefined, b: number | string | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b));
}
