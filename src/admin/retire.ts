/** Retire: ends an actor's service by deleting its durables. Nothing else does: what waits for an actor waits until it comes back. */
import type { Bus } from "../broker/bus.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { InUseError } from "../kernel/errors.ts";
import type { Names } from "../message/subjects.ts";
import { isPresent } from "../worker/questions.ts";
import { durablesOfActor, isQueue } from "./durables.ts";
import { answerMs } from "./workers.ts";

export interface Retired {
  actor: string;
  durables: { stream: string; durable: string }[];
  /** Tasks that stay stored, served by nobody until the actor is back: waiting, due, scheduled, in flight. */
  tasksLeft: number;
  /** Events that it had not finished and will not be handed again. */
  eventsLost: number;
}

/**
 * Deletes every durable of an actor.
 * @param options.force also while workers listen to it or messages wait.
 * @throws NotFoundError where it has none; InUseError, which says what would be lost.
 */
export async function retire(
  { names, bus, reader }: { names: Names; bus: Bus; reader: StreamReader },
  name: string,
  options: { force?: boolean } = {},
): Promise<Retired> {
  const { actor, durables } = await durablesOfActor({ names, reader }, name);
  const scheduled = await reader.count(names.schedule, names.scheduleFilter(actor));
  const held = { tasks: scheduled, events: 0, inFlight: 0 };
  for (const durable of durables) {
    held[isQueue(durable) ? "tasks" : "events"] += durable.pending + durable.inFlight;
    held.inFlight += durable.inFlight;
  }
  if (!options.force) {
    const listening =
      durables.some((durable) => durable.waitingPulls > 0) || (await isPresent({ names, bus }, actor, answerMs));
    if (listening || held.tasks > 0 || held.events > 0) throw inUse(actor, listening, held);
  }
  for (const { stream, durable } of durables) await reader.deleteConsumer(stream, durable);
  return {
    actor,
    durables: durables.map(({ stream, durable }) => ({ stream, durable })),
    tasksLeft: held.tasks,
    eventsLost: held.events,
  };
}

function inUse(
  actor: string,
  listening: boolean,
  held: { tasks: number; events: number; inFlight: number },
): InUseError {
  const facts = [
    listening && "workers listen to it",
    held.tasks > 0 && `tasks not done: ${held.tasks}, which would stay stored with nobody to serve them`,
    held.events > 0 && `events not done: ${held.events}, which would be lost to it`,
    held.inFlight > 0 && `in flight: ${held.inFlight}, which would forget their attempts`,
  ].filter((fact) => fact !== false);
  return new InUseError(
    `The actor ${actor} is in use (${facts.join("; ")}); stop its workers and let it finish, or repeat with --force.`,
  );
}
