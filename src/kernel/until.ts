/** Until: when that ends which a person has stopped, for a while or until somebody ends it. */
import { toMs, type Duration } from "./duration.ts";
import { ConfigError } from "./errors.ts";

/** Pauses and open circuits end at a time, wall-clock ms; this one stands for "until somebody ends it". */
const noEndMs = Date.UTC(2200, 0, 1);

/** ISO time, undefined where it ends only when somebody ends it: what people and programs are shown. */
export function isoEnd(untilMs: number | undefined): string | undefined {
  return untilMs === undefined || untilMs >= noEndMs ? undefined : new Date(untilMs).toISOString();
}

/** When what begins now ends, wall-clock ms. Without a duration: not before somebody ends it. @throws ConfigError. */
export function endOf(nowMs: number, duration: Duration | undefined): number {
  if (duration === undefined) return noEndMs;
  const ms = toMs(duration, "for");
  if (ms === 0)
    throw new ConfigError(`for is ${String(duration)}, which is no time at all; give a longer one, or none.`);
  return Math.min(noEndMs, nowMs + ms);
}
