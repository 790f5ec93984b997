/** Durations as users write them, `"250ms" "30s" "5m" "2h" "7d"` or a number of milliseconds, turned into milliseconds. */
import { ConfigError } from "./errors.ts";

/** `"250ms" | "30s" | "5m" | "2h" | "7d"`, decimals allowed, or a number of milliseconds. */
export type Duration = number | `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/**
 * A duration in whole milliseconds, rounded up so that a short wait never becomes none.
 * @param what names the option in the error, such as `"ackWait"`.
 * @throws ConfigError when it is neither a duration nor a non-negative number.
 */
export function toMs(value: unknown, what: string): number {
  const ms = typeof value === "number" ? value : typeof value === "string" ? parse(value) : Number.NaN;
  if (!Number.isFinite(ms) || ms < 0) {
    throw new ConfigError(
      `${what} is ${JSON.stringify(value) ?? String(value)}, which is no duration; write "250ms", "30s", "5m", "2h", "7d" or a number of milliseconds.`,
    );
  }
  return Math.ceil(ms);
}

function parse(text: string): number {
  const found = pattern.exec(text);
  if (!found) return Number.NaN;
  return Number(found[1]) * unitMs[found[2] as keyof typeof unitMs];
}

/** Milliseconds as a person reads them: `1.5 s`, `12 min`, `3.2 h`. */
export function formatMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${trim(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${trim(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${trim(ms / 3_600_000)} h`;
  return `${trim(ms / 86_400_000)} d`;
}

function trim(value: number): string {
  return String(Math.round(value * 10) / 10);
}
