/** Pause: nothing is delivered to an actor, on any host, until it is resumed or a time has come. What runs goes on and is settled. */
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Duration } from "../kernel/duration.ts";
import { endOf, isoEnd } from "../kernel/until.ts";
import type { Names } from "../message/subjects.ts";
import { durablesOfActor, type ActorDurable } from "./durables.ts";

export interface Paused {
  actor: string;
  /** ISO time; absent: until it is resumed. */
  until?: string;
  durables: { stream: string; durable: string }[];
}

export interface Resumed extends Paused {
  /** False: it was not paused. `until` is then absent, else it is when the pause would have ended. */
  was: boolean;
}

/** Until when an actor is paused: until the last of its durables is resumed. Undefined where it is not. */
export function pausedUntilMs(durables: readonly Pick<ActorDurable, "pausedUntilMs">[]): number | undefined {
  const times = durables.flatMap((durable) => durable.pausedUntilMs ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}

interface Parts {
  names: Names;
  reader: StreamReader;
}

/** @throws NotFoundError where it has no durable, InvalidNameError, ConfigError. */
export async function pauseActor(parts: Parts, name: string, options: { for?: Duration } = {}): Promise<Paused> {
  const { actor, durables } = await durablesOfActor(parts, name);
  const untilMs = endOf(Math.max(...durables.map(({ atMs }) => atMs)), options.for);
  for (const { stream, durable } of durables) await parts.reader.pauseConsumer(stream, durable, untilMs);
  return paused(actor, untilMs, durables);
}

/** @throws NotFoundError where it has no durable, InvalidNameError. */
export async function resumeActor(parts: Parts, name: string): Promise<Resumed> {
  const { actor, durables } = await durablesOfActor(parts, name);
  const untilMs = pausedUntilMs(durables);
  // All of them: one may have been paused just now.
  for (const { stream, durable } of durables) await parts.reader.resumeConsumer(stream, durable);
  return { ...paused(actor, untilMs, durables), was: untilMs !== undefined };
}

function paused(actor: string, untilMs: number | undefined, durables: readonly ActorDurable[]): Paused {
  const until = isoEnd(untilMs);
  return {
    actor,
    ...(until !== undefined && { until }),
    durables: durables.map(({ stream, durable }) => ({ stream, durable })),
  };
}
