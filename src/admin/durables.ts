/** The durables that there are, each with the actor that it belongs to: what the fleet serves, whether or not a worker runs. */
import type { ConsumerState, StreamReader } from "../broker/stream-reader.ts";
import { NotFoundError } from "../kernel/errors.ts";
import { checkActorName, lanes, subjectMatches, unkey } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";

/** What comes through a durable: tasks, tasks whose time has come, Godwit's events, or messages of a stream made by others. */
export type Source = "task" | "due" | "event" | "foreign";

/** Whose a durable is, and what comes through it. */
export interface DurableOwner {
  actor: string;
  stream: string;
  source: Source;
}

export interface ActorDurable extends ConsumerState, DurableOwner {}

const laneSuffix = new RegExp(`=(${lanes.join("|")})$`);
/** Streams below buckets and object stores hold no messages for actors. */
const bucketStream = /^(KV_|OBJ_)/;

/** Every durable of every actor of the namespace, also those on streams that Godwit did not make. */
export async function listDurables<State extends ConsumerState>(
  names: Names,
  reader: { consumers(stream: string): Promise<State[]>; streamNames(): Promise<string[]> },
): Promise<(State & DurableOwner)[]> {
  const read = async (stream: string, source: Source): Promise<(State & DurableOwner)[]> =>
    (await reader.consumers(stream)).flatMap((state) => {
      const actor = actorOf(names, source, state);
      return actor === undefined ? [] : [{ ...state, actor, stream, source }];
    });
  const own = new Set([names.tasks, names.schedule, names.events, names.dead]);
  const foreign = (await reader.streamNames()).filter((stream) => !own.has(stream) && !bucketStream.test(stream));
  const [tasks, due, events, ...others] = await Promise.all([
    read(names.tasks, "task"),
    read(names.schedule, "due"),
    read(names.events, "event"),
    ...foreign.map((stream) => read(stream, "foreign")),
  ]);
  // Anyone may look at the events with a consumer of their own; an actor always has a durable for tasks.
  const actors = new Set(tasks.map(({ actor }) => actor));
  return [...tasks, ...due, ...events.filter(({ actor }) => actors.has(actor)), ...others.flat()];
}

/** Those of one actor. @throws NotFoundError where it has none, InvalidNameError. */
export async function durablesOfActor(
  { names, reader }: { names: Names; reader: StreamReader },
  name: string,
): Promise<{ actor: string; durables: ActorDurable[] }> {
  const actor = checkActorName(name);
  const durables = (await listDurables(names, reader)).filter((durable) => durable.actor === actor);
  if (durables.length > 0) return { actor, durables };
  throw new NotFoundError(
    `No actor ${actor} has ever run in the namespace ${names.namespace}; 'godwit status' lists those that have.`,
  );
}

/** True where a durable of the stream hands out what is stored under the subject. */
export function isServed(durables: readonly ActorDurable[], stream: string, subject: string): boolean {
  return durables.some((durable) => durable.stream === stream && servesSubject(durable, subject));
}

export function servesSubject(durable: Pick<ActorDurable, "filters">, subject: string): boolean {
  return filtersOf(durable).some((filter) => subjectMatches(filter, subject));
}

/** A durable without filters hands out everything. */
export function filtersOf({ filters }: Pick<ActorDurable, "filters">): readonly string[] {
  return filters.length === 0 ? [">"] : filters;
}

/** The durables of each actor on each stream. */
export function groupsOf<Durable extends { actor: string; stream: string }>(durables: readonly Durable[]): Durable[][] {
  const groups = new Map<string, Durable[]>();
  for (const durable of durables) {
    const group = `${durable.actor} ${durable.stream}`;
    groups.set(group, [...(groups.get(group) ?? []), durable]);
  }
  return [...groups.values()];
}

/** True where a message stays stored until it is settled; of events, others have their own. */
export function isQueue({ source }: Pick<ActorDurable, "source">): boolean {
  return source === "task" || source === "due";
}

/** Undefined for a consumer that no actor made: one of another name than an actor's, or that hands out what is another's or everybody's. */
function actorOf(names: Names, source: Source, { durable, filters }: ConsumerState): string | undefined {
  const prefix = source === "foreign" ? names.foreignDurable("") : "";
  if (!durable.startsWith(prefix)) return undefined;
  const own = durable.slice(prefix.length);
  if (source === "foreign") return unkey(own);
  const actor = unkey(own.replace(laneSuffix, ""));
  const stream = { task: names.tasks, due: names.schedule, event: names.events }[source];
  const isIts = (filter: string): boolean => {
    const origin = names.origin(stream, filter);
    return origin.kind === source && (!("actor" in origin) || origin.actor === actor);
  };
  return filters.length > 0 && filters.every(isIts) ? actor : undefined;
}
