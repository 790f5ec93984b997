/**
 * One line of an Apache access log in the combined format, read strictly:
 * `host ident user [time] "request" status bytes "referer" "user agent"`.
 * 1. Fields are separated by one blank each and nothing follows the last: a line with a virtual host in front or a duration behind is
 *    another format, and taking it for this one would count the wrong field as the client.
 * 2. Quoted fields hold `\"` and `\\` as escapes; what they hold is kept as the log has it.
 */

export interface AccessLogLine {
  host: string;
  /** Three digits. */
  status: string;
  /** 0 where the log has `-`. */
  bytes: number;
  /** The request's target without its query; undefined where the request has none, such as `-`. */
  path: string | undefined;
}

// Unrolled, so that a field of a megabyte costs one pass and no backtracking.
const quoted = String.raw`"([^"\\]*(?:\\[^][^"\\]*)*)"`;
const time = String.raw`\[\d{2}/[A-Z][a-z]{2}/\d{4}(?::\d{2}){3} [+-]\d{4}\]`;
// A size of more digits is no size, and sums of them would not be exact.
const size = String.raw`(\d{1,15}|-)`;
const combined = new RegExp(`^([^ ]+) [^ ]+ [^ ]+ ${time} ${quoted} (\\d{3}) ${size} ${quoted} ${quoted}$`);
const protocol = / HTTP\/\d+(?:\.\d+)?$/;

/** @param line without its line end. @returns undefined for a line that is not in the combined format. */
export function parseLine(line: string): AccessLogLine | undefined {
  const found = combined.exec(line);
  if (found === null) return undefined;
  // Every group takes part in every match; the defaults are for the type checker.
  const [, host = "", request = "", status = "", bytes = ""] = found;
  return { host, status, bytes: bytes === "-" ? 0 : Number(bytes), path: pathOf(request) };
}

/** `GET /a?b HTTP/1.1` → `/a`. Any method will do, the protocol may be missing (HTTP/0.9), and a target may hold blanks. */
function pathOf(request: string): string | undefined {
  const blank = request.indexOf(" ");
  if (blank < 0) return undefined;
  const target = request.slice(blank).replace(protocol, "").trim();
  if (target === "") return undefined;
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}
