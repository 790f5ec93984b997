/**
 * Runs record: what is remembered of a message between its deliveries, in the KV bucket `<ns>_runs`.
 * 1. Each run has one entry, and writing that twice changes nothing. It lies under the delivery count, unless another run has that: a
 *    server that was killed has forgotten deliveries, and gives their counts out again. So each entry says which run wrote it.
 * 2. A first delivery reads nothing, and writes only if it fails; a redelivery writes `started` before it runs.
 * 3. A `started` that nothing followed is a stall: the worker died. After the first stall a message runs with no other suspect in
 *    its worker, so each later stall is its own doing.
 * 4. The run that decides that a message dies is noted with its fate before the dead letter is written.
 * 5. `attempt` is the number of failed runs + 1, whatever the server's count says. No record means no stalls.
 * 6. A run that ended when the message was no longer its worker's may still say so, where no later one has started, and only then act on
 *    it; else it counts as a stall. All is written by compare-and-set, so the record decides between it and a redelivery.
 * 7. Once a message has ended, its record says so for as long as a delivery of it may be about, and goes.
 * 8. A record belongs to the message whose place it names. One of another message, or of nobody, is as none and is overwritten.
 */
import * as z from "zod";
import type { Bucket } from "../broker/bucket.ts";
import { monotonicMs, wallMs } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import { decode, encode, contentTypes, isOtherVersion } from "../message/codec.ts";
import { deadReasons, type DeadReason } from "../message/failure.ts";
import { placeText, type MessagePlace } from "../message/place.ts";
import type { Names } from "../message/subjects.ts";

const version = 1;
const keepMs = 7 * 86_400_000;
const maxErrors = 10;
const maxInterrupted = 10;
const maxConflicts = 5;

export type RunState = "started" | "failed" | "interrupted" | "completed";

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

/** Whose record it is. */
export interface Remembered extends MessagePlace {
  readonly consumer: string;
  readonly id: string;
}

/** One of its runs. */
export interface NotedRun {
  /** Its delivery count. */
  readonly count: number;
  /** No other run has it. */
  readonly nonce: string;
}

export interface RunsRecord {
  v: number;
  id: string;
  /** See `placeText`. Absent where an older version wrote it. */
  place?: string;
  /** By delivery count, or by the next one that is free. */
  runs: Record<string, RunState>;
  /** Which runs those are, under the same keys: see `markOf`. */
  by?: Record<string, string>;
  /** The last errors, oldest first. */
  errors: RunError[];
  /** The delay that the last failure was given, in ms. */
  delayMs: number;
  /** Wall-clock ms before which it will not come back; 0 for none. */
  until: number;
  fate?: Fate;
}

const text = z.string();
const timeMs = z.number().min(0).max(8e15);
export const runErrorShape: z.ZodType<RunError> = z.object({
  at: timeMs,
  attempt: z.number(),
  name: text,
  message: text,
});

/** States and keys that another version added are kept. */
const shape: z.ZodType<RunsRecord> = z.looseObject({
  v: z.literal(version),
  id: text,
  place: text.exactOptional(),
  runs: z.record(
    text.regex(/^\d{1,15}$/),
    z.custom<RunState>((state) => typeof state === "string"),
  ),
  by: z.record(text, text.regex(/^\d{1,15}\./)).exactOptional(),
  errors: z.array(runErrorShape),
  delayMs: timeMs,
  until: timeMs,
  fate: z.object({ reason: z.enum(deadReasons), name: text, message: text }).exactOptional(),
});

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
  /** An earlier run has completed it. */
  completed?: true;
}

export const noHistory: RunHistory = Object.freeze({
  attempt: 1,
  stalls: 0,
  soleStalls: 0,
  errors: [],
  lastDelayMs: 0,
});

/** Reads a record. A run that has not ended is a stall where its delivery was an earlier one; else it may go on, or is this one. */
export function historyOf(record: RunsRecord | undefined, deliveryCount: number): RunHistory {
  if (record === undefined) return noHistory;
  const stalls = unended(record).filter((key) => countAt(record, key) < deliveryCount).length;
  return {
    attempt: failuresOf(record) + 1,
    stalls,
    soleStalls: Math.max(0, stalls - 1),
    errors: record.errors,
    lastDelayMs: record.delayMs,
    ...(record.fate !== undefined && { fate: record.fate }),
    ...(isCompleted(record) && { completed: true }),
  };
}

/** How many of its runs have failed. */
export function failuresOf({ runs }: RunsRecord): number {
  return Object.values(runs).filter((state) => state === "failed").length;
}

