/** Breakers as the fleet has them: seen, opened and closed by hand. */
import { randomUUID } from "node:crypto";
import type { ServerClock } from "../broker/server-clock.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import {
  closedRecord,
  handOpenRecord,
  isHeldOpen,
  phaseOf,
  readRecord,
  recordTtlMs,
  type BreakerRecord,
} from "../guard/breaker/record.ts";
import type { SharedState } from "../guard/shared-state.ts";
import type { Duration } from "../kernel/duration.ts";
import { NotFoundError } from "../kernel/errors.ts";
import { endOf, isoEnd } from "../kernel/until.ts";
import { checkGuardName } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import type { BreakerFrame } from "./api.ts";
import { actorsWith } from "./guard-users.ts";
import { replaceRecord } from "./replace-record.ts";
import type { WorkerStatus } from "./workers.ts";

export interface BreakerParts {
  names: Names;
  reader: StreamReader;
  breakers: SharedState<unknown>;
  clock: ServerClock;
}

/** What became of a breaker. */
export interface BreakerChange extends BreakerFrame {
  /** What it was before. */
  was: BreakerFrame["state"];
}

/** So many are shown at most: names are few. */
const mostNames = 1_000;

/** Every breaker that has ever opened, and those that running workers' actors name, by name. */
export async function listBreakers(parts: BreakerParts, workers: readonly WorkerStatus[]): Promise<BreakerFrame[]> {
  const users = actorsWith(workers, "breaker");
  const names = [...new Set([...(await storedNames(parts)), ...users.keys()])].toSorted().slice(0, mostNames);
  await parts.clock.ready();
  return Promise.all(
    names.map(async (name) => {
      const record = await parts.breakers.peek(name, readRecord);
      return frameOf(name, record, parts.clock.nowMs(), users.get(name) ?? []);
    }),
  );
}

/**
 * Opens a circuit for the whole fleet: nothing runs under it and nothing probes, until it is closed by hand or its time is over; then one
 * call may probe.
 * @param options.for how long. Default: until it is closed.
 * @param options.force also where nobody is known to use it.
 * @throws InvalidNameError, ConfigError; NotFoundError where nobody is known to use it.
 */
export async function openBreaker(
  parts: BreakerParts,
  name: string,
  workers: readonly WorkerStatus[],
  options: { for?: Duration; force?: boolean } = {},
): Promise<BreakerChange> {
  await parts.clock.ready();
  const untilMs = endOf(parts.clock.nowMs(), options.for);
  return change(parts, name, workers, options.force === true, () => handOpenRecord(untilMs, randomUUID()));
}

/**
 * Closes a circuit for the whole fleet, also one that opened by itself. What fails from then on may open it again.
 * @throws InvalidNameError; NotFoundError where nobody is known to use it.
 */
export async function closeBreaker(
  parts: BreakerParts,
  name: string,
  workers: readonly WorkerStatus[],
): Promise<BreakerChange> {
  return change(parts, name, workers, false, () => closedRecord(randomUUID()));
}

async function change(
  parts: BreakerParts,
  given: string,
  workers: readonly WorkerStatus[],
  force: boolean,
  make: () => BreakerRecord,
): Promise<BreakerChange> {
  const name = checkGuardName(given);
  const { breakers, clock } = parts;
  const actors = actorsWith(workers, "breaker").get(name) ?? [];
  await clock.ready();
  const { before, after } = await replaceRecord<BreakerRecord>({
    state: breakers,
    key: name,
    as: readRecord,
    change: ({ value: before }) => {
      if (before === undefined && actors.length === 0 && !force) throw unknown(name);
      return { before, after: make() };
    },
    ttlMs: (record) => recordTtlMs(record, clock.nowMs()),
  });
  const nowMs = clock.nowMs();
  return { ...frameOf(name, after, nowMs, actors), was: frameOf(name, before, nowMs, []).state };
}

function frameOf(name: string, record: BreakerRecord | undefined, nowMs: number, actors: string[]): BreakerFrame {
  const state = record === undefined ? "closed" : phaseOf(record, nowMs);
  const probeAt = record !== undefined && state === "open" ? isoEnd(record.probeAtMs) : undefined;
  const byHand = record !== undefined && isHeldOpen(record, nowMs);
  return { name, state, byHand, ...(probeAt !== undefined && { probeAt }), actors };
}

async function storedNames({ names, reader }: BreakerParts): Promise<string[]> {
  const prefix = `$KV.${names.breakersBucket}.`;
  const subjects = await reader.subjects(`KV_${names.breakersBucket}`, `${prefix}>`);
  return Object.keys(subjects).map((subject) => subject.slice(prefix.length));
}

function unknown(name: string): NotFoundError {
  return new NotFoundError(
    `No breaker ${name} is known: it has never opened, and no running worker has an actor that names it; 'godwit breaker list' shows those there are, and --force opens one for workers to come.`,
  );
}
