/** Durables: which consumers an actor needs, as data. */
import type { ResolvedConfig } from "../actor/config.ts";
import {
  durableExists,
  everyDurable,
  pauseDurable,
  reconcileDurable,
  type DurableSpec,
} from "../broker/durable-topology.ts";
import type { Connection } from "../broker/connection.ts";
import { described } from "../broker/settings.ts";
import type { Provision } from "../broker/topology.ts";
import { ConfigError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import { lanes } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";

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

/**
 * A lane whose durable is there keeps it, whether it is declared any more or not: nothing but `actor retire` deletes a durable, and
 * the common one cannot take the lane back while it lives. So a roll-back to a config with fewer lanes works too.
 * @throws TopologyMismatchError; ConfigError when a stream that someone else should have made is not there.
 */
export async function ensureDurables(
  connection: Connection,
  names: Names,
  config: ResolvedConfig,
  provision: Provision,
  log: Logger,
): Promise<ActorDurable[]> {
  const { jsm } = connection;
  // A credential that may not create may not be allowed to look for other durables either.
  const mayLook = provision === "create" || provision === "keep";
  const served = await Promise.all(
    lanes.map(
      async (lane) =>
        config.lanes.includes(lane) ||
        (mayLook && (await durableExists(jsm, names.tasks, names.durable(config.name, lane)))),
    ),
  );
  const durables = durablesOf(names, { ...config, lanes: lanes.filter((_, index) => served[index]) });
  const made: ActorDurable[] = [];
  let pausedUntil: string | undefined;
  for (const { stream, spec } of durables) {
    try {
      const found = await reconcileDurable(jsm, stream, spec, provision);
      if (found.created) made.push({ stream, spec });
      for (const one of found.changed) {
        log.warn({ actor: config.name, stream, durable: spec.durable_name }, `changed the durable: ${described(one)}`);
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
  return durables;
}

function beginning(config: ResolvedConfig): Pick<DurableSpec, "deliver_policy" | "opt_start_time"> {
  if (config.from === "new") return { deliver_policy: "new" };
  if (config.from === "all") return { deliver_policy: "all" };
  return { deliver_policy: "by_start_time", opt_start_time: config.from.toISOString() };
}
