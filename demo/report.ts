/** The report of an access log: tallies of its pieces, each added once, and how it is printed. Pure. */
import type { LogTally } from "../schemas/access-log.ts";

export interface LogReport {
  /** Well-formed lines. */
  lines: number;
  /** Lines that are not in the combined format; they count here and nowhere else. */
  rejected: number;
  /** Sum of the sizes, `-` being 0. */
  bytes: number;
  /** Distinct clients. */
  hosts: number;
  statuses: Record<string, number>;
  /** The ten paths with most hits; equals in the order of their code units. */
  top: { path: string; hits: number }[];
}

const topLength = 10;

/** Grows with the distinct hosts and paths of a log, and not with its length. */
export class ReportBuilder {
  #lines = 0;
  #rejected = 0;
  #bytes = 0;
  readonly #hosts = new Set<string>();
  readonly #statuses = new Map<string, number>();
  readonly #paths = new Map<string, number>();

  add(tally: LogTally): void {
    this.#lines += tally.lines;
    this.#rejected += tally.rejected;
    this.#bytes += tally.bytes;
    for (const host of tally.hosts) if (!this.#hosts.has(host)) this.#hosts.add(detached(host));
    for (const [status, hits] of tally.statuses) sum(this.#statuses, status, hits);
    for (const [path, hits] of tally.paths) sum(this.#paths, path, hits);
  }

  report(): LogReport {
    const statuses = [...this.#statuses].toSorted(([a], [b]) => compare(a, b));
    const paths = [...this.#paths].toSorted(([a, hitsA], [b, hitsB]) => hitsB - hitsA || compare(a, b));
    return {
      lines: this.#lines,
      rejected: this.#rejected,
      bytes: this.#bytes,
      hosts: this.#hosts.size,
      statuses: Object.fromEntries(statuses),
      top: paths.slice(0, topLength).map(([path, hits]) => ({ path, hits })),
    };
  }
}

function sum(counts: Map<string, number>, key: string, hits: number): void {
  const before = counts.get(key);
  counts.set(before === undefined ? detached(key) : key, (before ?? 0) + hits);
}

/** A copy of its own: a text cut out of a decoded message keeps the whole message in memory. */
function detached(text: string): string {
  return Buffer.from(text, "utf8").toString("utf8");
}

/** By code units, the same in every locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The report for people. */
export function formatReport(report: LogReport): string {
  const number = (value: number): string => value.toLocaleString("en-US");
  const width = Math.max(8, ...report.top.map(({ hits }) => number(hits).length + 2));
  return [
    `lines     ${number(report.lines)}`,
    `rejected  ${number(report.rejected)}`,
    `bytes     ${number(report.bytes)}`,
    `hosts     ${number(report.hosts)}`,
    `statuses  ${Object.entries(report.statuses)
      .map(([status, hits]) => `${status}: ${number(hits)}`)
      .join("  ")}`,
    "top paths by hits",
    ...report.top.map(({ path, hits }) => `${number(hits).padStart(width)}  ${printable(path)}`),
    "",
  ].join("\n");
}

/** A log holds what strangers sent; a terminal must not obey it. */
function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}
