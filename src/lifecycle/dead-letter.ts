/**
 * Dead letters: a message given up on, kept whole: its body as it was, its headers inside one header, and why.
 * 1. One message has one dead letter for each actor: the subject ends in stream and sequence, and is expected to be new. Where it is not,
 *    what stands there is read: the letter of another message, of a stream that was made anew or lost its end, or no letter, is left alone.
 * 2. The original headers are never copied as they are, because a server acts on some of them and refuses the message.
 * 3. What is too large for a message goes to the object store, headers included.
 * 4. A letter is its subject's: the rights to write it go by that. What it says of its actor and its place beside that is not believed.
 */
import * as z from "zod";
import type { Objects } from "../broker/objects.ts";
import { apiError, type Publisher } from "../broker/publisher.ts";
import type { StoredMessage, StreamReader } from "../broker/stream-reader.ts";
import { monotonicMs, wallMs } from "../kernel/clock.ts";
import { DecodeError, NotFoundError, PayloadTooLargeError, PublishError } from "../kernel/errors.ts";
import { contentTypes, decode, encode } from "../message/codec.ts";
import { deadReasons, writeFailure, type DeadReason, type Failure } from "../message/failure.ts";
import { header, type ReceivedHeaders } from "../message/headers.ts";
import { defaultPayload } from "../message/limits.ts";
import { checkId } from "../message/names.ts";
import { parseDead, type Names } from "../message/subjects.ts";
import { runErrorShape, type RunError } from "./runs.ts";

/** Why a message died and where it came from; at most 4 KB as JSON. */
export interface DeadInfo extends Failure {
  v: 1;
  id: string;
  actor: string;
  origin: { stream: string; sequence: number; subject: string; storedAt: string };
  diedAt: string;
  /** Runs that began and failed before it was given up, each counted once, however often the server handed it out. */
  attempts: number;
  /** The server's count, which begins anew where it was killed and has forgotten some. */
  deliveries: number;
  stalls: number;
  /** The errors of its runs, oldest first; the oldest are left out where they do not fit. */
  history: RunError[];
  /** Where the last run's error and its causes come from, cut short where it does not fit; absent where no handler failed. */
  stack?: string;
}

export type HeaderList = [name: string, values: string[]][];

export interface DeadMessage {
  info: DeadInfo;
  headers: HeaderList;
  body: Uint8Array;
}

/** What the message was when it died. */
export interface Deceased {
  actor: string;
  id: string;
  stream: string;
  sequence: number;
  subject: string;
  storedAtMs: number;
  deliveries: number;
  headers: ReceivedHeaders;
  body: Uint8Array;
  attempts: number;
  stalls: number;
  history: readonly RunError[];
  reason: DeadReason;
  error: Error;
  stack?: string;
}

const text = z.string();
const time = text.refine((value) => !Number.isNaN(Date.parse(value)));
const id = text.refine((value) => {
  try {
    return checkId(value) === value;
  } catch {
    return false;
  }
});
/** Keys that another version added are kept. */
const shape: z.ZodType<DeadInfo> = z.looseObject({
  v: z.literal(1),
  id,
  actor: text,
  reason: z.enum(deadReasons),
  error: z.object({ name: text, message: text, code: text.exactOptional() }),
  origin: z.object({ stream: text, sequence: z.number(), subject: text, storedAt: time }),
  diedAt: time,
  attempts: z.number(),
  deliveries: z.number(),
  stalls: z.number(),
  history: z.array(runErrorShape),
  stack: text.exactOptional(),
});

const headerList: z.ZodType<HeaderList> = z.array(z.tuple([text, z.array(text)]));
const wholeShape = z.object({ headers: headerList, body: z.instanceof(Uint8Array) });

const maxConflicts = 3;
const maxInfoBytes = 4_096;
const maxStackLength = 2_000;
/** The server takes no more than 64 KB of headers in all. */
const maxHeadersBytes = 48 * 1_024;
/** A letter is larger than its body, and whoever took that may have taken more than the default. */
const ownLimits = { ...defaultPayload, maxBytes: Infinity };

export class DeadLetters {
  readonly #names: Names;
  readonly #publisher: Publisher;
  readonly #objects: Objects;
  readonly #reader: Pick<StreamReader, "newest">;

  constructor(names: Names, publisher: Publisher, reader: Pick<StreamReader, "newest">, objects: Objects) {
    this.#names = names;
    this.#publisher = publisher;
    this.#reader = reader;
    this.#objects = objects;
  }

  /** Stores a dead letter; storing it again changes nothing. @throws what the publisher and the object store throw. */
  async bury(deceased: Deceased, timeoutMs: number): Promise<DeadInfo> {
    const info = describe(deceased);
    const headers = deceased.headers.entries();
    const subject = this.#names.deadSubject(deceased.actor, deceased.stream, deceased.sequence);
    const kept = asciiJson(headers);
    const endMs = monotonicMs() + timeoutMs;
    if (kept.length <= maxHeadersBytes) {
      try {
        await this.#publish(subject, info, { [header.deadHeaders]: kept }, deceased.body, timeoutMs);
        return info;
      } catch (error) {
        if (!(error instanceof PayloadTooLargeError)) throw error;
      }
    }
    const name = objectOf(subject, info);
    await this.#objects.put(name, encode({ headers, body: deceased.body }, "msgpack"));
    await this.#publish(subject, info, { [header.deadObject]: name }, new Uint8Array(), endMs - monotonicMs());
    return info;
  }

