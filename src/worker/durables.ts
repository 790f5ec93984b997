/** Durables: which consumers an actor needs, as data. */
import type { ResolvedConfig } from "../actor/config.ts";
import type { Bucket } from "../broker/bucket.ts";
import type { Connection } from "../broker/connection.ts";
import { takeHold, type Hold } from "../broker/hold.ts";
import {
  everyDurable,
  filtersOf,
  findDurable,
  pauseDurable,
  reconcileDurable,
  type DurableSpec,
} from "../broker/durable-topology.ts";
import { letGo, mayLetGo } from "../broker/let-go.ts";
import { described } from "../broker/settings.ts";
import type { Provision } from "../broker/topology.ts";
import { monotonicMs, pause } from "../kernel/clock.ts";
import { ConfigError, ConnectError, TopologyMismatchError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import { lanes, subjectMatches, type Lane } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import { filtersBeside, holdKey, longestAckWaitMs } from "./declared.ts";
import { readLeases, type LeaseParts } from "./leases.ts";

export interface ActorDurable {
  stream: string;
  spec: DurableSpec;
}

/** What a durable goes by: its stream and its name there. */
export function durableName({ stream, spec }: ActorDurable): { stream: string; durable: string } {
  return { stream, durable: spec.durable_name };
}

/**
 * The lanes that are to have a durable of their own: those that the config declares, and those that the common durable does not serve, which it
 * never takes back. It cannot be narrowed to nothing: where every lane would have its own, the common one is that of "normal", or of one that
 * it still has.
 * @param served the lanes that the common durable serves. Default: all, as a new one would.
 */
function ownLanes({ lanes: declared }: ResolvedConfig, served: readonly Lane[] = lanes): Lane[] {
  const own = lanes.filter((lane) => declared.includes(lane) || !served.includes(lane));
  if (own.length < lanes.length) return own;
  const common = served.includes("normal") ? "normal" : (served.at(-1) ?? "normal");
  return own.filter((lane) => lane !== common);
}

/**
 * In the order in which they are reconciled: the one that serves all lanes comes before those of single lanes, because filters on a
 * work queue must not overlap and it has to let go of a lane before another can take it.
 */
export function durablesOf(names: Names, config: ResolvedConfig, own = ownLanes(config)): ActorDurable[] {
  const shared = { ...everyDurable, ack_wait: config.ackWaitMs * 1_000_000 };
  const { name } = config;
  const common = lanes.filter((lane) => !own.includes(lane));
  const taskFilters =
    own.length === 0 ? [names.taskSubject(name, "*")] : common.map((lane) => names.taskSubject(name, lane));
  const durable = (stream: string, durableName: string, filters: string[]): ActorDurable => ({
    stream,
    spec: { ...shared, durable_name: durableName, filter_subjects: filters },
  });
  const all: ActorDurable[] = [];
  all.push(durable(names.tasks, names.durable(name), taskFilters));
  for (const lane of own) {
    all.push(durable(names.tasks, names.durable(name, lane), [names.taskSubject(name, lane)]));
  }
  all.push(durable(names.schedule, names.durable(name), [names.dueSubject(name, "*")]));
  const begin = beginning(config);
  const events = config.subscriptions.filter((subscription) => subscription.stream === undefined);
  if (events.length > 0) {
    const { stream, spec } = durable(
      names.events,
      names.durable(name),
      events.map((subscription) => names.eventSubject(subscription.subject)),
    );
    all.push({ stream, spec: { ...spec, ...begin } });
  }
  for (const stream of new Set(config.subscriptions.map((subscription) => subscription.stream))) {
    if (stream === undefined) continue;
    const filters = config.subscriptions.filter((one) => one.stream === stream).map((one) => one.subject);
    const spec = { ...shared, ...begin, durable_name: names.foreignDurable(name), filter_subjects: filters };
    all.push({ stream, spec });
  }
  return all;
}

/** What looking after durables takes. */
export interface DurableParts extends LeaseParts {
  connection: Connection;
  /** Where workers make themselves known. */
  workers: Bucket;
  log: Logger;
}

/** Others may hold the actor's durables for so long, one after the other. */
const patienceMs = 60_000;
const againMs = 50;

/**
 * Makes an actor's durables what its config says, beside what live workers with other configs need of them, or finds that they are. They are
 * changed by one process at a time.
 * A lane whose durable is there keeps it, whether it is declared any more or not: nothing but `actor retire` deletes a durable, and
 * the common one cannot take the lane back while it lives. So a roll-back to a config with fewer lanes works too. A lane that is added stays
 * with the common one until nothing of it is in hand.
 * @throws TopologyMismatchError; ConfigError when a stream that someone else should have made is not there; ConnectError.
 */
export async function ensureDurables(
  parts: DurableParts,
  config: ResolvedConfig,
  provision: Provision,
): Promise<ActorDurable[]> {
  const { durables, waiting } = await bringDurables(parts, config, provision, patienceMs);
  for (const lane of waiting) {
    parts.log.warn(
      { actor: config.name, lane },
      `the lane ${lane} of ${config.name} has no share of its own yet: the actor's common durable serves it while messages of it are in hand or back off; running workers, and godwit provision, change that once none is`,
    );
  }
  return durables;
}

/** As ensureDurables(), without a word. @param waitMs how long others may have them in their hands. */
export async function bringDurables(
  parts: DurableParts,
  config: ResolvedConfig,
  provision: Provision,
  waitMs: number,
): Promise<Wanted> {
  const mayChange = provision === "create" || provision === "keep";
  const deadlineMs = monotonicMs() + waitMs;
  for (;;) {
    const wanted = await wantedDurables(parts, config, mayChange);
    if (!mayChange || !(await mayHandOver(parts, config, wanted))) {
      try {
        await reconcile(parts, config, wanted.durables, provision, mayChange ? "check" : provision);
        return wanted;
      } catch (error) {
        if (!mayChange || !(error instanceof TopologyMismatchError)) throw error;
      }
    }
    const hold = await takeHold(parts.workers, holdKey(config.name));
    if (hold === undefined) {
      if (monotonicMs() >= deadlineMs) throw heldByOthers(config.name);
      await pause(againMs);
      continue;
    }
    try {
      // Others may have done it meanwhile.
      if (wanted.waiting.length > 0) await handOver(parts, config, provision, hold);
      const now = await wantedDurables(parts, config, mayChange);
      await reconcile(parts, config, now.durables, provision, provision, hold);
      return now;
    } finally {
      await hold.release();
    }
  }
}

/**
 * Puts back what somebody has changed of one of an actor's durables. It is not made where it is gone: it may have been retired.
 * @returns false where another process has them in its hands. @throws as ensureDurables().
 */
export async function restoreDurables(
  parts: DurableParts & { provision: Provision },
  config: ResolvedConfig,
  { stream, durable }: ReturnType<typeof durableName>,
): Promise<boolean> {
  const { provision } = parts;
  const hold = await takeHold(parts.workers, holdKey(config.name));
  if (hold === undefined) return false;
  try {
    // Others may have given a lane another durable.
    const { durables } = await wantedDurables(parts, config, true);
    const edited = durables.filter((one) => one.stream === stream && one.spec.durable_name === durable);
    await reconcile(parts, config, edited, provision, "restore", hold);
    return true;
  } finally {
    await hold.release();
  }
}

export interface Wanted {
  durables: ActorDurable[];
  /** Lanes that are to have a durable of their own, and that the common one serves. */
  waiting: Lane[];
  served: Lane[];
}

/**
 * The common durable says which lanes have their own: those that it does not serve.
 * @param mayLook a credential that may not create may not be allowed to look for durables that its config does not name.
 */
export async function wantedDurables(
  { connection: { jsm }, names }: DurableParts,
  config: ResolvedConfig,
  mayLook: boolean,
): Promise<Wanted> {
  const { name } = config;
  const common = await findDurable(jsm, names.tasks, names.durable(name));
  const filters = common === undefined ? [] : filtersOf(common.config);
  // Any other was set by hand, and says nothing of lanes.
  const isOwn = (filter: string): boolean =>
    lanes.some((lane) => subjectMatches(filter, names.taskSubject(name, lane)));
  const isServed = async (lane: Lane): Promise<boolean> => {
    if (!mayLook && !config.lanes.includes(lane)) return true;
    if (common === undefined || !filters.every(isOwn))
      return !mayLook || (await findDurable(jsm, names.tasks, names.durable(name, lane))) === undefined;
    return filters.length === 0 || filters.some((filter) => subjectMatches(filter, names.taskSubject(name, lane)));
  };
  const looks = await Promise.all(lanes.map(isServed));
  const served = lanes.filter((_, at) => looks[at]);
  const own = ownLanes(config, served);
  const waiting = common === undefined ? [] : own.filter((lane) => served.includes(lane));
  const now = own.filter((lane) => !waiting.includes(lane));
  return { durables: durablesOf(names, config, now), waiting, served };
}

/** Whether it is worth a try, for which the actor stands still. */
async function mayHandOver(parts: DurableParts, { name }: ResolvedConfig, { waiting }: Wanted): Promise<boolean> {
  const { connection, names } = parts;
  const looks = waiting.map((lane) =>
    mayLetGo(connection.jsm, names.tasks, names.durable(name), names.taskSubject(name, lane)),
  );
  return (await Promise.all(looks)).includes(true);
}

/** The common durable lets go of those lanes of which nothing is in hand. */
async function handOver(parts: DurableParts, config: ResolvedConfig, provision: Provision, hold: Hold): Promise<void> {
  const { connection, names } = parts;
  const { name } = config;
  const { waiting, served } = await wantedDurables(parts, config, true);
  const heirs: DurableSpec[] = [];
  for (const durable of durablesOf(names, config, waiting)) {
    const isHeir = waiting.some((lane) => durable.spec.durable_name === names.durable(name, lane));
    if (isHeir) heirs.push(await besideOthers(parts, config, provision, durable));
  }
  const subjects = served.map((lane) => names.taskSubject(name, lane));
  if (heirs.length === 0) return;
  await letGo({ jsm: connection.jsm, hold }, names.tasks, names.durable(name), subjects, heirs);
}

/** @param now what is done in place of `provision`, by which the specs are. */
async function reconcile(
  parts: DurableParts,
  config: ResolvedConfig,
  durables: readonly ActorDurable[],
  provision: Provision,
  now: Provision | "restore",
  hold?: Hold,
): Promise<void> {
  const { jsm } = parts.connection;
  const made: ActorDurable[] = [];
  let pausedUntil: string | undefined;
  for (const { stream, spec } of durables) {
    try {
      const beside = await besideOthers(parts, config, provision, { stream, spec });
      hold?.mine();
      const found = await reconcileDurable(jsm, stream, beside, now);
      if (found.created) made.push({ stream, spec });
      for (const one of found.changed) {
        parts.log.warn(
          { actor: config.name, stream, durable: spec.durable_name },
          `changed the durable: ${described(one)}`,
        );
      }
      pausedUntil ??= found.pausedUntil;
    } catch (error) {
      if (!/stream not found/i.test((error as Error).message)) throw error;
      throw new ConfigError(
        `The actor ${config.name} subscribes to the stream ${stream}, which does not exist; create it, or correct its name in on({ stream }).`,
        { cause: error },
      );
    }
  }
  // Nobody pulls from them yet. The actor is paused as a whole, also where it has just come to hear an event, or got a lane.
  if (pausedUntil !== undefined) {
    for (const { stream, spec } of made) await pauseDurable(jsm, stream, spec, pausedUntil);
  }
}

/** The spec, with what a durable has beyond it that live workers with other configs need, and all of its ack-wait where that may not be changed. */
async function besideOthers(
  parts: DurableParts,
  config: ResolvedConfig,
  provision: Provision,
  { stream, spec }: ActorDurable,
): Promise<DurableSpec> {
  const { connection, names } = parts;
  if (provision === "use") return spec;
  const found = await findDurable(connection.jsm, stream, spec.durable_name);
  const standsAtNs = found?.config.ack_wait ?? spec.ack_wait;
  const longerNs = Math.max(standsAtNs, spec.ack_wait);
  if (provision === "check") return { ...spec, ack_wait: longerNs };
  const isEvents = stream !== names.tasks && stream !== names.schedule;
  const more = (isEvents && found ? filtersOf(found.config) : []).filter(
    (filter) => !spec.filter_subjects.includes(filter),
  );
  if (found !== undefined && longerNs === spec.ack_wait && more.length === 0) return spec;
  const leases = await readLeases(parts);
  const neededNs = longestAckWaitMs(leases, config.name, config.ackWaitMs, standsAtNs / 1_000_000) * 1_000_000;
  return {
    ...spec,
    // A worker that is cut off has no lease: what is in flight may be its.
    ack_wait: (found?.num_ack_pending ?? 0) > 0 ? longerNs : neededNs,
    filter_subjects: filtersBeside(leases, config.name, spec.filter_subjects, more),
  };
}

function heldByOthers(actor: string): ConnectError {
  return new ConnectError(
    `Others have been changing the durables of the actor ${actor} for ${patienceMs / 1_000} s; look whether the servers have leaders, and try again.`,
  );
}

function beginning(config: ResolvedConfig): Pick<DurableSpec, "deliver_policy" | "opt_start_time"> {
  if (config.from === "new") return { deliver_policy: "new" };
  if (config.from === "all") return { deliver_policy: "all" };
  return { deliver_policy: "by_start_time", opt_start_time: config.from.toISOString() };
}
