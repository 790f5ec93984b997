/** Numbers, spans and times as people read them. Pure but for the reader's time zone. */

/** What stands where there is no figure. */
export const none = "–";

/** `0`, `7`, `1.2k`, `34k`, `1.2M`. */
export function count(value: number): string {
  if (value < 1_000) return String(Math.round(value));
  if (value < 999_500) return `${short(value / 1_000)}k`;
  if (value < 999_500_000) return `${short(value / 1_000_000)}M`;
  return `${short(value / 1_000_000_000)}G`;
}

/** In full, with separators: `1,234,567`. */
export function whole(value: number): string {
  return value.toLocaleString("en-GB");
}

/** `3 letters`, `1 letter`. */
export function plural(value: number, noun: string): string {
  return `${whole(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A second: `0/s`, `0.3/s`, `12/s`, `1.2k/s`. */
export function rate(value: number): string {
  if (value === 0) return "0/s";
  if (value < 0.05) return "<0.1/s";
  return `${value < 1_000 ? short(value) : count(value)}/s`;
}

/** Of a share in [0, 1]: `0 %`, `<0.1 %`, `3.5 %`, `40 %`. */
export function share(value: number): string {
  if (value === 0) return "0 %";
  if (value < 0.001) return "<0.1 %";
  return `${short(value * 100)} %`;
}

/** `34 ms`, `1.2 s`, `12 min`, `3 h`, `2 d`. */
export function span(ms: number | undefined): string {
  if (ms === undefined) return none;
  if (ms < 1) return "<1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${short(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`;
  return `${Math.floor(ms / 86_400_000)} d`;
}

/** `612 B`, `34 kB`, `1.2 GB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return `${short(value / 1_000 ** step)} ${units[step]}`;
}

/** `14:03:22`; with the day where it is not today's: `3 Nov 14:03:22`. */
export function time(iso: string, nowMs: number): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const clock = at.toLocaleTimeString("en-GB");
  if (at.toDateString() === new Date(nowMs).toDateString()) return clock;
  return `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${clock}`;
}

/** `12 s ago`. */
export function ago(iso: string, nowMs: number): string {
  const ms = Math.max(1_000, nowMs - Date.parse(iso));
  return `${span(ms - (ms % 1_000))} ago`;
}

/** Below 10 with one digit after the point, unless it is 0. */
function short(value: number): string {
  return value < 9.95 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}