  /** A stored dead letter, its body fetched. @throws NotFoundError where its object is gone, DecodeError for a foreign message. */
  async open(stored: StoredMessage): Promise<DeadMessage> {
    const info = readInfo(stored);
    const object = ownObject(stored, info);
    if (object === undefined) {
      const kept = stored.headers.get(header.deadHeaders) ?? "[]";
      return { info, headers: read(stored, headerList, () => JSON.parse(kept)), body: stored.body };
    }
    const bytes = await this.#objects.get(object);
    if (bytes === undefined)
      throw new NotFoundError(`The body of dead letter ${stored.sequence} is gone from the object store.`);
    return { info, ...read(stored, wholeShape, () => decode(bytes, contentTypes.msgpack, ownLimits)) };
  }

  /** Removes the object of a dead letter that is being removed. */
  async forgetBody(stored: StoredMessage): Promise<void> {
    const info = infoOf(stored);
    const object = info && ownObject(stored, info);
    if (object !== undefined) await this.#objects.delete(object);
  }

  async #publish(
    subject: string,
    info: DeadInfo,
    kept: Record<string, string>,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<void> {
    const { dead: stream } = this.#names;
    const endMs = monotonicMs() + timeoutMs;
    const fields = { [header.dead]: asciiJson(info), ...kept };
    let last = 0;
    for (let conflict = 0; ; conflict++) {
      // Where the server insists on what nobody finds, a letter that may be there twice is better than none.
      const headers =
        conflict < maxConflicts ? { [header.expectedLastSubjectSequence]: String(last), ...fields } : fields;
      try {
        await this.#publisher.publish({ stream, subject, body, headers, timeoutMs: endMs - monotonicMs() });
        return;
      } catch (error) {
        if (!(error instanceof PublishError && error.apiCode === apiError.wrongLastSequence)) throw error;
      }
      const there = await this.#reader.newest(stream, subject);
      // It was stored before, by this delivery or by one that was lost.
      if (there !== undefined && infoOf(there)?.origin.storedAt === info.origin.storedAt) return;
      last = there?.sequence ?? 0;
    }
  }
}

/** The time is in it, since a stream that was made anew has another message at the same place. */
function objectOf(subject: string, { origin }: DeadInfo): string {
  return `${subject}-${Date.parse(origin.storedAt)}`;
}

/** The object with the body, undefined where the letter has it. @throws DecodeError where it names one that is not its own. */
function ownObject(stored: StoredMessage, info: DeadInfo): string | undefined {
  const object = stored.headers.get(header.deadObject);
  // Older versions called it by the subject alone.
  if (object === undefined || object === stored.subject || object === objectOf(stored.subject, info)) return object;
  throw foreign(stored);
}

/** @throws DecodeError for what has another shape. */
function read<T>(stored: StoredMessage, wanted: z.ZodType<T>, decoded: () => unknown): T {
  try {
    return wanted.parse(decoded());
  } catch (cause) {
    throw foreign(stored, cause);
  }
}

function foreign({ sequence }: Pick<StoredMessage, "sequence">, cause?: unknown): DecodeError {
  return new DecodeError(
    `Message ${sequence} of the dead-letter stream was not written by Godwit, or not as it stands there; look at it with the nats tool, and delete it there.`,
    { cause },
  );
}

/** The info of a stored dead letter, without fetching its body. @throws DecodeError for a message that Godwit did not write. */
export function readInfo(stored: Pick<StoredMessage, "headers" | "sequence" | "subject">): DeadInfo {
  const info = infoOf(stored);
  if (info === undefined) throw foreign(stored);
  return info;
}

/** The same, `undefined` for a message that Godwit did not write: anyone may publish into the stream. */
export function infoOf(stored: Pick<StoredMessage, "headers" | "subject">): DeadInfo | undefined {
  try {
    const info = shape.parse(JSON.parse(stored.headers.get(header.dead) ?? ""));
    const lies = parseDead(stored.subject);
    if (lies === undefined) return undefined;
    const { actor, ...place } = lies;
    return { ...info, actor, origin: { ...info.origin, ...place } };
  } catch {
    return undefined;
  }
}

function describe(deceased: Deceased): DeadInfo {
  const { stream, sequence, subject } = deceased;
  const info: DeadInfo = {
    v: 1,
    ...writeFailure(deceased.reason, deceased.error),
    id: deceased.id,
    actor: deceased.actor,
    origin: { stream, sequence, subject, storedAt: new Date(deceased.storedAtMs).toISOString() },
    diedAt: new Date(wallMs()).toISOString(),
    attempts: deceased.attempts,
    deliveries: deceased.deliveries,
    stalls: deceased.stalls,
    history: [...deceased.history],
    ...(deceased.stack !== undefined && { stack: deceased.stack.slice(0, maxStackLength) }),
  };
  const tooLarge = (): boolean => Buffer.byteLength(asciiJson(info)) > maxInfoBytes;
  while (info.history.length > 1 && tooLarge()) info.history.shift();
  while (info.stack !== undefined && tooLarge()) {
    if (info.stack.length > 100) info.stack = info.stack.slice(0, info.stack.length / 2);
    else delete info.stack;
  }
  if (tooLarge()) info.history = [];
  if (tooLarge()) info.error.message = info.error.message.slice(0, 300);
  return info;
}

/** JSON in printable ASCII, which any header can carry. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
