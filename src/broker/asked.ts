/**
 * Asked: what programs have asked for of a namespace's streams, buckets and object stores, as it is recorded in each one's metadata. Pure.
 * 1. A default is asked for by nobody: it neither replaces what is recorded nor stands in the way of what somebody asks for.
 * 2. What lowers safety below what is recorded has to be said twice.
 * 3. Streams without a record are from before there were records: what they are like counts as asked for, where it is no default.
 */
import type { StreamConfig } from "@nats-io/jetstream";
import { TopologyMismatchError } from "../kernel/errors.ts";
import { Names } from "../message/subjects.ts";
import { isLess, streamRules } from "./settings.ts";

/** Streams whose size has no option of its own. */
export const sized = [
  "schedule",
  "events",
  "dead",
  "results",
  "runs",
  "limits",
  "breakers",
  "once",
  "workers",
  "bodies",
  "payloads",
] as const;
export type Sized = (typeof sized)[number];

/** Options of which more is safer, by the names that users give them: copies, bytes, tasks, or milliseconds. */
export type Amount =
  | "replicas"
  | "limits.maxBytes"
  | "limits.maxPerActor"
  | "limits.eventsMaxAge"
  | "limits.deadMaxAge"
  | "limits.dedupWindow"
  | "payload.maxAge"
  | `limits.sizes.${Sized}`;

export type Lowerable = Amount | "durability";

/** Where the servers that keep a stream may be. */
export interface Placement {
  /** The cluster's name. */
  cluster?: string | undefined;
  /** The `server_tags` that each of the servers has. */
  tags?: readonly string[] | undefined;
}

export interface Asked extends Partial<Record<Amount, number>> {
  memory?: boolean;
  placement?: Placement;
}

/** All that specs are made of; a size that is undefined is no limit. */
export type Settings = Asked & Required<Pick<Asked, "memory" | Exclude<Amount, `limits.sizes.${Sized}`>>>;

/** Undefined: the field of every stream. */
type Place = { field: keyof StreamConfig; stream?: string; unit?: number };

const ns = 1_000_000;

function places(names: Names): Record<Amount, Place> {
  const sizes = sized.map((one) => [`limits.sizes.${one}`, { field: "max_bytes", stream: streamOfSized(names, one) }]);
  return {
    replicas: { field: "num_replicas" },
    "limits.dedupWindow": { field: "duplicate_window", unit: ns },
    "limits.maxBytes": { field: "max_bytes", stream: names.tasks },
    "limits.maxPerActor": { field: "max_msgs_per_subject", stream: names.tasks },
    "limits.eventsMaxAge": { field: "max_age", stream: names.events, unit: ns },
    "limits.deadMaxAge": { field: "max_age", stream: names.dead, unit: ns },
    "payload.maxAge": { field: "max_age", stream: `OBJ_${names.payloadsBucket}`, unit: ns },
    ...(Object.fromEntries(sizes) as Record<`limits.sizes.${Sized}`, Place>),
  };
}

function streamOfSized({ namespace, schedule, events, dead }: Names, one: Sized): string {
  if (one === "schedule" || one === "events" || one === "dead") return { schedule, events, dead }[one];
  return `${one === "bodies" || one === "payloads" ? "OBJ" : "KV"}_${namespace}_${one}`;
}

/** What an option that limits a stream's bytes is called. */
export function sizeOption(names: Names, stream: string): Amount {
  const one = sized.find((candidate) => streamOfSized(names, candidate) === stream);
  return one === undefined ? "limits.maxBytes" : `limits.sizes.${one}`;
}

/** What `limits.maxBytes` is by default where streams are in memory. */
const defaultMemoryBytes = 256_000_000;

export const defaults = {
  memory: false,
  replicas: 1,
  "limits.maxBytes": 10_000_000_000,
  "limits.maxPerActor": 1_000_000,
  "limits.eventsMaxAge": 7 * 86_400_000,
  "limits.deadMaxAge": 30 * 86_400_000,
  "limits.dedupWindow": 120_000,
  "payload.maxAge": 30 * 86_400_000,
} as const satisfies Settings;

/** @param fitted sizes that Godwit chose, because the account demands them. */
export function settingsOf(asked: Asked, fitted: Asked = {}): Settings {
  const memory = asked.memory === true && { "limits.maxBytes": defaultMemoryBytes };
  return { ...defaults, ...memory, ...fitted, ...asked };
}

const askedKey = "godwit.asked";
const fittedKey = "godwit.fitted";

export interface Recorded {
  asked: Asked;
  fitted: Asked;
}

/** The record, as a stream's metadata. */
export function asMetadata({ asked, fitted }: Recorded): Record<string, string> {
  const text = (one: Asked): string =>
    JSON.stringify(Object.fromEntries(Object.entries(one).toSorted(([a], [b]) => (a < b ? -1 : 1))));
  return { [askedKey]: text(asked), ...(Object.keys(fitted).length > 0 && { [fittedKey]: text(fitted) }) };
}

