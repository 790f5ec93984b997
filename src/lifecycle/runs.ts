/**
 * Runs record: what is remembered of a message between its deliveries, in the KV bucket `<ns>_runs`.
 * 1. Entries are keyed by the delivery count, so that writing one twice changes nothing.
 * 2. A first delivery reads nothing, and writes only if it fails; a redelivery writes `started` before it runs.
 * 3. A `started` that nothing followed is a stall: the worker died. After the first stall a message runs with no other suspect in
 *    its worker, so each later stall is its own doing.
 * 4. The run that decides that a message dies is noted with its fate before the dead letter is written.
 * 5. `attempt` is the number of failed runs + 1. No record means no stalls.
 */
import type { Bucket } from "../broker/bucket.ts";
import { monotonicMs, wallMs } from "../kernel/clock.ts";
import { decode, encode, contentTypes } from "../message/codec.ts";
import type { DeadReason } from "../message/failure.ts";

const version = 1;
const keepMs = 7 * 86_400_000;
const maxErrors = 10;
const maxInterrupted = 10;
const maxConflicts = 5;

export type RunState = "started" | "failed" | "interrupted";

export interface RunError {
  /** Wall-clock ms. */
  at: number;
  attempt: number;
  name: string;
  message: string;
}

/** What was decided of a message that is to die, so that no handler runs again over it when its burial is repeated. */
export interface Fate {
  reason: DeadReason;
  name: string;
  message: string;
}

export interface RunsRecord {
  v: number;
  id: string;
  /** By delivery count. */
  runs: Record<string, RunState>;
  /** The last errors, oldest first. */
  errors: RunError[];
  /** The delay that the last failure was given, in ms. */
  delayMs: number;
  /** Wall-clock ms before which it will not come back; 0 for none. */
  until: number;
  fate?: Fate;
}

/** What the record says before a run. */
export interface RunHistory {
  attempt: number;
  /** Runs whose worker died. */
  stalls: number;
  /** Of those, the ones in which it ran as the only suspect. */
  soleStalls: number;
  errors: readonly RunError[];
  lastDelayMs: number;
  fate?: Fate;
}

export const noHistory: RunHistory = Object.freeze({
  attempt: 1,
  stalls: 0,
  soleStalls: 0,
  errors: [],
  lastDelayMs: 0,
});

/** Reads a record. Entries of the delivery now under way, and of later ones, do not count. */
export function historyOf(record: RunsRecord | undefined, deliveryCount: number): RunHistory {
  if (record === undefined) return noHistory;
  let failed = 0;
  let stalls = 0;
  for (const [count, state] of Object.entries(record.runs)) {
    if (Number(count) >= deliveryCount) continue;
    if (state === "failed") failed += 1;
    else if (state === "started") stalls += 1;
  }
  return {
    attempt: failed + 1,
    stalls,
    soleStalls: Math.max(0, stalls - 1),
    errors: record.errors,
    lastDelayMs: record.delayMs,
    ...(record.fate !== undefined && { fate: record.fate }),
  };
}

export interface RunNote {
  state: RunState;
  error?: RunError;
  delayMs?: number;
  fate?: Fate;
  /** How long it was put back for without having failed, in ms. */
  putBackMs?: number;
}

function waitOf({ delayMs, putBackMs }: RunNote): number {
  return delayMs ?? putBackMs ?? 0;
}

export class RunsStore {
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** The record under a key, `undefined` where there is none or another major version wrote it. */
  async read(key: string): Promise<RunsRecord | undefined> {
    return (await this.#load(key)).record;
  }

  /**
   * Notes what became of one delivery. Repeats until nobody else wrote in between.
   * @param timeoutMs how long it may take.
   * @throws PublishTimeoutError and what else the bucket throws.
   */
  async note(key: string, id: string, deliveryCount: number, note: RunNote, timeoutMs: number): Promise<void> {
    const endMs = monotonicMs() + timeoutMs;
    for (let conflict = 0; ; conflict++) {
      const { record, revision } = await this.#load(key, endMs - monotonicMs());
      // A start is the first that is noted of a delivery: what stands there is this very note, or came after it.
      if (note.state === "started" && record?.runs[deliveryCount] !== undefined) return;
      const next = apply(record ?? emptyRecord(id), deliveryCount, note);
      const ttlMs = keepMs + waitOf(note);
      // A write that timed out on the way back and was sent again conflicts with itself; reading again finds its entry in place.
      // Where there is no record, none may have come meanwhile; the marker of an expired one stands in the way of that, but once.
      const expected = revision ?? (conflict === 0 ? 0 : undefined);
      const options = { ttlMs, timeoutMs: endMs - monotonicMs(), ...(expected !== undefined && { expected }) };
      if ((await this.#bucket.put(key, encode(next, "msgpack"), options)) !== undefined) return;
      if (conflict >= maxConflicts)
        throw new Error(`the runs record ${key} is being written by ${maxConflicts} others`);
    }
  }

  async #load(
    key: string,
    timeoutMs?: number,
  ): Promise<{ record: RunsRecord | undefined; revision: number | undefined }> {
    const entry = await this.#bucket.get(key, timeoutMs);
    if (entry === undefined) return { record: undefined, revision: undefined };
    const record = decode(entry.value, contentTypes.msgpack) as RunsRecord;
    return { record: record.v === version ? record : undefined, revision: entry.revision };
  }
}

function emptyRecord(id: string): RunsRecord {
  return { v: version, id, runs: {}, errors: [], delayMs: 0, until: 0 };
}

/** The record with one note added. Pure. */
export function apply(record: RunsRecord, deliveryCount: number, note: RunNote): RunsRecord {
  const known = record.runs[deliveryCount] === note.state;
  const runs = prune({ ...record.runs, [deliveryCount]: note.state });
  const errors = note.error && !known ? [...record.errors, note.error].slice(-maxErrors) : record.errors;
  const delayMs = note.delayMs ?? record.delayMs;
  const waitMs = waitOf(note);
  const until = waitMs === 0 ? 0 : wallMs() + waitMs;
  return { ...record, runs, errors, delayMs, until, ...(note.fate !== undefined && { fate: note.fate }) };
}

/** Interrupted runs count for nothing; a message that snoozes for ever must not grow its record. */
function prune(runs: Record<string, RunState>): Record<string, RunState> {
  const interrupted = Object.keys(runs).filter((count) => runs[count] === "interrupted");
  const gone = new Set(interrupted.slice(0, Math.max(0, interrupted.length - maxInterrupted)));
  return gone.size === 0 ? runs : Object.fromEntries(Object.entries(runs).filter(([count]) => !gone.has(count)));
}
