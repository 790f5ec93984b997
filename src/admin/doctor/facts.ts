/** Facts: all that the doctor's checks go by, gathered from the server, the workers and the servers' monitors. Decides nothing. */
import type { Bus } from "../../broker/bus.ts";
import type { Connection } from "../../broker/connection.ts";
import { StreamReader } from "../../broker/stream-reader.ts";
import {
  Survey,
  whyUnread,
  type AccountFacts,
  type DurableFacts,
  type ServerFacts,
  type StreamFacts,
} from "../../broker/survey.ts";
import { defaultLimits, storingOf, streamSpecs } from "../../broker/topology.ts";
import type { Names } from "../../message/subjects.ts";
import { askWorkers } from "../../worker/questions.ts";
import type { WorkerLease, WorkerSnapshot } from "../../worker/snapshot.ts";
import { listDurables, type DurableOwner } from "../durables.ts";
import { readLeases } from "../workers.ts";
import type { Known } from "./finding.ts";
import { readMonitor, type MonitorFacts } from "./monitor.ts";
import { trialsOf, type RightsTrial } from "./trials.ts";

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
  workers: WorkerSnapshot[];
  /** Between these the workers answered, wall-clock ms of this host. */
  askedAtMs: number;
  answeredAtMs: number;
  /** Who has left word that he works. */
  leases: Known<WorkerLease[]>;
  /** How far this host's clock is ahead of the server's. */
  clock: Known<{ aheadMs: number; errorMs: number }>;
  denied: Known<RightsTrial[]>;
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
  const own = streamSpecs(names, storingOf("single"), defaultLimits).map(({ name }) => name);
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
    known(readLeases({ names, bus, reader })),
    known(survey.denied(trialsOf(names))),
  ]);
  const streams = new Map(ownStreams);
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
    workers,
    askedAtMs,
    answeredAtMs: Date.now(),
    leases,
    clock,
    denied,
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

async function known<T>(read: Promise<T>): Promise<Known<T>> {
  try {
    return { value: await read };
  } catch (error) {
    return { unread: whyUnread(error) };
  }
}
