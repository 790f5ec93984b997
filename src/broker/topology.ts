/**
 * Topology: the streams, buckets and durables that Godwit needs, declared as data and reconciled with the server.
 * 1. What is missing is created; what may change is updated; what may not is refused with TopologyMismatchError.
 * 2. With `provision: "check"` nothing is written: it only compares, and what is missing is refused too. Tools that do not know a
 *    system's limits neither compare nor change its streams: `"keep"` makes those that are missing, `"use"` makes nothing.
 * 3. Reconciling twice, or from several hosts at once, changes nothing.
 */
import { JetStreamApiError, type ConsumerConfig, type JetStreamManager, type StreamConfig } from "@nats-io/jetstream";
import { NotAuthorizedError, TopologyMismatchError } from "../kernel/errors.ts";
import type { Names } from "../message/subjects.ts";
import { violationOf } from "./connection.ts";
import { patiently } from "./patience.ts";

/**
 * `create`: make and update. `keep`: make what is missing and leave the streams that exist as they are; durables are updated, since
 * their settings are the actors' own. `check`: compare and refuse; needs no right to create. `use`: what is there will do.
 */
export type Provision = "create" | "keep" | "check" | "use";

/**
 * How hard it is to lose what was accepted. `dev`: memory, gone with the server. `single`: one file copy. `replicated`: three copies.
 * `strict`: three copies on servers that sync every write (`sync_interval: always`, which is the servers' own setting).
 */
export type DurabilityProfile = "dev" | "single" | "replicated" | "strict";

/** Where the servers that keep a stream may be. */
export interface Placement {
  /** The cluster's name. */
  cluster?: string | undefined;
  /** The `server_tags` that each of the servers has. */
  tags?: readonly string[] | undefined;
}

/** How every stream, bucket and object store of a system is kept. */
export interface Storing {
  readonly memory: boolean;
  /** Copies, from 1 to 5. */
  readonly replicas: number;
  /** Undefined: wherever the servers have room. */
  readonly placement?: Placement | undefined;
}

/** @param replicas instead of the profile's own: 1, or 3 with `replicated` and `strict`. */
export function storingOf(profile: DurabilityProfile, replicas?: number, placement?: Placement): Storing {
  const own = profile === "replicated" || profile === "strict" ? 3 : 1;
  return { memory: profile === "dev", replicas: replicas ?? own, placement };
}

export interface TopologyLimits {
  /** Bytes that the task stream holds. Default 10 GB, in memory 256 MB, since the server sets them aside. */
  maxBytes: number;
  /** Tasks of one actor and lane that wait. Default 1,000,000. */
  maxPerActor: number;
  /** Milliseconds that events are kept. Default 7 days. */
  eventsMaxAgeMs: number;
  /** Milliseconds that dead letters are kept. Default 30 days. */
  deadMaxAgeMs: number;
  /** Milliseconds in which the same id is refused as a duplicate. Default 2 minutes. */
  dedupWindowMs: number;
}

export const defaultLimits: TopologyLimits = {
  maxBytes: 10_000_000_000,
  maxPerActor: 1_000_000,
  eventsMaxAgeMs: 7 * 86_400_000,
  deadMaxAgeMs: 30 * 86_400_000,
  dedupWindowMs: 120_000,
};

type StreamSpec = Partial<StreamConfig> & { name: string; subjects: string[] };
export type DurableSpec = Partial<ConsumerConfig> & {
  durable_name: string;
  filter_subjects: string[];
  ack_wait: number;
};

/** What `maxBytes` is by default where streams are in memory. */
export const defaultMemoryBytes = 256_000_000;

const ns = (ms: number): number => ms * 1_000_000;

/** Every stream of a namespace, buckets included. */
export function streamSpecs(names: Names, storing: Storing, limits: TopologyLimits): StreamSpec[] {
  const { namespace } = names;
  const kept = { ...keptAs(storing), allow_direct: true, duplicate_window: ns(limits.dedupWindowMs) };
  return [
    {
      ...kept,
      name: names.tasks,
      subjects: [`${namespace}.task.>`],
      retention: "workqueue",
      discard: "new",
      discard_new_per_subject: true,
      max_msgs_per_subject: limits.maxPerActor,
      max_bytes: limits.maxBytes,
      allow_msg_ttl: true,
    },
    {
      // Schedules exclude discard-new, and discard-old would lose them: no limit here.
      ...kept,
      name: names.schedule,
      subjects: [`${namespace}.schedule.>`, `${namespace}.due.>`],
      retention: "workqueue",
      allow_msg_schedules: true,
      allow_msg_ttl: true,
    },
    {
      ...kept,
      name: names.events,
      subjects: [`${namespace}.event.>`],
      retention: "limits",
      max_age: ns(limits.eventsMaxAgeMs),
      allow_msg_ttl: true,
    },
    {
      ...kept,
      name: names.dead,
      subjects: [`${namespace}.dead.>`],
      retention: "limits",
      max_age: ns(limits.deadMaxAgeMs),
    },
    ...names.buckets.map((bucket) => bucketSpec(bucket, kept)),
  ];
}