/** What is recorded of a namespace; where its streams differ, as after two starts at once, the safest. */
export function recordedIn(names: Names, configs: readonly StreamConfig[]): Recorded {
  // Object stores are looked at more rarely: their records may be old, and only they tell of their own age.
  const isStore = ({ name }: StreamConfig): boolean => name.startsWith("OBJ_");
  const objectStores = configs.filter((config) => isStore(config) && !config.metadata?.[askedKey]);
  const kept = configs.every(isStore) ? configs : configs.filter((config) => !isStore(config));
  const records = kept.flatMap(({ metadata = {} }) =>
    metadata[askedKey] === undefined
      ? []
      : [{ asked: parsed(metadata[askedKey]), fitted: parsed(metadata[fittedKey] ?? "{}") }],
  );
  if (records.length === 0) return { asked: standing(names, configs), fitted: {} };
  const asked = records.map((record) => record.asked).reduce(safest);
  const { replicas: _copies, "limits.dedupWindow": _window, memory: _memory, ...own } = standing(names, objectStores);
  return { asked: { ...own, ...asked }, fitted: records.map(({ fitted }) => fitted).reduce(safest) };
}

function safest(one: Asked, other: Asked): Asked {
  const both: Asked = { ...one, ...other };
  for (const amount of Object.keys(amounts) as Amount[]) {
    const [a, b] = [one[amount], other[amount]];
    if (a !== undefined && b !== undefined) both[amount] = Math.max(a, b);
  }
  return both;
}

const amounts = places(new Names("any"));

/** What may be said twice. `durability` decides the copies too. */
export const lowerable = ["durability", ...Object.keys(amounts)] as readonly Lowerable[];

/** Anybody who may change a stream may write there: what is no such value counts as not asked for. */
function parsed(text: string): Asked {
  let found: Record<string, unknown>;
  try {
    found = Object(JSON.parse(text)) as Record<string, unknown>;
  } catch {
    return {};
  }
  const { memory, placement } = found;
  const asked: Asked = { ...(typeof memory === "boolean" && { memory }), ...(isPlacement(placement) && { placement }) };
  for (const amount of Object.keys(amounts) as Amount[]) {
    const value = found[amount];
    if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) asked[amount] = value;
  }
  return asked;
}

function isPlacement(value: unknown): value is Placement {
  if (typeof value !== "object" || value === null) return false;
  const { cluster, tags } = value as Record<string, unknown>;
  const listed = tags === undefined || (Array.isArray(tags) && tags.every((tag) => typeof tag === "string"));
  return listed && (cluster === undefined || typeof cluster === "string");
}

/** The least of what stands, where that is no default. */
function standing(names: Names, configs: readonly StreamConfig[]): Asked {
  const memory = configs.some(({ storage }) => storage === "memory");
  const usual = settingsOf({ memory });
  const asked: Asked = memory ? { memory } : {};
  for (const [amount, { field, stream, unit = 1 }] of Object.entries(places(names)) as [Amount, Place][]) {
    const values = configs
      .filter(({ name }) => stream === undefined || stream === name)
      .map((config) => Number(config[field]) / unit)
      .filter((value) => value > 0);
    const least = Math.min(...values);
    if (values.length > 0 && least !== usual[amount]) asked[amount] = least;
  }
  return asked;
}

/**
 * What is recorded and asked for together.
 * @param lower options that may lower what is recorded.
 * @throws TopologyMismatchError where another one would.
 */
export function together(recorded: Asked, asked: Asked, lower: readonly string[]): Asked {
  const lowering = (Object.keys(amounts) as Amount[]).filter((amount) => {
    const [before, after] = [recorded[amount], asked[amount]];
    if (before === undefined || after === undefined || lower.includes(amount)) return false;
    return isLess(streamRules, amounts[amount].field, after, before);
  });
  if (lowering.length === 0) return { ...recorded, ...asked };
  const list = lowering.map(
    (amount) =>
      `${amount === "replicas" ? "replicas, or durability," : amount} is ${asked[amount]} and ${recorded[amount]} was asked for before`,
  );
  throw new TopologyMismatchError(
    `The options would lower the safety of what is stored: ${list.join("; ")}. Leave ${lowering.length > 1 ? "them" : "it"} out to take what was asked for, or say it twice: lower: ${JSON.stringify(lowering)}, on the command line --lower ${lowering.join(",")}.`,
  );
}

/** The options that decide a field of a stream. */
export function optionsOf(names: Names, stream: string, field: string): Amount[] {
  return (Object.entries(places(names)) as [Amount, Place][])
    .filter(([, place]) => place.field === field && (place.stream === undefined || place.stream === stream))
    .map(([amount]) => amount);
}
