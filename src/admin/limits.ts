/** Limits as the fleet has them: seen, and rate limits held and released by hand. */
import type { ServerClock } from "../broker/server-clock.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { concurrencyKey } from "../guard/concurrency-limit/limit.ts";
import { readRecord as readConcurrency, usageOf } from "../guard/concurrency-limit/record.ts";
import { declarationTtlMs } from "../guard/rate-limit/declaration.ts";
import { keyTtlMs } from "../guard/rate-limit/limit.ts";
import { readRecord as readRate, recordKey, recordTtlMs, type RateRecord } from "../guard/rate-limit/record.ts";
import { hold } from "../guard/rate-limit/slots.ts";
import type { SharedState } from "../guard/shared-state.ts";
import { toMs, type Duration } from "../kernel/duration.ts";
import { ConfigError, NotFoundError } from "../kernel/errors.ts";
import { checkGuardName, unkey } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import type { LimitFrame } from "./api.ts";
import { actorsWith } from "./guard-users.ts";
import { replaceRecord } from "./replace-record.ts";
import type { WorkerStatus } from "./workers.ts";

export interface LimitParts {
  names: Names;
  reader: StreamReader;
  limits: SharedState<unknown>;
  clock: ServerClock;
}

/** What became of a rate limit, or of one of its keys. */
export interface LimitHold {
  name: string;
  key?: string;
  /** ISO time until which nobody starts; absent where nobody is held back. */
  heldUntil?: string;
  /** The same, before. */
  was?: string;
}

/** So many of each kind are shown at most: names are few. */
const mostNames = 1_000;

/** Every limit in use, or held: rate limits first, by name. Records of keys are not looked at: there may be thousands. */
export async function listLimits(parts: LimitParts, workers: readonly WorkerStatus[]): Promise<LimitFrame[]> {
  await parts.clock.ready();
  const [rates, concurrencies] = await Promise.all([listRates(parts, workers), listConcurrencies(parts, workers)]);
  return [...rates, ...concurrencies];
}

async function listRates(parts: LimitParts, workers: readonly WorkerStatus[]): Promise<LimitFrame[]> {
  const users = actorsWith(workers, "rateLimit");
  const names = await storedNames(parts, "*");
  const frames = await Promise.all(
    names.map(async (name): Promise<LimitFrame | undefined> => {
      const record = await parts.limits.peek(recordKey(name), readRate);
      if (record === undefined) return undefined;
      const { limit, perMs, burst, keyed, nextMs } = record;
      const nowMs = parts.clock.nowMs();
      const heldUntil = heldUntilOf(record, nowMs);
      const nextAt = !keyed && nextMs > nowMs ? new Date(nextMs).toISOString() : undefined;
      const actors = users.get(name) ?? [];
      return {
        kind: "rate",
        name,
        limit,
        perMs,
        burst,
        keyed,
        ...(heldUntil && { heldUntil }),
        ...(nextAt && { nextAt }),
        actors,
      };
    }),
  );
  return frames.filter((frame) => frame !== undefined);
}

async function listConcurrencies(parts: LimitParts, workers: readonly WorkerStatus[]): Promise<LimitFrame[]> {
  const { limits, clock } = parts;
  const users = actorsWith(workers, "concurrencyLimit");
  const byKey = new Set(
    workers
      .flatMap(({ snapshot }) => Object.values(snapshot?.perActor ?? {}))
      .flatMap(({ concurrencyLimit, concurrencyKeyed }) => (concurrencyKeyed ? concurrencyLimit : undefined) ?? []),
  );
  const names = await storedNames(parts, "=c.*");
  const frames = await Promise.all(
    names.map(async (name): Promise<LimitFrame | undefined> => {
      const record = await limits.peek(concurrencyKey(name), readConcurrency);
      if (record === undefined) return undefined;
      const usage = usageOf(record, { atMs: clock.nowMs(), errorMs: clock.errorMs });
      const keyed = byKey.has(name);
      const actors = users.get(name) ?? [];
      return { kind: "concurrency", name, limit: record.limit, keyed, ...(!keyed && usage), actors };
    }),
  );
  return frames.filter((frame) => frame !== undefined);
}

