/** What `godwit top` shows of a frame: a few totals, what is wrong, and the actors in the order that was asked for. Pure. */
import type { ActorFrame, Frame, WorkerFrame } from "../admin/api.ts";
import { clean } from "./io.ts";
import { cut, plural, table, time, type Column } from "./table.ts";

export const orders = ["rate", "errors", "depth", "p95", "dead", "name"] as const;
export type Order = (typeof orders)[number];

export interface TopView {
  order: Order;
  width: number;
  /** Lines that there is room for. Default: as many as it takes. */
  height?: number;
  /** Ends in the keys that there are. */
  keys?: boolean;
}

const keysLine = "sort by: r rate  e errors  d depth  p P95  D dead  n name   q quit";
/** Columns of a terminal from which on there is room for all figures. */
const wide = 100;

interface Figure extends Column {
  of: (actor: ActorFrame, frame: Frame) => string;
  wideOnly?: boolean;
}

const right = { align: "right" } as const;
const figures: readonly Figure[] = [
  { title: "ACTOR", flexible: true, of: ({ actor }) => actor },
  { title: "RATE", ...right, of: ({ rate }) => short(rate) },
  { title: "ERR", ...right, of: ({ rate, errorShare }) => (rate === 0 ? "" : percent(errorShare)) },
  { title: "DEPTH", ...right, of: ({ depth }) => short(depth) },
  { title: "AGE", ...right, of: ({ oldestMs }) => span(oldestMs) },
  { title: "FLY", ...right, of: ({ inFlight }) => short(inFlight) },
  { title: "P50", ...right, of: ({ p50Ms }) => span(p50Ms) },
  { title: "P95", ...right, of: ({ p95Ms }) => span(p95Ms) },
  { title: "P99", ...right, wideOnly: true, of: ({ p99Ms }) => span(p99Ms) },
  { title: "RUN", ...right, of: running },
  { title: "W", ...right, wideOnly: true, of: ({ workers }) => short(workers) },
  { title: "DEAD", ...right, of: ({ dead }) => short(dead) },
];

export function renderTop(frame: Frame, { order, width, height = Infinity, keys = false }: TopView): string {
  const head = [...totals(frame), ...frame.problems.map((problem) => `! ${clean(problem)}`)];
  const columns = figures.filter(({ wideOnly }) => !wideOnly || width >= wide);
  const room = Math.max(1, height - head.length - 2 - (keys ? 2 : 0));
  const sorted = inOrder(frame.actors, order);
  const shown = sorted.length > room ? sorted.slice(0, Math.max(1, room - 1)) : sorted;
  const rows = shown.map((actor) => columns.map(({ of }) => of(actor, frame)));
  const lines = [...head, "", ...table(columns, rows, width).split("\n")];
  if (shown.length < sorted.length) lines.push(`… and ${plural(sorted.length - shown.length, "actor")} more`);
  if (sorted.length === 0) lines.push("no actor has ever run in this namespace.");
  if (keys) lines.push("", keysLine);
  return lines.map((line) => cut(line, width)).join("\n");
}

/** The busiest, the most failing … first; by name where that is the same. */
export function inOrder(actors: readonly ActorFrame[], order: Order): ActorFrame[] {
  const value = (actor: ActorFrame): number => {
    switch (order) {
      case "rate":
        return actor.rate;
      case "errors":
        return actor.errorShare * actor.rate;
      case "depth":
        return actor.depth;
      case "p95":
        return actor.p95Ms ?? -1;
      case "dead":
        return actor.dead;
      case "name":
        return 0;
    }
  };
  return actors.toSorted((one, other) => value(other) - value(one) || one.actor.localeCompare(other.actor));
}

function totals({ at, namespace, totals: all, workers }: Frame): string[] {
  const silent = workers.filter(({ state }) => state === "silent");
  const sick = workers.filter(({ live }) => live?.healthy === false).length;
  const who = [
    plural(all.workers, "worker"),
    ...(silent.length > 0 ? [`${silent.length} silent${lastHeard(silent, at)}`] : []),
    ...(sick > 0 ? [`${sick} unhealthy`] : []),
  ];
  return [
    `${namespace}  ${time(at)}  ${who.join(", ")}`,
    `${short(all.rate)}/s, ${percent(all.errorShare)} errors, depth ${short(all.depth)}, in flight ${short(all.inFlight)}, dead ${short(all.dead)}`,
  ];
}

/** What the silent ones had in hand when they last said so, and how long ago that was of the one that said it first. */
function lastHeard(silent: readonly WorkerFrame[], at: string): string {
  const heard = silent.flatMap(({ last }) => last ?? []);
  if (heard.length === 0) return "";
  const inHand = heard.reduce((sum, last) => sum + last.inHand, 0);
  const agoMs = Math.max(0, ...heard.map((last) => Date.parse(at) - Date.parse(last.at)));
  return ` (${short(inHand)} in hand ${span(agoMs)} ago)`;
}

/** How many of how many run, or what keeps them from it. */
function running(actor: ActorFrame, { breakers, limits }: Frame): string {
  if (actor.paused) return "paused";
  if (actor.workers === 0) return "none";
  const breaker = breakers.find(({ name }) => name === actor.breaker);
  if (breaker !== undefined && breaker.state !== "closed") return breaker.state;
  const limit = limits.find(({ kind, name }) => kind === "rate" && name === actor.rateLimit);
  if (limit?.kind === "rate" && limit.heldUntil !== undefined) return "held";
  return `${short(actor.running)}/${short(actor.concurrency)}`;
}

/** At most five characters: `0.25`, `12.3`, `1.2k`, `34M`. */
export function short(value: number): string {
  if (value === 0) return "0";
  if (value < 100) return String(Number(value.toPrecision(3)));
  if (value < 999.5) return String(Math.round(value));
  const power = value < 999_500 ? 1 : value < 999_500_000 ? 2 : 3;
  const scaled = value / 1_000 ** power;
  return `${scaled < 99.95 ? Number(scaled.toPrecision(3)) : Math.round(scaled)}${["", "k", "M", "G"][power]}`;
}

function percent(share: number): string {
  if (share === 0) return "0%";
  return share < 0.001 ? "<.1%" : `${Number((share * 100).toPrecision(2))}%`;
}

/** At most five characters: `0.4ms`, `340ms`, `2.1s`, `12m`, `3h`, `9d`. */
export function span(ms: number | undefined): string {
  if (ms === undefined) return "";
  if (ms < 9.95) return `${Number(ms.toPrecision(2))}ms`;
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  if (ms < 9_950) return `${Number((ms / 1_000).toPrecision(2))}s`;
  if (ms < 120_000) return `${Math.round(ms / 1_000)}s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)}m`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)}h` : `${Math.round(ms / 86_400_000)}d`;
}
