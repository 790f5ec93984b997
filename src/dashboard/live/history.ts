/** History: the last five minutes of each actor's figures, and how a frame is added to them. Pure. */
import type { ActorFrame, Frame, History } from "../../admin/api.ts";

export type Series = "rate" | "depth" | "errorShare" | "p95Ms";
type Values = (number | null)[];

export const historySpanMs = 5 * 60_000;
/** Frames further apart than this have nothing between them, and no line either. */
const gapMs = 7_000;
const series: Series[] = ["rate", "depth", "errorShare", "p95Ms"];

export const emptyHistory: History = { times: [], actors: {} };

/** With a frame at its end, and without what is older than five minutes before it. A frame that is not newer, or no news, changes nothing. */
export function withFrame(history: History, frame: Frame): History {
  if (frame.stale) return history;
  const at = Date.parse(frame.at);
  const last = history.times.at(-1) ?? -Infinity;
  if (!(at > last)) return history;
  const { times, actors: before } =
    at - last > gapMs && last > 0 ? withNothing(history, history.times.length) : history;
  const found = times.findIndex((one) => one >= at - historySpanMs);
  const from = found < 0 ? times.length : found;
  const actors: History["actors"] = {};
  for (const actor of frame.actors) {
    const own = before[actor.actor];
    actors[actor.actor] = Object.fromEntries(
      series.map((name) => [name, [...kept(own?.[name], from, times.length), valueOf(actor, name)]]),
    ) as Record<Series, Values>;
  }
  return { times: [...times.slice(from), at], actors };
}

/** As the dashboard's server remembers it: where nothing ran there is no share of errors. */
function valueOf(actor: ActorFrame, name: Series): number | null {
  return name === "errorShare" && actor.rate === 0 ? null : (actor[name] ?? null);
}

/** With a moment of no figures in each gap. */
export function withGaps(history: History): History {
  const at = history.times.findIndex((time, place) => place > 0 && isGap(history, place, time));
  return at < 0 ? history : withGaps(withNothing(history, at));
}

function isGap({ times, actors }: History, place: number, time: number): boolean {
  if (time - (times[place - 1] ?? time) <= gapMs) return false;
  return Object.values(actors).some(({ depth }) => depth[place - 1] !== null);
}

function withNothing({ times, actors }: History, at: number): History {
  const put = <T>(list: readonly T[], value: T): T[] => [...list.slice(0, at), value, ...list.slice(at)];
  return {
    times: put(times, (times[at - 1] ?? 0) + 1),
    actors: Object.fromEntries(
      Object.entries(actors).map(([actor, figures]) => [
        actor,
        Object.fromEntries(series.map((name) => [name, put(figures[name], null)])) as Record<Series, Values>,
      ]),
    ),
  };
}

/** Of an actor that is new, or of which the history has too few, none. */
function kept(values: Values | undefined, from: number, length: number): Values {
  if (values?.length === length) return values.slice(from);
  return Array.from({ length: length - from }, () => null);
}