/** Where no placement is asked for, one that a stream has stays. */
function keptAs({ memory, replicas, placement = {} }: Storing): Pick<StreamConfig, "storage" | "num_replicas"> {
  const { cluster, tags = [] } = placement;
  // In the order in which the server tells it.
  const where = { ...(cluster !== undefined && { cluster }), ...(tags.length > 0 && { tags: [...tags] }) };
  const placed = Object.keys(where).length > 0;
  return { storage: memory ? "memory" : "file", num_replicas: replicas, ...(placed && { placement: where }) };
}

/** An object store is a stream too. What is deleted leaves a marker, which goes by its own time to live. */
export function objectStoreSpec(bucket: string, storing: Storing, ttlMs: number): StreamSpec {
  return {
    ...keptAs(storing),
    name: `OBJ_${bucket}`,
    subjects: [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
    retention: "limits",
    discard: "new",
    max_age: ns(ttlMs),
    // The server refuses a window that is longer than that.
    duplicate_window: ns(Math.min(ttlMs, defaultLimits.dedupWindowMs)),
    allow_direct: true,
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
  };
}

/** A key-value bucket is a stream; without direct gets its reads come from the leader and are never stale. */
function bucketSpec(bucket: string, kept: Partial<StreamConfig>): StreamSpec {
  return {
    ...kept,
    name: `KV_${bucket}`,
    subjects: [`$KV.${bucket}.>`],
    retention: "limits",
    discard: "new",
    max_msgs_per_subject: 1,
    allow_direct: false,
    allow_rollup_hdrs: true,
    deny_delete: true,
    allow_msg_ttl: true,
    subject_delete_marker_ttl: ns(1_000),
  };
}

/** Creates, updates or refuses one stream. Waits for a cluster that has no leader just now. */
export function reconcileStream(jsm: JetStreamManager, spec: StreamSpec, provision: Provision): Promise<void> {
  return patiently(`stream ${spec.name}`, () => reconcileStreamOnce(jsm, spec, provision));
}

async function reconcileStreamOnce(jsm: JetStreamManager, spec: StreamSpec, provision: Provision): Promise<void> {
  const found = await absentAsUndefined(jsm.streams.info(spec.name));
  if (found === undefined) {
    if (provision === "check" || provision === "use") throw missing(`stream ${spec.name}`, provision);
    await explainRefusal(`stream ${spec.name}`, jsm.streams.add(spec), spec.max_bytes, () => overlapOf(jsm, spec));
    return;
  }
  if (provision === "keep" || provision === "use") return;
  const changed = differences(found.config, spec);
  if (changed.length === 0) return;
  const fixed = changed.filter((field) => field === "storage" || field === "retention");
  // With "create" the others would have been changed, and are not what is in the way.
  if (provision === "check") throw mismatch(`stream ${spec.name}`, found.config, spec, changed);
  if (fixed.length > 0) throw mismatch(`stream ${spec.name}`, found.config, spec, fixed);
  await explainRefusal(
    `stream ${spec.name}`,
    jsm.streams.update(spec.name, { ...found.config, ...spec }),
    spec.max_bytes,
    () => overlapOf(jsm, spec),
  );
}

/**
 * Creates, updates or refuses one durable. It is never deleted here: what waits for it would be lost to it. A pause outlives it.
 * @returns whether it was created, and until when it is paused, if it is: ISO time.
 */
export function reconcileDurable(
  jsm: JetStreamManager,
  stream: string,
  spec: DurableSpec,
  provision: Provision,
): Promise<{ created: boolean; pausedUntil?: string }> {
  const what = `durable ${spec.durable_name} on ${stream}`;
  return patiently(what, () => reconcileDurableOnce(jsm, stream, spec, provision, what));
}

async function reconcileDurableOnce(
  jsm: JetStreamManager,
  stream: string,
  spec: DurableSpec,
  provision: Provision,
  what: string,
): Promise<{ created: boolean; pausedUntil?: string }> {
  const found = await absentAsUndefined(jsm.consumers.info(stream, spec.durable_name));
  if (found === undefined) {
    if (provision === "check" || provision === "use") throw missing(what, provision);
    await explainRefusal(what, jsm.consumers.add(stream, spec));
    return { created: true };
  }
  const { pause_until: pausedUntil } = found.config;
  const kept = { created: false, ...(found.paused === true && pausedUntil !== undefined && { pausedUntil }) };
  if (provision === "use") return kept;
  // Where to begin matters once, at creation; the server refuses to change it.
  const { deliver_policy: _policy, opt_start_time: _time, ...changeable } = spec;
  const config = { ...found.config };
  if (config.filter_subject) config.filter_subjects = [config.filter_subject];
  const changed = differences(config, changeable);
  if (changed.length === 0) return kept;
  const fixed = changed.filter((field) => field === "ack_policy" || field === "max_waiting");
  if (provision === "check") throw mismatch(what, config, changeable, changed);
  if (fixed.length > 0) throw mismatch(what, config, changeable, fixed);
  await explainRefusal(what, jsm.consumers.update(stream, spec.durable_name, changeable));
  return kept;
}

/** Pauses a durable as its siblings are. */
export async function pauseDurable(
  jsm: JetStreamManager,
  stream: string,
  spec: DurableSpec,
  until: string,
): Promise<void> {
  const { durable_name: name } = spec;
  await explainRefusal(`pause of the durable ${name} on ${stream}`, jsm.consumers.pause(stream, name, new Date(until)));
}

export async function durableExists(jsm: JetStreamManager, stream: string, durable: string): Promise<boolean> {
  const what = `durable ${durable} on ${stream}`;
  return (await patiently(what, () => absentAsUndefined(jsm.consumers.info(stream, durable)))) !== undefined;
}

/** What a system's options choose of its streams: systems may differ in it. */
const chosen = new Set([
  "storage",
  "num_replicas",
  "placement",
  "duplicate_window",
  "max_bytes",
  "max_msgs_per_subject",
  "max_age",
]);

/** The settings of a stream that are not as declared, but for those that options choose: `retention is "limits", not "workqueue"`. */
export function alteredSettings(names: Names, config: StreamConfig): string[] {
  const spec = streamSpecs(names, storingOf("single"), defaultLimits).find(({ name }) => name === config.name);
  if (spec === undefined) return [];
  return differences(config, spec)
    .filter((field) => !chosen.has(field))
    .map((field) => {
      const [have, want] = [config, spec].map((one: object) => JSON.stringify((one as Record<string, unknown>)[field]));
      return `${field} is ${have}, not ${want}`;
    });
}

function differences(have: object, want: object): string[] {
  return Object.entries(want)
    .filter(([field, value]) => stable((have as Record<string, unknown>)[field]) !== stable(value))
    .map(([field]) => field);
}

/** Comparable text; a list in any order, and what the server leaves out because it is the zero value. */
function stable(value: unknown): string {
  if (value === undefined || value === false || value === 0) return "0";
  return JSON.stringify(Array.isArray(value) ? value.map(String).toSorted() : value);
}

async function absentAsUndefined<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return undefined;
    throw error;
  }
}

