/** An access log counted the straightforward way, all of it at once and character by character: what the demo's report must equal. */
import type { LogReport } from "../../../demo/report.ts";

export function straightCount(log: Buffer): LogReport {
  const lines = log.toString("utf8").split("\n");
  if (lines.at(-1) === "") lines.pop();
  const read = lines.map((line) => readLine(line.endsWith("\r") ? line.slice(0, -1) : line));
  const good = read.filter((line) => line !== undefined);
  const hits = countBy(good.flatMap(({ path }) => (path === undefined ? [] : [path])));
  const byHitsThenPath = [...hits].toSorted((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  return {
    lines: good.length,
    rejected: read.length - good.length,
    bytes: good.reduce((sum, { bytes }) => sum + bytes, 0),
    hosts: new Set(good.map(({ host }) => host)).size,
    statuses: Object.fromEntries(countBy(good.map(({ status }) => status))),
    top: byHitsThenPath.slice(0, 10).map(([path, hits]) => ({ path, hits })),
  };
}

interface Line {
  host: string;
  status: string;
  bytes: number;
  path: string | undefined;
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function readLine(line: string): Line | undefined {
  let at = 0;
  const upTo = (stop: string): string => {
    const end = line.indexOf(stop, at);
    if (end < 0) throw new Error("cut short");
    const found = line.slice(at, end);
    at = end + stop.length;
    return found;
  };
  const literal = (text: string): void => {
    if (!line.startsWith(text, at)) throw new Error(`no ${text}`);
    at += text.length;
  };
  const quoted = (): string => {
    literal('"');
    const start = at;
    while (line[at] !== '"') {
      if (at >= line.length) throw new Error("no closing quote");
      at += line[at] === "\\" ? 2 : 1;
    }
    at += 1;
    return line.slice(start, at - 1);
  };
  const need = (condition: boolean): void => {
    if (!condition) throw new Error("another format");
  };
  try {
    const [host, ident, user] = [upTo(" "), upTo(" "), upTo(" ")];
    need(host !== "" && ident !== "" && user !== "");
    literal("[");
    const [day, month, year, hour, minute, rest] = upTo("] ").split(/[/:]/);
    need(months.includes(String(month)) && String(year).length === 4);
    need([day, hour, minute].every((part) => String(part).length === 2 && Number(part) >= 0));
    need(/^\d\d [+-]\d{4}$/.test(String(rest)));
    const request = quoted();
    literal(" ");
    const [status, size] = [upTo(" "), upTo(" ")];
    need(status.length === 3 && Number(status) >= 0 && (size === "-" || String(BigInt(size)).length <= 15));
    quoted();
    literal(" ");
    quoted();
    need(at === line.length);
    return { host, status, bytes: size === "-" ? 0 : Number(size), path: pathOf(request) };
  } catch {
    return undefined;
  }
}

function pathOf(request: string): string | undefined {
  const words = request.split(" ");
  if (/^HTTP\/\d(\.\d)?$/.test(words.at(-1) ?? "") && words.length > 2) words.pop();
  const target = words.slice(1).join(" ").trim();
  return target === "" ? undefined : target.split("?")[0];
}

function countBy(keys: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts;
}
