/** Fitting sizes: how large each stream may become where the account demands that this is said. Pure. */
import type { JetStreamAccountStats } from "@nats-io/jetstream";
import { TopologyMismatchError } from "../kernel/errors.ts";
import { sized, type Amount, type Asked, type Settings } from "./asked.ts";

/** Bytes, where there is room for all of them; else all shrink alike. */
const ideal: Partial<Record<Amount, number>> = {
  "limits.maxBytes": 10e9,
  "limits.sizes.schedule": 2e9,
  "limits.sizes.events": 5e9,
  "limits.sizes.dead": 2e9,
  "limits.sizes.results": 1e9,
  "limits.sizes.runs": 1e9,
  "limits.sizes.once": 500e6,
  "limits.sizes.limits": 100e6,
  "limits.sizes.breakers": 50e6,
  "limits.sizes.workers": 50e6,
  "limits.sizes.bodies": 1e9,
  "limits.sizes.payloads": 2e9,
};
/** In memory, all of which is set aside. */
const inMemory = 1 / 40;
/** The rest is for what else the account has. */
const share = 0.9;
/** Smaller streams take nothing worth having. */
const leastBytes = 10_000;

/**
 * @param asked sizes that somebody has given.
 * @returns a size for each stream without one; none where the account demands none.
 * @throws TopologyMismatchError where they do not fit.
 */
export function fittingSizes(account: JetStreamAccountStats, settings: Settings, asked: Asked): Asked {
  const { memory, replicas } = settings;
  const tier = account.tiers?.[`R${replicas}`];
  const { limits, ...used } = tier ?? account;
  if (!limits.max_bytes_required) return {};
  const most = memory ? limits.max_memory : limits.max_storage;
  const reserved = memory ? used.reserved_memory : used.reserved_storage;
  // A tier counts a stream once, the account each copy.
  const free = (most - reserved) / (tier === undefined ? replicas : 1);
  const largest = memory ? limits.memory_max_stream_bytes : limits.storage_max_stream_bytes;
  const options = ["limits.maxBytes", ...sized.map((one) => `limits.sizes.${one}` as const)] as const;
  const given = options.reduce((sum, option) => sum + (asked[option] ?? 0), 0);
  const open = options.filter((option) => asked[option] === undefined);
  const wanted = open.reduce((sum, option) => sum + (ideal[option] ?? 0), 0) * (memory ? inMemory : 1);
  const room = most < 0 ? Infinity : Math.max(0, free - given) * share;
  const scale = Math.min(1, room / wanted) * (memory ? inMemory : 1);
  const fit = (option: Amount): number =>
    Math.floor(Math.min((ideal[option] ?? 0) * scale, largest > 0 ? largest : Infinity));
  const sizes = open.map((option) => [option, fit(option)] as const);
  if (sizes.every(([, bytes]) => bytes >= leastBytes)) return Object.fromEntries(sizes);
  const where = memory ? "memory" : "storage";
  throw new TopologyMismatchError(
    `The account demands a size of every stream, and of its ${most} bytes of ${where} ${Math.max(0, free - given)} are left for ${open.length} of them and their copies; give the account more ${where}, or ask for less with limits.maxBytes and limits.sizes, or --max-bytes and --sizes.`,
  );
}
