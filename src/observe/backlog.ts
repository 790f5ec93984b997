/** Backlog: what waits at the server for one actor, read from outside: how much, where, and since when. */
import type { ConsumerState, StreamReader } from "../broker/stream-reader.ts";
import { lanes, subjectMatches, type Lane } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import type { ActorDurable } from "../worker/durables.ts";

/** Where messages wait: a lane of the tasks, delayed tasks whose time has come, or events. */
export const places = [...lanes, "due", "event"] as const;
export type Place = (typeof places)[number];

export interface Waiting {
  count: number;
  /** How long the oldest has been stored, by the server's clock; undefined where none waits, or where that cannot be told. */
  oldestMs?: number;
}

/** What moves through the durables of one actor, over the whole fleet; all numbers of a durable are of one moment. */
export interface Queue {
  /** Handed to no worker yet. What sleeps until its next attempt, or in the schedule, is not among them. */
  pending: number;
  /** Deliveries that there were, those of the same message again included. */
  deliveries: number;
  paused: boolean;
}

export interface Backlog extends Queue {
  waiting: Record<Place, Waiting>;
  scheduled: number;
  /** Handed to any worker and not settled. */
  inFlight: number;
  dead: number;
}

/** Where a durable is found. */
export interface DurableName {
  stream: string;
  durable: string;
}

interface Durable extends ActorDurable {
  state: ConsumerState;
}

/** @throws what the server says, or that it did not answer. */
export async function readBacklog(
  names: Names,
  reader: StreamReader,
  actor: string,
  durables: readonly ActorDurable[],
): Promise<Backlog> {
  const [states, scheduled, dead] = await Promise.all([
    Promise.all(durables.map(({ stream, spec }) => reader.consumer(stream, spec.durable_name))),
    reader.count(names.schedule, names.scheduleFilter(actor)),
    reader.count(names.dead, names.deadFilter(actor)),
  ]);
  const there = durables.flatMap((durable, at): Durable[] => {
    const state = states[at];
    return state === undefined ? [] : [{ ...durable, state }];
  });
  const from = (...streams: string[]): Durable[] => there.filter(({ stream }) => streams.includes(stream));
  const tasks = from(names.tasks);
  const foreign = there.filter(({ stream }) => ![names.tasks, names.schedule, names.events].includes(stream));
  const [due, events, others, ...byLane] = await Promise.all([
    waiting(reader, from(names.schedule)),
    waiting(reader, from(names.events)),
    // A stream that Godwit did not make need not allow the look at its oldest.
    waiting(reader, foreign).catch(() => ({ count: pending(foreign) })),
    ...lanes.map((lane) => waitingInLane(reader, tasks, names.taskSubject(actor, lane))),
  ]);
  const inLanes = Object.fromEntries(lanes.map((lane, at) => [lane, byLane[at]])) as Record<Lane, Waiting>;
  return {
    waiting: { ...inLanes, due, event: together([events, others]) },
    scheduled,
    dead,
    inFlight: there.reduce((sum, { state }) => sum + state.inFlight, 0),
    ...queueOf(there.map(({ state }) => state)),
  };
}

/**
 * The queue of each actor, and nothing more: one request for each durable.
 * @throws what the server says, or that it did not answer.
 */
export async function readQueues(
  reader: StreamReader,
  durables: ReadonlyMap<string, readonly DurableName[]>,
): Promise<Map<string, Queue>> {
  const queues = [...durables].map(async ([actor, own]): Promise<[string, Queue]> => [
    actor,
    await readQueue(reader, own),
  ]);
  return new Map(await Promise.all(queues));
}

/** The same of one actor. */
export async function readQueue(reader: StreamReader, durables: readonly DurableName[]): Promise<Queue> {
  const states = await Promise.all(durables.map(({ stream, durable }) => reader.consumer(stream, durable)));
  return queueOf(states.filter((state) => state !== undefined));
}

function queueOf(states: readonly ConsumerState[]): Queue {
  return {
    pending: states.reduce((sum, state) => sum + state.pending, 0),
    deliveries: states.reduce((sum, state) => sum + state.deliveries, 0),
    paused: states.some(({ pausedUntilMs }) => pausedUntilMs !== undefined),
  };
}

/** A durable tells how much waits, and not since when: the first message behind the last one that it handed out tells that. */
async function waiting(reader: StreamReader, durables: readonly Durable[]): Promise<Waiting> {
  const looks = durables
    .filter(({ state }) => state.pending > 0)
    .flatMap((durable) => durable.spec.filter_subjects.map((filter) => behind(reader, durable, filter)));
  return { ...together(await Promise.all(looks)), count: pending(durables) };
}

/** A durable tells how much waits over all its lanes; what lies behind the last message that it handed out tells in which. */
async function waitingInLane(reader: StreamReader, durables: readonly Durable[], subject: string): Promise<Waiting> {
  const durable = durables.find(({ spec }) => spec.filter_subjects.some((filter) => subjectMatches(filter, subject)));
  if (durable === undefined || durable.state.pending === 0) return { count: 0 };
  return behind(reader, durable, subject);
}

async function behind(reader: StreamReader, { stream, state }: Durable, filter: string): Promise<Waiting> {
  const { count, oldestAtMs } = await reader.backlog(stream, filter, state.delivered + 1);
  return { count, ...(oldestAtMs !== undefined && { oldestMs: Math.max(0, state.atMs - oldestAtMs) }) };
}

function pending(durables: readonly Durable[]): number {
  return durables.reduce((sum, { state }) => sum + state.pending, 0);
}

function together(all: readonly Waiting[]): Waiting {
  const ages = all.flatMap(({ oldestMs }) => (oldestMs === undefined ? [] : [oldestMs]));
  const count = all.reduce((sum, one) => sum + one.count, 0);
  return { count, ...(ages.length > 0 && { oldestMs: Math.max(...ages) }) };
}