function isCompleted({ runs }: RunsRecord): boolean {
  return Object.values(runs).includes("completed");
}

/** The keys of runs that have started, and of which nothing else is known. */
function unended({ runs }: RunsRecord): string[] {
  return Object.keys(runs).filter((key) => runs[key] === "started");
}

/** The delivery count of the run that lies there. */
function countAt({ by }: RunsRecord, key: string): number {
  return Number.parseInt(by?.[key] ?? key);
}

function markOf({ count, nonce }: NotedRun): string {
  return `${count}.${nonce}`;
}

function ownKey({ by = {} }: RunsRecord, run: NotedRun): string | undefined {
  return Object.keys(by).find((key) => by[key] === markOf(run));
}

/** Where the entry of a run lies. One that starts begins after all that are there. */
function keyOf(record: RunsRecord, run: NotedRun, state?: RunState): string {
  const { runs } = record;
  const free = String(Math.max(run.count, 1 + Math.max(0, ...Object.keys(runs).map(Number))));
  return ownKey(record, run) ?? (state === "started" || runs[run.count] !== undefined ? free : String(run.count));
}

export interface RunNote {
  state: RunState;
  /** The message was no longer its worker's when it ended. */
  late?: true;
  /** Its worker was cut off from the server meanwhile: to be overtaken is no stall, and what failed has failed. */
  cut?: boolean;
  error?: RunError;
  delayMs?: number;
  fate?: Fate;
  /** How long it was put back for without having failed, in ms. */
  putBackMs?: number;
}

/**
 * What came of a note. `over`: nothing was written, since the message has been completed, or its fate is decided and this is no further
 * failure. `overtaken`: it was late, and a later run has started; it was noted as a stall.
 */
export type Noted = "noted" | "over" | "overtaken";

/** Whether a note may be made. Pure. */
export function judgeNote(record: RunsRecord | undefined, run: NotedRun, { state, late, cut }: RunNote): Noted {
  if (record === undefined) return "noted";
  const own = ownKey(record, run);
  // Also a write whose answer was lost finds itself in place.
  if (own !== undefined && record.runs[own] === state) return "noted";
  if (isCompleted(record) || (record.fate !== undefined && state !== "failed")) return "over";
  const overtaken = unended(record).some(
    (key) => key !== own && (Number(key) > Number(own ?? run.count) || countAt(record, key) > run.count),
  );
  return late === true && overtaken && !(cut === true && state === "failed") ? "overtaken" : "noted";
}

/** How long the record of a message that has ended is kept: a delivery of it may be unread, and a run of it that is late not ended. */
export function endedKeepMs(ackWaitMs: number): number {
  return Math.max(2_000, 2 * ackWaitMs);
}

/** A record as it was read; a write against the revision fails where another one came between. */
export interface Seen {
  record: RunsRecord | undefined;
  revision: number | undefined;
}

function waitOf({ delayMs, putBackMs }: RunNote): number {
  return delayMs ?? putBackMs ?? 0;
}

export class RunsStore {
  readonly #names: Names;
  readonly #bucket: Bucket;

  constructor(names: Names, bucket: Bucket) {
    this.#names = names;
    this.#bucket = bucket;
  }

  /**
   * The record of a message, `undefined` where there is none or another major version wrote it.
   * @param onGarbage is told of what stands there and is no record.
   */
  async read(of: Remembered, onGarbage?: (error: Error) => void): Promise<RunsRecord | undefined> {
    return (await this.look(of, undefined, onGarbage)).record;
  }

