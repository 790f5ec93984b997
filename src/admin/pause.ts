/** Pause: nothing is delivered to an actor, on any host, until it is resumed or a time has come. What runs goes on and is settled. */
import type { Bucket } from "../broker/bucket.ts";
import { takeHold } from "../broker/hold.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { monotonicMs, pause } from "../kernel/clock.ts";
import type { Duration } from "../kernel/duration.ts";
import { endOf, isoEnd } from "../kernel/until.ts";
import type { Names } from "../message/subjects.ts";
import { checkActorName } from "../message/names.ts";
import { holdKey } from "../worker/declared.ts";
import { durablesOfActor, type ActorDurable } from "./durables.ts";

/** A process that changes durables has them for less, unless it died. */
const patienceMs = 10_000;
const againMs = 50;

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
  workers: Bucket;
}

/** @throws NotFoundError where it has no durable, InvalidNameError, ConfigError. */
export function pauseActor(parts: Parts, name: string, options: { for?: Duration } = {}): Promise<Paused> {
  return undisturbed(parts, name, async () => {
    const { actor, durables } = await durablesOfActor(parts, name);
    const untilMs = endOf(Math.max(...durables.map(({ atMs }) => atMs)), options.for);
    for (const { stream, durable } of durables) await parts.reader.pauseConsumer(stream, durable, untilMs);
    return paused(actor, untilMs, durables);
  });
}

/** @throws NotFoundError where it has no durable, InvalidNameError. */
export function resumeActor(parts: Parts, name: string): Promise<Resumed> {
  return undisturbed(parts, name, async () => {
    const { actor, durables } = await durablesOfActor(parts, name);
    const untilMs = pausedUntilMs(durables);
    // All of them: one may have been paused just now.
    for (const { stream, durable } of durables) await parts.reader.resumeConsumer(stream, durable);
    return { ...paused(actor, untilMs, durables), was: untilMs !== undefined };
  });
}

/** A process that changes the durables sends back the pause that it read. Without the right to have it wait, or the bucket, there is no wait. */
async function undisturbed<T>({ workers }: Parts, name: string, change: () => Promise<T>): Promise<T> {
  const take = () => takeHold(workers, holdKey(checkActorName(name))).catch(() => null);
  const deadlineMs = monotonicMs() + patienceMs;
  let hold = await take();
  while (hold === undefined && monotonicMs() < deadlineMs) {
    await pause(againMs);
    hold = await take();
  }
  try {
    return await change();
  } finally {
    await hold?.release();
  }
}

function paused(actor: string, untilMs: number | undefined, durables: readonly ActorDurable[]): Paused {
  const until = isoEnd(untilMs);
  return {
    actor,
    ...(until !== undefined && { until }),
    durables: durables.map(({ stream, durable }) => ({ stream, durable })),
  };
}
