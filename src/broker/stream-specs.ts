/** Stream specs: the streams, buckets and object stores of a namespace, as data. Pure. */
import type { StreamConfig } from "@nats-io/jetstream";
import type { Names } from "../message/subjects.ts";
import { settingsOf, sizeOption, type Settings } from "./asked.ts";

export type StreamSpec = Partial<StreamConfig> & { name: string; subjects: string[] };

const ns = (ms: number): number => ms * 1_000_000;

/** The streams that every system has, buckets included; and the object stores, which are made when they are needed. */
export function streamSpecs(names: Names, settings: Settings): { streams: StreamSpec[]; objectStores: StreamSpec[] } {
  const { namespace } = names;
  const kept = {
    ...keptAs(settings),
    allow_direct: true,
    duplicate_window: ns(settings["limits.dedupWindow"]),
  };
  const streams: StreamSpec[] = [
    {
      ...kept,
      name: names.tasks,
      subjects: [`${namespace}.task.>`],
      retention: "workqueue",
      discard: "new",
      discard_new_per_subject: true,
      max_msgs_per_subject: settings["limits.maxPerActor"],
      max_bytes: settings["limits.maxBytes"],
      allow_msg_ttl: true,
    },
    {
      // Without a size no limit: a full stream fires no schedule until tasks whose time has come make room, and discard-old loses them.
      ...kept,
      name: names.schedule,
      subjects: [`${namespace}.schedule.>`, `${namespace}.due.>`],
      retention: "workqueue",
      allow_msg_schedules: true,
      // The server sets it where there are schedules.
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
    },
    {
      ...kept,
      name: names.events,
      subjects: [`${namespace}.event.>`],
      retention: "limits",
      max_age: ns(settings["limits.eventsMaxAge"]),
      allow_msg_ttl: true,
    },
    {
      ...kept,
      name: names.dead,
      subjects: [`${namespace}.dead.>`],
      retention: "limits",
      max_age: ns(settings["limits.deadMaxAge"]),
    },
    ...names.buckets.map((bucket) => bucketSpec(bucket, kept)),
  ];
  const objectStores = [
    objectStoreSpec(names.bodiesBucket, settings, settings["limits.deadMaxAge"]),
    objectStoreSpec(names.payloadsBucket, settings, settings["payload.maxAge"]),
  ];
  const withSize = (spec: StreamSpec): StreamSpec => {
    const bytes = settings[sizeOption(names, spec.name)];
    // Full means that it refuses: nothing that was accepted goes to make room.
    return bytes === undefined ? spec : { ...spec, max_bytes: bytes, discard: "new" };
  };
  return { streams: streams.map(withSize), objectStores: objectStores.map(withSize) };
}

/** Of all that every system has, what it is called. */
export function streamNames(names: Names): string[] {
  return streamSpecs(names, settingsOf({})).streams.map(({ name }) => name);
}

export function objectStoreNames(names: Names): string[] {
  return streamSpecs(names, settingsOf({})).objectStores.map(({ name }) => name);
}

/** Where no placement is asked for, one that a stream has stays. */
function keptAs({ memory, replicas, placement = {} }: Settings): Pick<StreamConfig, "storage" | "num_replicas"> {
  const { cluster, tags = [] } = placement;
  // In the order in which the server tells it.
  const where = { ...(cluster !== undefined && { cluster }), ...(tags.length > 0 && { tags: [...tags] }) };
  const placed = Object.keys(where).length > 0;
  return { storage: memory ? "memory" : "file", num_replicas: replicas, ...(placed && { placement: where }) };
}

/** An object store is a stream too. What is deleted leaves a marker, which goes by its own time to live. */
function objectStoreSpec(bucket: string, settings: Settings, ttlMs: number): StreamSpec {
  return {
    ...keptAs(settings),
    name: `OBJ_${bucket}`,
    subjects: [`$O.${bucket}.C.>`, `$O.${bucket}.M.>`],
    retention: "limits",
    discard: "new",
    max_age: ns(ttlMs),
    // The server refuses a window that is longer than that.
    duplicate_window: ns(Math.min(ttlMs, 120_000)),
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
