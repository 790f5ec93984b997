/** Tables and figures for a terminal: aligned, and never wider than it. Pure but for asking how wide it is. */
import { clean } from "./io.ts";

export interface Column {
  title: string;
  /** Numbers are aligned at the right. Default `"left"`. */
  align?: "left" | "right";
  /** May be cut short, with an ellipsis, where the table would be too wide. */
  flexible?: boolean;
  /** Of the flexible ones it is cut last: what people copy. */
  firm?: boolean;
  /** Of the last column: goes on in further lines, where it would be cut. */
  wraps?: boolean;
}

const gap = "  ";
const minWidth = 8;

/** Columns of the terminal; unlimited where the output goes to a file or a program, unless COLUMNS says otherwise. */
export function outputWidth(): number {
  const wished = Number(process.env["COLUMNS"]);
  return process.stdout.columns ?? (wished > 0 ? wished : Infinity);
}

/** The lines of a table, its titles first. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], width = outputWidth()): string {
  const cells = rows.map((row) => row.map(clean));
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...cells.map((row) => row[at]?.length ?? 0)));
  fit(columns, widths, width - gap.length * (columns.length - 1));
  const line = (row: readonly string[]): string =>
    columns
      .map(({ align }, at) => {
        const text = cut(row[at] ?? "", widths[at] ?? 0);
        return align === "right" ? text.padStart(widths[at] ?? 0) : text.padEnd(widths[at] ?? 0);
      })
      .join(gap)
      .trimEnd();
  const last = columns.length - 1;
  const linesOf = (row: readonly string[]): string[] => {
    if (columns[last]?.wraps !== true) return [line(row)];
    const parts = wrap(row[last] ?? "", widths[last] ?? 0);
    return parts.map((part, at) =>
      line(columns.map((_, place) => (place === last ? part : at === 0 ? (row[place] ?? "") : ""))),
    );
  };
  return [line(columns.map(({ title }) => title)), ...cells.flatMap(linesOf)].join("\n");
}

/** Takes from the widest flexible column until the rest fits; from a firm one only where the others have nothing left to give. */
function fit(columns: readonly Column[], widths: number[], room: number): void {
  for (let over = widths.reduce((sum, one) => sum + one, 0) - room; over > 0; over--) {
    const widest = widestOf(columns, widths, false) ?? widestOf(columns, widths, true);
    if (widest === undefined) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

function widestOf(columns: readonly Column[], widths: readonly number[], firm: boolean): number | undefined {
  let widest: number | undefined;
  for (const [at, column] of columns.entries()) {
    if (!column.flexible || (column.firm ?? false) !== firm) continue;
    const width = widths[at] ?? 0;
    if (width > minWidth && width > (widest === undefined ? 0 : (widths[widest] ?? 0))) widest = at;
  }
  return widest;
}

export function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Named facts below one another; a long one goes on, indented, on the next lines. */
export function facts(
  list: readonly (readonly [name: string, value: string] | undefined)[],
  width = outputWidth(),
): string {
  const given = list.filter((one) => one !== undefined);
  const nameWidth = Math.max(...given.map(([name]) => name.length));
  const indent = " ".repeat(2 + nameWidth + 2);
  return given
    .map(
      ([name, value]) =>
        `  ${name.padEnd(nameWidth)}  ${wrap(clean(value), width - indent.length).join(`\n${indent}`)}`,
    )
    .join("\n");
}

/** Lines as they are, indented; a long one goes on, indented further, on the next lines. */
export function lines(text: string, width = outputWidth()): string {
  return text
    .split("\n")
    .map((line) => `  ${wrap(clean(line), width - 8).join("\n        ")}`)
    .join("\n");
}

/** Breaks at blanks, and within a word only where it is longer than a line. */
export function wrap(text: string, width: number): string[] {
  const room = Math.max(minWidth, width);
  const lines: string[] = [];
  let rest = text;
  while (rest.length > room) {
    const blank = rest.lastIndexOf(" ", room);
    const end = blank > 0 ? blank : room;
    lines.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...lines, rest];
}

/** `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `12 messages`, `1 message`. */
export function plural(value: number, noun: string, nouns = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : nouns}`;
}

const units = ["kB", "MB", "GB", "TB"] as const;

/** `0 B`, `1.2 kB`, `3.4 GB`: powers of ten. */
export function bytes(value: number): string {
  if (value < 1_000) return `${value} B`;
  const power = Math.min(units.length, Math.floor(Math.log10(value) / 3));
  return `${(value / 1_000 ** power).toFixed(1)} ${units[power - 1]}`;
}

/** `2026-11-22 14:05:11Z`. */
export function time(iso: string): string {
  return iso.replace("T", " ").replace(/\.\d+Z$/, "Z");
}