// The store's, memory's or account's limit; in a cluster it is the reason that no peer is found.
const noRoom = /insufficient (storage|memory|resources)|resource limits exceeded|exceeds account limit/i;

const subjectsOverlap = 10065;

/** Which streams have which subjects of it, which the server does not say; undefined where that cannot be learnt. */
async function overlapOf(jsm: JetStreamManager, { name, subjects }: StreamSpec): Promise<string | undefined> {
  const found: string[] = [];
  try {
    for (const subject of subjects) {
      for await (const other of jsm.streams.names(subject)) {
        if (other !== name) found.push(`'${subject}' overlaps with those of the stream ${other}`);
      }
    }
  } catch {
    return undefined;
  }
  return found.length === 0 ? undefined : found.join(", ");
}

/** @param reservedBytes what the server sets aside for it. */
async function explainRefusal<T>(
  what: string,
  request: Promise<T>,
  reservedBytes?: number,
  overlap?: () => Promise<string | undefined>,
): Promise<T> {
  try {
    return await request;
  } catch (cause) {
    const violation = violationOf(cause);
    if (violation !== undefined) {
      throw new NotAuthorizedError(
        `The credentials have no right to make or change the ${what} (${violation.operation} to ${violation.subject}); do it with those of a provisioner, by godwit provision, or allow it in the user's permissions.`,
        { cause },
      );
    }
    const why = (cause as Error).message;
    const taken = cause instanceof JetStreamApiError && cause.code === subjectsOverlap ? await overlap?.() : undefined;
    if (taken !== undefined) {
      throw new TopologyMismatchError(
        `The server refused the ${what}: its subject ${taken}; give that one other subjects, delete it, or use another namespace.`,
        { cause },
      );
    }
    if (reservedBytes !== undefined && noRoom.test(why)) {
      throw new TopologyMismatchError(
        `The server has no room to reserve ${reservedBytes / 1e9} GB for the ${what} (${why}); ask for less with limits.maxBytes, or --max-bytes of godwit worker, or give its JetStream more storage.`,
        { cause },
      );
    }
    throw new TopologyMismatchError(
      `The server refused the ${what}: ${why}; change the setting it names, or use another namespace.`,
      { cause },
    );
  }
}

function missing(what: string, provision: Provision): TopologyMismatchError {
  return new TopologyMismatchError(
    `The ${what} does not exist and provision is "${provision}"; create it with a credential that may, or use provision "create".`,
    { missing: what },
  );
}

function mismatch(what: string, have: object, want: object, fields: string[]): TopologyMismatchError {
  const list = fields.map(
    (field) =>
      `${field} is ${JSON.stringify((have as Record<string, unknown>)[field])} and should be ${JSON.stringify((want as Record<string, unknown>)[field])}`,
  );
  return new TopologyMismatchError(
    `The ${what} exists with other settings (${list.join("; ")}); change them on the server, or use another namespace.`,
  );
}
