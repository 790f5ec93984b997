/** Status: how much is stored where, how each actor stands, and what nobody serves. Read off the server; nothing is kept or counted here. */
import type { StreamReader } from "../broker/stream-reader.ts";
import { isoEnd } from "../kernel/until.ts";
import { lanes, type Lane } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import { viewFleet, type FleetParts } from "./fleet-view.ts";
import { isServed, servesSubject, type ActorDurable, type Source } from "./durables.ts";
import type { HoldUp } from "./api.ts";
import { holdUpsOf, type FleetView } from "./hold-ups.ts";
import { pausedUntilMs } from "./pause.ts";
import type { WorkerStatus } from "./workers.ts";

export interface StreamStatus {
  stream: string;
  messages: number;
  bytes: number;
  firstSequence: number;
  lastSequence: number;
}

export interface ActorStatus {
  actor: string;
  /** Tasks that no worker has been handed yet. */
  waiting: number;
  /** The same, by lane. */
  lanes: Record<Lane, number>;
  /** Delayed tasks whose time has come and that no worker has been handed yet. */
  due: number;
  /** Events that no worker has been handed yet, those of streams made by others included. */
  events: number;
  /** Tasks whose time has not come. */
  scheduled: number;
  /** Handed to a worker and not settled: running, held, or put back to come again later. */
  inFlight: number;
  /** Open pulls of its busiest durable: about one for each worker that has room for more; none while a guard holds it back. */
  listening: number;
  /** Workers that serve it and answered. */
  workers: number;
  /** Why nobody takes its messages, should any come now; empty where somebody would. */
  holdUps: HoldUp[];
  /** Nothing is delivered to it. */
  paused: boolean;
  /** ISO time; absent where it is not paused, or until it is resumed. */
  pausedUntil?: string;
  dead: number;
}

/** A subject that holds messages which no durable will ever hand out. */
export interface Orphan {
  stream: string;
  subject: string;
  messages: number;
}

export interface Status {
  namespace: string;
  /** ISO time of the server's answers. */
  at: string;
  streams: StreamStatus[];
  /** By name. */
  actors: ActorStatus[];
  /** Tasks whose time has not come, of all actors. */
  scheduled: number;
  dead: number;
  orphans: Orphan[];
}

/** @param workers where they are known already. */
export async function readStatus(parts: FleetParts, workers?: readonly WorkerStatus[]): Promise<Status> {
  const { names, reader } = parts;
  const [streams, fleet, taskSubjects, dueSubjects, scheduled] = await Promise.all([
    Promise.all([names.tasks, names.schedule, names.events, names.dead].map((stream) => readStream(reader, stream))),
    viewFleet(parts, workers),
    reader.subjects(names.tasks, names.taskSubject(">", "*")),
    reader.subjects(names.schedule, names.dueSubject(">", "*")),
    reader.count(names.schedule, names.scheduleFilter()),
  ]);
  const { durables } = fleet;
  const stored = [
    ...Object.entries(taskSubjects).map(([subject, messages]) => ({ stream: names.tasks, subject, messages })),
    ...Object.entries(dueSubjects).map(([subject, messages]) => ({ stream: names.schedule, subject, messages })),
  ];
  const actors = await Promise.all(
    [...new Set(durables.map(({ actor }) => actor))]
      .toSorted()
      .map((actor) => readActor(names, reader, actor, fleet, taskSubjects)),
  );
  return {
    namespace: names.namespace,
    at: new Date().toISOString(),
    streams,
    actors,
    scheduled,
    dead: streams.find(({ stream }) => stream === names.dead)?.messages ?? 0,
    orphans: stored.filter(({ stream, subject }) => !isServed(durables, stream, subject)),
  };
}

async function readStream(reader: StreamReader, stream: string): Promise<StreamStatus> {
  const empty = { messages: 0, bytes: 0, firstSequence: 0, lastSequence: 0 };
  return { stream, ...((await reader.state(stream)) ?? empty) };
}

async function readActor(
  names: Names,
  reader: StreamReader,
  actor: string,
  fleet: FleetView,
  taskSubjects: Readonly<Record<string, number>>,
): Promise<ActorStatus> {
  const durables = fleet.durables.filter((durable) => durable.actor === actor);
  const pausedMs = pausedUntilMs(durables);
  const pausedUntil = isoEnd(pausedMs);
  const pending = (...sources: Source[]): number =>
    sum(durables.filter(({ source }) => sources.includes(source)).map((durable) => durable.pending));
  const [byLane, scheduled, dead] = await Promise.all([
    waitingByLane(names, reader, actor, durables, taskSubjects),
    reader.count(names.schedule, names.scheduleFilter(actor)),
    reader.count(names.dead, names.deadFilter(actor)),
  ]);
  return {
    actor,
    waiting: pending("task"),
    lanes: byLane,
    due: pending("due"),
    events: pending("event", "foreign"),
    scheduled,
    inFlight: sum(durables.map((durable) => durable.inFlight)),
    listening: Math.max(0, ...durables.map((durable) => durable.waitingPulls)),
    workers: fleet.workers.filter(({ snapshot }) => snapshot?.perActor[actor] !== undefined).length,
    holdUps: holdUpsOf(fleet, actor),
    paused: pausedMs !== undefined,
    ...(pausedUntil !== undefined && { pausedUntil }),
    dead,
  };
}

/** A durable tells how much waits over all its lanes; what lies behind the last message that it handed out tells in which. */
async function waitingByLane(
  names: Names,
  reader: StreamReader,
  actor: string,
  durables: readonly ActorDurable[],
  taskSubjects: Readonly<Record<string, number>>,
): Promise<Record<Lane, number>> {
  const counts = await Promise.all(
    lanes.map(async (lane) => {
      const subject = names.taskSubject(actor, lane);
      const durable = durables.find((one) => one.source === "task" && servesSubject(one, subject));
      if (!durable || durable.pending === 0 || !taskSubjects[subject]) return 0;
      return reader.count(names.tasks, subject, durable.delivered + 1);
    }),
  );
  return Object.fromEntries(lanes.map((lane, index) => [lane, counts[index]])) as Record<Lane, number>;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
