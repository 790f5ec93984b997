/** Counts a piece of an access log. Pure: the same lines give the same tally, however often they are counted. */
import type { LogTally } from "../schemas/access-log.ts";
import { parseLine } from "./access-log-line.ts";

/**
 * @param text whole lines, ended by LF or CRLF; the last may lack its end. What follows the last line end is a line only if it is not
 * empty; an empty line before it is a line, and is rejected.
 */
export function tallyLines(text: string): LogTally {
  const hosts = new Set<string>();
  const statuses = new Map<string, number>();
  const paths = new Map<string, number>();
  const tally = { lines: 0, rejected: 0, bytes: 0 };
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    const line = parseLine(text.slice(start, text[end - 1] === "\r" && end > start ? end - 1 : end));
    start = end + 1;
    if (line === undefined) {
      tally.rejected += 1;
      continue;
    }
    tally.lines += 1;
    tally.bytes += line.bytes;
    hosts.add(line.host);
    add(statuses, line.status);
    if (line.path !== undefined) add(paths, line.path);
  }
  return { ...tally, hosts: [...hosts], statuses: [...statuses], paths: [...paths] };
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
