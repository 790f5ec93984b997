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
import { described } from "../broker/settings.ts";
import type { Provision } from "../broker/topology.ts";
import { monotonicMs, pause } from "../kernel/clock.ts";
import { ConfigError, ConnectError, TopologyMismatchError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import { lanes } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import { filtersBeside, holdKey, longestAckWaitMs } from "./declared.ts";
import { readLeases, type LeaseParts } from "./leases.ts";

export interface ActorDurable {
  stream: string;
  spec: DurableSpec;
  /** On a stream that somebody else made: nothing may be asked of it. */
  foreign?: true;
}

/** What a durable goes by: its stream and its name there. */
export function durableName({ stream, spec }: ActorDurable): { stream: string; durable: string } {
  return { stream, durable: spec.durable_name };
}

/**
 * In the order in which they are reconciled: the one that serves all lanes comes before those of single lanes, because filters on a
 * work queue must not overlap and it has to let go of a lane before another can take it.
 */
export function durablesOf(names: Names, config: ResolvedConfig): ActorDurable[] {
  const shared = { ...everyDurable, ack_wait: config.ackWaitMs * 1_000_000 };
  const { name } = config;
  // The common durable cannot be narrowed to nothing: where every lane has its own, the common one is that of "normal".
  const own = config.lanes.length < lanes.length ? config.lanes : config.lanes.filter((lane) => lane !== "normal");
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
    all.push({ stream, spec, foreign: true });
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
 * the common one cannot take the lane back while it lives. So a roll-back to a config with fewer lanes works too.
 * @throws TopologyMismatchError; ConfigError when a stream that someone else should have made is not there; ConnectError.
 */
export async function ensureDurables(
  parts: DurableParts,
  config: ResolvedConfig,
  provision: Provision,
): Promise<ActorDurable[]> {
  const durables = await wantedDurables(parts, config, provision);
  if (provision === "check" || provision === "use") {
    await reconcile(parts, config, durables, provision, provision);
    return durables;
  }
  const deadlineMs = monotonicMs() + patienceMs;
  for (;;) {
    try {
      await reconcile(parts, config, durables, provision, "check");
      return durables;
    } catch (error) {
      if (!(error instanceof TopologyMismatchError)) throw error;
    }
    const hold = await takeHold(parts.workers, holdKey(config.name));
    if (hold === undefined) {
      if (monotonicMs() > deadlineMs) throw heldByOthers(config.name);
      await pause(againMs);
      continue;
    }
    try {
      await reconcile(parts, config, durables, provision, provision, hold);
      return durables;
    } finally {
      await hold.release();
    }
  }
}

async function wantedDurables(
  { connection: { jsm }, names }: DurableParts,
  config: ResolvedConfig,
  provision: Provision,
): Promise<ActorDurable[]> {
  // A credential that may not create may not be allowed to look for other durables either.
  const mayLook = provision === "create" || provision === "keep";
  const served = await Promise.all(
    lanes.map(
      async (lane) =>
        config.lanes.includes(lane) ||
        (mayLook && (await findDurable(jsm, names.tasks, names.durable(config.name, lane))) !== undefined),
    ),
  );
  return durablesOf(names, { ...config, lanes: lanes.filter((_, index) => served[index]) });
}

/** @param now what is done in place of `provision`, by which the specs are. */
async function reconcile(
  parts: DurableParts,
  config: ResolvedConfig,
  durables: readonly ActorDurable[],
  provision: Provision,
  now: Provision,
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
  const found = provision === "use" ? undefined : await findDurable(connection.jsm, stream, spec.durable_name);
  if (found === undefined) return spec;
  const standsAtNs = found.config.ack_wait ?? 0;
  const longerNs = Math.max(standsAtNs, spec.ack_wait);
  if (provision === "check") return { ...spec, ack_wait: longerNs };
  const isEvents = stream !== names.tasks && stream !== names.schedule;
  const more = isEvents ? filtersOf(found.config).filter((filter) => !spec.filter_subjects.includes(filter)) : [];
  if (longerNs === spec.ack_wait && more.length === 0) return spec;
  const leases = await readLeases(parts);
  const neededNs = longestAckWaitMs(leases, config.name, config.ackWaitMs, standsAtNs / 1_000_000) * 1_000_000;
  return {
    ...spec,
    // A worker that is cut off has no lease: what is in flight may be its.
    ack_wait: found.num_ack_pending > 0 ? longerNs : neededNs,
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
