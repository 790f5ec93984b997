/**
 * Find: where the messages with an id are stored.
 * 1. There is no index by id, so streams are searched from their newest message backwards, up to a limit, and what was left out is told.
 * 2. A scheduled task and a stored result have the id in their subject; they are found without a search.
 */
import type { StoredMessage, StreamReader } from "../broker/stream-reader.ts";
import { infoOf } from "../lifecycle/dead-letter.ts";
import { messageId } from "../message/headers.ts";
import { key } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import type { Searched } from "./api.ts";

export interface Search {
  id: string;
  /** Only this actor's messages. Default: everyone's. */
  actor: string | undefined;
  /** Messages to look at in each stream, at most. */
  limit: number;
}

export interface SearchResult {
  /** Tasks, fired schedules and events. */
  messages: StoredMessage[];
  scheduled: StoredMessage[];
  dead: StoredMessage[];
  searched: Searched[];
}

/** Actor names have few words; those that are known to have more are looked up by name. */
const maxWords = 8;

export async function findMessages(names: Names, reader: StreamReader, search: Search): Promise<SearchResult> {
  const { id, actor } = search;
  const find = async (
    stream: string,
    filter: string,
    fits = (message: StoredMessage): boolean => messageId(message) === id,
  ): Promise<{ found: StoredMessage[]; searched: Searched }> => {
    const { from, looked, of } = await newestOf(reader, stream, filter, search.limit);
    const found: StoredMessage[] = [];
    for await (const message of reader.scan(stream, filter, from)) if (fits(message)) found.push(message);
    return { found, searched: { stream, looked, of } };
  };
  const whose = actor ?? ">";
  const [tasks, due, events, scheduled, dead] = await Promise.all([
    find(names.tasks, names.taskSubject(whose, "*")),
    find(names.schedule, names.dueSubject(whose, "*")),
    find(names.events, names.eventSubject(">")),
    findScheduled(names, reader, id, actor),
    find(names.dead, names.deadFilter(actor), (message) => infoOf(message)?.id === id),
  ]);
  return {
    messages: [tasks, due, events].flatMap(({ found }) => found),
    scheduled,
    dead: dead.found,
    searched: [tasks, due, events, dead].map(({ searched }) => searched),
  };
}

/**
 * The dead letters of one message, one for each actor that gave up on it.
 * @param storedAtMs undefined for all that ever were at the place: a stream that was made anew has others there.
 */
export async function findDeadOf(
  names: Names,
  reader: StreamReader,
  { stream, sequence, storedAtMs }: { stream: string; sequence: number; storedAtMs: number | undefined },
  actor?: string,
): Promise<StoredMessage[]> {
  const of = (one: string): string => names.deadSubject(one, stream, sequence);
  const found = await collect(reader, names.dead, actor === undefined ? ofAnyActor(of) : [of(actor)]);
  return found.filter((letter) => {
    const info = infoOf(letter);
    return info !== undefined && (storedAtMs === undefined || Date.parse(info.origin.storedAt) === storedAtMs);
  });
}

/** As findResultActors(), for a message without an id that is gone: with the ids, which tell when it was stored. */
export async function findResultsAt(
  names: Names,
  reader: StreamReader,
  stream: string,
  sequence: number,
): Promise<string[]> {
  const subjects = Object.keys(await reader.subjects(`KV_${names.resultsBucket}`, `$KV.${names.resultsBucket}.>`));
  const start = `${stream}-${sequence}-`;
  const ids = subjects.map((one) => one.slice(one.lastIndexOf(".") + 1));
  return [...new Set(ids.filter((id) => id.startsWith(start) && /^\d+$/.test(id.slice(start.length))))];
}

/** The actors that have a stored result, or a note that one is pending, for the id. */
export async function findResultActors(names: Names, reader: StreamReader, id: string): Promise<string[]> {
  const prefix = `$KV.${names.resultsBucket}.`;
  const filters = ofAnyActor((actor) => `${prefix}${names.resultKey(actor, id)}`);
  const found = await Promise.all(filters.map((filter) => reader.subjects(`KV_${names.resultsBucket}`, filter)));
  const tail = `.${key(id)}`;
  return found.flatMap((subjects) => Object.keys(subjects).map((one) => one.slice(prefix.length, -tail.length)));
}

async function findScheduled(
  names: Names,
  reader: StreamReader,
  id: string,
  actor: string | undefined,
): Promise<StoredMessage[]> {
  const filters =
    actor === undefined ? ofAnyActor((any) => names.scheduleSubject(any, id)) : [names.scheduleSubject(actor, id)];
  return collect(reader, names.schedule, filters);
}

async function collect(reader: StreamReader, stream: string, filters: readonly string[]): Promise<StoredMessage[]> {
  const found: StoredMessage[] = [];
  for (const filter of filters) {
    for await (const message of reader.scan(stream, filter)) found.push(message);
  }
  return found;
}

/** A subject for actors of one word, of two, and so on: a wildcard in the middle stands for one word only. */
function ofAnyActor(subject: (actor: string) => string): string[] {
  return Array.from({ length: maxWords }, (_, index) =>
    subject(
      Array(index + 1)
        .fill("*")
        .join("."),
    ),
  );
}

/** From which sequence on no more than `limit` messages of the filter are stored. */
async function newestOf(
  reader: StreamReader,
  stream: string,
  filter: string,
  limit: number,
): Promise<{ from: number; looked: number; of: number }> {
  const state = await reader.state(stream);
  const total = state === undefined ? 0 : await reader.count(stream, filter);
  if (state === undefined || total <= limit) return { from: 1, looked: total, of: total };
  // Sequences have gaps where messages are gone, so the place is found by halving; each step is one small request.
  let low = state.firstSequence;
  let high = state.lastSequence;
  let looked = 0;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const count = await reader.count(stream, filter, middle);
    if (count > limit) low = middle + 1;
    else {
      high = middle;
      looked = count;
    }
  }
  return { from: high, looked: looked === 0 ? await reader.count(stream, filter, high) : looked, of: total };
}