/**
 * Nobody starts under a rate limit for so long, on any host, as after a penalty; for longer where somebody has said so.
 * @param options.key of a limit by key: only that key. Default: every key.
 * @throws InvalidNameError, ConfigError; NotFoundError where no worker has it in use.
 */
export async function holdLimit(
  parts: LimitParts,
  name: string,
  duration: Duration,
  options: { key?: string } = {},
): Promise<LimitHold> {
  const delayMs = toMs(duration, "for");
  if (delayMs === 0) throw new ConfigError(`for is ${String(duration)}, which is no time at all; give a longer one.`);
  return change(parts, name, options.key, (record, nowMs) => ({ ...record, ...hold(record, nowMs + delayMs) }));
}

/**
 * Ends a penalty or a hold at once.
 * @param options.key of a limit by key: what was said of that key. Default: what was said of all.
 * @throws InvalidNameError, ConfigError; NotFoundError where no worker has it in use.
 */
export async function releaseLimit(
  parts: LimitParts,
  name: string,
  options: { key?: string } = {},
): Promise<LimitHold> {
  return change(parts, name, options.key, (record) => ({ ...record, heldMs: 0 }));
}

async function change(
  { limits, clock }: LimitParts,
  given: string,
  key: string | undefined,
  make: (record: RateRecord, nowMs: number) => RateRecord,
): Promise<LimitHold> {
  const name = checkGuardName(given);
  await clock.ready();
  const base = await limits.peek(recordKey(name), readRate);
  if (base === undefined) throw await unknown(limits, name);
  if (key !== undefined && !base.keyed) {
    throw new ConfigError(`The rate limit ${name} does not go by keys; leave the key ${JSON.stringify(key)} out.`);
  }
  const fresh = { ...base, nextMs: 0, left: base.burst, heldMs: 0 };
  const leastMs = key === undefined ? declarationTtlMs : keyTtlMs;
  const { before, after } = await replaceRecord<RateRecord>({
    state: limits,
    key: recordKey(name, key),
    as: readRate,
    change: ({ value }) => {
      const found = value ?? (key === undefined ? base : fresh);
      return { before: found, after: make(found, clock.nowMs()) };
    },
    ttlMs: (record) => recordTtlMs(record, clock.nowMs(), leastMs),
  });
  const nowMs = clock.nowMs();
  const [was, heldUntil] = [before, after].map((record) => record && heldUntilOf(record, nowMs));
  return { name, ...(key !== undefined && { key }), ...(heldUntil && { heldUntil }), ...(was && { was }) };
}

function heldUntilOf({ heldMs }: RateRecord, nowMs: number): string | undefined {
  return heldMs > nowMs ? new Date(heldMs).toISOString() : undefined;
}

async function storedNames({ names, reader }: LimitParts, pattern: string): Promise<string[]> {
  const filter = `$KV.${names.limitsBucket}.${pattern}`;
  const subjects = Object.keys(await reader.subjects(`KV_${names.limitsBucket}`, filter));
  return subjects
    .map((subject) => unkey(subject.slice(filter.length - 1)))
    .toSorted()
    .slice(0, mostNames);
}

async function unknown(limits: SharedState<unknown>, name: string): Promise<Error> {
  if ((await limits.peek(concurrencyKey(name), readConcurrency)) !== undefined) {
    return new ConfigError(
      `${name} is a concurrency limit, and only rate limits can be held; pause its actors instead: 'godwit actor pause'.`,
    );
  }
  return new NotFoundError(
    `No rate limit ${name} is in use: it is known while a worker runs that has it; 'godwit limit list' shows those there are.`,
  );
}