  /**
   * Notes what became of one run. Repeats until nobody else wrote in between.
   * @param timeoutMs how long it may take.
   * @param seen what stood there when it was last looked at, so as not to read it again.
   * @returns what came of it, and what stands there now.
   * @throws PublishTimeoutError and what else the bucket throws.
   */
  async note(
    of: Remembered & NotedRun,
    note: RunNote,
    timeoutMs: number,
    seen?: Seen,
  ): Promise<{ said: Noted; seen: Seen }> {
    const endMs = monotonicMs() + timeoutMs;
    let stands = seen;
    for (let conflict = 0; ; conflict++) {
      stands ??= await this.look(of, endMs - monotonicMs());
      const { record, revision } = stands;
      const said = judgeNote(record, of, note);
      if (said === "over") return { said, seen: stands };
      const { state } = note;
      // A start is the first that is noted of a run: what stands there is this very note, or came after it. A failure is the last, also
      // where its answer was lost. And an interruption of what nobody remembers is not worth a record.
      const is = record?.runs[ownKey(record, of) ?? ""];
      if (
        (said === "overtaken" && (is !== undefined || note.cut === true)) ||
        (is !== undefined && state === "started") ||
        (state === "interrupted" && (record === undefined || is === "failed"))
      ) {
        return { said, seen: stands };
      }
      const next = apply(record ?? emptyRecord(of), of, said === "noted" ? note : { state: "started" });
      const ttlMs = keepMs + waitOf(note);
      // A write that timed out on the way back and was sent again conflicts with itself; reading again finds its entry in place.
      // Where there is no record, none may have come meanwhile; the marker of an expired one stands in the way of that, but once.
      const expected = revision ?? (conflict === 0 ? 0 : undefined);
      const options = { ttlMs, timeoutMs: endMs - monotonicMs(), ...(expected !== undefined && { expected }) };
      const key = this.#key(of);
      const written = await this.#bucket.put(key, encode(next, "msgpack"), options);
      if (written !== undefined) return { said, seen: { record: next, revision: written } };
      stands = undefined;
      if (conflict >= maxConflicts)
        throw new Error(`the runs record ${key} is being written by ${maxConflicts} others`);
    }
  }

  /** The message has ended with this run, and the server has confirmed it. */
  async end(of: Remembered & NotedRun, ackWaitMs: number): Promise<void> {
    const record = apply(emptyRecord(of), of, { state: "completed" });
    await this.#bucket.put(this.#key(of), encode(record, "msgpack"), { ttlMs: endedKeepMs(ackWaitMs) });
  }

  #key({ stream, sequence, consumer }: Remembered): string {
    return this.#names.runsKey(stream, sequence, consumer);
  }

  /** As read(), with the revision. */
  async look(of: Remembered, timeoutMs?: number, onGarbage?: (error: Error) => void): Promise<Seen> {
    const entry = await this.#bucket.get(this.#key(of), timeoutMs);
    if (entry === undefined) return { record: undefined, revision: undefined };
    const { revision } = entry;
    try {
      const found = decode(entry.value, contentTypes.msgpack);
      // Another major version's is not ours to judge.
      const record = isOtherVersion(found, version) ? undefined : shape.parse(found);
      return { record: record !== undefined && belongs(record, of) ? record : undefined, revision };
    } catch (thrown) {
      const { message } = toError(thrown);
      onGarbage?.(
        new Error(
          `The runs record ${this.#key(of)} in ${this.#bucket.name} is none (${message.replace(/\s+/g, " ")}); the message runs as if there were none, and it is overwritten. Look who may write there.`,
        ),
      );
      return { record: undefined, revision };
    }
  }
}

/** Older versions wrote no place, and gave another id to what had none. */
function belongs({ place, id }: RunsRecord, of: Remembered): boolean {
  return place === undefined ? id === of.id || id === `${of.stream}-${of.sequence}` : place === placeText(of);
}

function emptyRecord(of: Remembered): RunsRecord {
  return { v: version, id: of.id, place: placeText(of), runs: {}, errors: [], delayMs: 0, until: 0 };
}

/** The record with one note added; a failure is numbered by those before it. Pure. */
export function apply(record: RunsRecord, run: NotedRun, note: RunNote): RunsRecord {
  const key = keyOf(record, run, note.state);
  const isKnown = key === ownKey(record, run) && record.runs[key] === note.state;
  const runs = prune({ ...record.runs, [key]: note.state });
  const by: Record<string, string> = { ...record.by, [key]: markOf(run) };
  for (const gone of Object.keys(by)) if (!(gone in runs)) delete by[gone];
  const failure = !isKnown && note.error && { ...note.error, attempt: failuresOf(record) + 1 };
  const errors = failure ? [...record.errors, failure].slice(-maxErrors) : record.errors;
  const delayMs = note.delayMs ?? record.delayMs;
  const waitMs = waitOf(note);
  const until = waitMs === 0 ? 0 : wallMs() + waitMs;
  const fate = record.fate ?? note.fate;
  return { ...record, runs, by, errors, delayMs, until, ...(fate !== undefined && { fate }) };
}

/** Interrupted runs count for nothing; a message that snoozes for ever must not grow its record. */
function prune(runs: Record<string, RunState>): Record<string, RunState> {
  const interrupted = Object.keys(runs).filter((count) => runs[count] === "interrupted");
  const gone = new Set(interrupted.slice(0, Math.max(0, interrupted.length - maxInterrupted)));
  return gone.size === 0 ? runs : Object.fromEntries(Object.entries(runs).filter(([count]) => !gone.has(count)));
}
