/** History: the last five minutes of each actor's figures, and how a frame is added to them. Pure. */
import type { Frame, History } from "../../admin/api.ts";

export type Series = "rate" | "depth" | "errorShare" | "p95Ms";
type Values = (number | null)[];

export const historySpanMs = 5 * 60_000;
const series: Series[] = ["rate", "depth", "errorShare", "p95Ms"];

export const emptyHistory: History = { times: [], actors: {} };

/** With a frame at its end, and without what is older than five minutes before it. A frame that is not newer changes nothing. */
export function withFrame(history: History, frame: Frame): History {
  const at = Date.parse(frame.at);
  const { times } = history;
  const last = times.at(-1) ?? -Infinity;
  if (!(at > last)) return history;
  const found = times.findIndex((one) => one >= at - historySpanMs);
  const from = found < 0 ? times.length : found;
  const actors: History["actors"] = {};
  for (const actor of frame.actors) {
    const before = history.actors[actor.actor];
    actors[actor.actor] = Object.fromEntries(
      series.map((name) => [name, [...kept(before?.[name], from, times.length), actor[name] ?? null]]),
    ) as Record<Series, Values>;
  }
  return { times: [...times.slice(from), at], actors };
}

/** Of an actor that is new, or of which the history has too few, none. */
function kept(values: Values | undefined, from: number, length: number): Values {
  if (values?.length === length) return values.slice(from);
  return Array.from({ length: length - from }, () => null);
}
