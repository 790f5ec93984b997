/** Facts: all that the doctor's checks go by, gathered from the server, the workers and the servers' monitors. Decides nothing. */
import type { Bus } from "../../broker/bus.ts";
import type { Connection } from "../../broker/connection.ts";
import { countStranded } from "../../broker/stranded.ts";
import { StreamReader } from "../../broker/stream-reader.ts";
import {
  Survey,
  whyUnread,
  type AccountFacts,
  type DurableFacts,
  type ServerFacts,
  type StreamFacts,
} from "../../broker/survey.ts";
import { objectStoreNames, streamNames } from "../../broker/stream-specs.ts";
import type { Names } from "../../message/subjects.ts";
import { readLeases } from "../../worker/leases.ts";
import { askWorkers } from "../../worker/questions.ts";
import type { WorkerLease, WorkerSnapshot } from "../../worker/snapshot.ts";
import { filtersOf, groupsOf, isQueue, listDurables, type DurableOwner } from "../durables.ts";
import type { Known } from "./finding.ts";
import { readMonitor, type MonitorFacts } from "./monitor.ts";
import { nobody, trialsOf, type RightsTrial } from "./trials.ts";

export type Durable = DurableFacts & DurableOwner;

export interface Facts {
  names: Names;
  server: ServerFacts;
  account: Known<AccountFacts>;
  /** By name, Godwit's own and those that actors subscribe to; undefined for what should be there and is not. */
  streams: Map<string, Known<StreamFacts | undefined>>;
  /** How many tasks each subject of the task stream holds, and likewise those whose time has come. */
  taskSubjects: Known<Record<string, number>>;
  dueSubjects: Known<Record<string, number>>;
  durables: Durable[];
  /** Why the list of durables may be short, one for each stream. */
  durablesUnread: { stream: string; unread: string }[];
  /** Of durables of streams that forget: when the first message that they have not handed out was stored. Wall-clock ms. */
  waitingSinceMs: Map<Durable, number>;
  /**
   * How many messages each actor's durables on a stream will never hand out, where there are any. Undefined: at least one event, and it
   * cannot be told how many, since settled ones are stored too.
   */
  stranded: { actor: string; stream: string; messages: number | undefined }[];
  workers: WorkerSnapshot[];
  /** Between these the workers answered, wall-clock ms of this host. */
  askedAtMs: number;
  answeredAtMs: number;
  /** Who has left word that he works. */
  leases: Known<WorkerLease[]>;
  /** How far this host's clock is ahead of the server's. */
  clock: Known<{ aheadMs: number; errorMs: number }>;
  denied: Known<RightsTrial[]>;
  /** How many streams take a task; where it is two, they are in two JetStream domains. */
  taskStreams: Known<number>;
  /** Undefined where none was named. */
  monitors: { url: string; facts: Known<MonitorFacts> }[] | undefined;
}

export interface DoctorServices {
  names: Names;
  connection: Connection;
  bus: Bus;
}

const answerMs = 2_000;
/** Nobody has left word: for one who could not. */
const unexpectedMs = 300;

/** @param monitors addresses of the servers' monitoring, such as `http://127.0.0.1:8222`. */
export async function gatherFacts(services: DoctorServices, monitors: readonly string[] | undefined): Promise<Facts> {
  const { names, connection, bus } = services;
  const survey = new Survey(connection, names);
  const reader = new StreamReader(connection);
  const own = streamNames(names);
  const taskStreams = known(survey.storedBy(names.taskSubject(nobody)));
  const durablesUnread: Facts["durablesUnread"] = [];
  const unreadAs =
    <T>(stream: string, empty: T) =>
    (error: unknown): T => {
      durablesUnread.push({ stream, unread: whyUnread(error) });
      return empty;
    };
  const [durables, ownStreams, account, taskSubjects, dueSubjects, clock, leases, denied] = await Promise.all([
    listDurables(names, {
      consumers: (stream) => survey.durables(stream).catch(unreadAs(stream, [])),
      streamNames: () => reader.streamNames().catch(unreadAs("the account's streams", [])),
    }),
    Promise.all(own.map(async (stream) => [stream, await known(survey.stream(stream))] as const)),
    known(survey.account()),
    known(reader.subjects(names.tasks, names.taskSubject(">", "*"))),
    known(reader.subjects(names.schedule, names.dueSubject(">", "*"))),
    known(survey.clockAhead(names.tasks)),
    known(readLeases({ names, reader })),
    known(survey.denied(trialsOf(names, connection.chosenDomain))),
  ]);
  const streams = new Map(ownStreams);
  // Made when they are needed: one that is not there is not missing.
  for (const store of objectStoreNames(names)) {
    const fact = await known(survey.stream(store));
    if (!("value" in fact && fact.value === undefined)) streams.set(store, fact);
  }
  for (const stream of new Set(durables.map((durable) => durable.stream))) {
    if (!streams.has(stream)) streams.set(stream, await known(survey.stream(stream)));
  }
  const askedAtMs = Date.now();
  const expected = "value" in leases ? leases.value.length : Infinity;
  const workers = await askWorkers(
    { names, bus },
    { ask: "snapshot" },
    { waitMs: expected === 0 ? unexpectedMs : answerMs, enough: Math.max(1, expected) },
  );
  return {
    names,
    server: survey.server(),
    account,
    streams,
    taskSubjects,
    dueSubjects,
    durables,
    durablesUnread,
    waitingSinceMs: await waitingSince(survey, streams, durables),
    stranded: (
      await Promise.all(
        groupsOf(durables).map((group) => strandedOf(reader, group, unreadAs(group[0]?.stream ?? "", 0))),
      )
    ).flat(),
    workers,
    askedAtMs,
    answeredAtMs: Date.now(),
    leases,
    clock,
    denied,
    taskStreams: await taskStreams,
    monitors:
      monitors && (await Promise.all(monitors.map(async (url) => ({ url, facts: await known(readMonitor(url)) })))),
  };
}

/** True where Godwit has made nothing in the namespace, or all of it is gone. */
export function isEmpty({ streams }: Facts): boolean {
  return [...streams.values()].every((fact) => "value" in fact && fact.value === undefined);
}

async function waitingSince(
  survey: Survey,
  streams: Facts["streams"],
  durables: readonly Durable[],
): Promise<Map<Durable, number>> {
  const found = new Map<Durable, number>();
  for (const durable of durables) {
    const stream = streams.get(durable.stream);
    if (durable.pending === 0 || stream === undefined || "unread" in stream || !stream.value?.maxAgeMs) continue;
    const first = await known(survey.firstAtMs(durable.stream, durable.filters, durable.delivered + 1));
    if ("value" in first && first.value !== undefined) found.set(durable, first.value);
  }
  return found;
}

/** A user's own stream may be a queue too; whether it is, or what of it is settled, not everyone may ask. */
async function strandedOf(
  reader: StreamReader,
  group: readonly Durable[],
  onUnread: (error: unknown) => number,
): Promise<Facts["stranded"]> {
  const isOwn = group.every(isQueue);
  const counted = await countStranded(reader, group).catch(isOwn ? onUnread : () => 0);
  const dropped = counted === 0 && !isOwn && (await anyDropped(reader, group).catch(() => false));
  const messages = dropped ? undefined : counted;
  return messages === 0 ? [] : group.slice(0, 1).map(({ actor, stream }) => ({ actor, stream, messages }));
}

/** Where nothing is in flight everything that was handed out should be settled. Events that came later, and are settled, cover the trace. */
async function anyDropped(reader: StreamReader, group: readonly Durable[]): Promise<boolean> {
  for (const durable of group) {
    const { stream, inFlight, ackFloor, delivered } = durable;
    if (inFlight > 0 || ackFloor >= delivered) continue;
    const firsts = await Promise.all(filtersOf(durable).map((filter) => reader.first(stream, filter, ackFloor + 1)));
    if (firsts.some((first) => first !== undefined && first.sequence <= delivered)) return true;
  }
  return false;
}

async function known<T>(read: Promise<T>): Promise<Known<T>> {
  try {
    return { value: await read };
  } catch (error) {
    return { unread: whyUnread(error) };
  }
}
