/**
 * Redrive: looks through dead letters, sends them again and removes them.
 * A redriven message keeps its id, because handlers hand it to others as an idempotency key; it goes to the actor that had failed and
 * to no other, also when it was an event: the actor of the letter's subject. It is removed from the dead letters only once JetStream has it.
 * Who sends or deletes a letter claims it first, so that none is deleted that was sent, or sent that was deleted. Two may do the same with it.
 */
import type { Bucket } from "../broker/bucket.ts";
import type { Payloads } from "../broker/payloads.ts";
import type { OutgoingMessage, Published, Publisher } from "../broker/publisher.ts";
import type { StoredMessage, StreamReader } from "../broker/stream-reader.ts";
import { InUseError, InvalidNameError, NotFoundError, PayloadTooLargeError } from "../kernel/errors.ts";
import { header, isControlHeader, isHeaderName, type HeaderFields } from "../message/headers.ts";
import type { DeadReason } from "../message/failure.ts";
import { isActorName, lanes } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import { infoOf, readInfo, type DeadInfo, type DeadLetters, type DeadMessage, type HeaderList } from "./dead-letter.ts";

export interface DeadFilter {
  actor?: string;
  reason?: DeadReason;
  /** The message's own id. */
  id?: string;
}

export interface DeadSummary extends DeadInfo {
  /** Sequence in the dead-letter stream: what `show`, `requeue` and `purge` take. */
  sequence: number;
  sizeBytes: number;
}

export interface RedriveOptions {
  names: Names;
  reader: StreamReader;
  publisher: Publisher;
  payloads: Payloads;
  deadLetters: DeadLetters;
  /** Where letters are claimed. */
  claims: Bucket;
  /** Does what the end of the system waits for. */
  take: <T>(call: () => Promise<T>) => Promise<T>;
}

const acts = ["requeue", "delete"] as const;
type Act = (typeof acts)[number];

/** Longer than a letter takes to be sent: the claim of a process that died ends then. */
const claimMs = 120_000;

export class Redrive {
  readonly #options: RedriveOptions;

  constructor(options: RedriveOptions) {
    this.#options = options;
  }

  /**
   * Dead letters that fit the filter, oldest first.
   * @param onForeign is told the sequence of each message that is no dead letter: anyone may publish into the stream.
   */
  async *list(filter: DeadFilter = {}, onForeign?: (sequence: number) => void): AsyncGenerator<DeadSummary> {
    for await (const stored of this.#scan(filter, onForeign)) yield summarise(stored);
  }

  /** One dead letter, whole. @throws NotFoundError. */
  async show(sequence: number): Promise<DeadMessage & { sequence: number }> {
    const stored = await this.read(sequence);
    return { sequence, ...(await this.#options.deadLetters.open(stored)) };
  }

  /**
   * Sends one dead letter again as a task of its actor, and removes it here.
   * @returns the sequence that the task now has.
   * @throws NotFoundError, InvalidNameError for what no message can carry, and what the publisher throws; it then stays a dead letter.
   */
  requeue(sequence: number): Promise<{ id: string; sequence: number }> {
    return this.#options.take(async () => this.#requeue(await this.read(sequence)));
  }

  /** As requeue(), for those who have read it. @internal */
  requeueStored(stored: StoredMessage): Promise<{ id: string; sequence: number }> {
    return this.#options.take(() => this.#requeue(stored));
  }

  async #requeue(stored: StoredMessage): Promise<{ id: string; sequence: number }> {
    const { names, reader } = this.#options;
    const { sequence } = stored;
    const { actor } = readInfo(stored);
    if (!isActorName(actor)) {
      throw new InvalidNameError(
        `Dead letter ${sequence} lies under ${JSON.stringify(actor)}, which is no actor's name, so it stays; delete it with: godwit dead purge ${sequence}.`,
      );
    }
    // It may have been deleted since it was read, but not while another sends it.
    if ((await this.#claim(stored, "requeue")) === "new") await this.#readAgain(stored);
    const { info, headers, body } = await this.#options.deadLetters.open(stored);
    const origin = names.origin(info.origin.stream, info.origin.subject);
    const lane = lanes.find((one) => "lane" in origin && one === origin.lane) ?? "normal";
    const fields: HeaderFields = {
      ...keptHeaders(headers, body),
      [header.id]: info.id,
      // The replay's own dedup key: repeating a requeue that broke off half-way sends nothing twice inside the dedup window.
      // With the time, or a task `17` of an actor `replay` would be taken for it, as would the letter 17 of a stream that was made anew.
      [header.msgId]: `replay|${sequence}|${stored.storedAtMs}`,
    };
    if (origin.kind === "event" || origin.kind === "foreign") {
      // Its own header of that name, if any, was not ours. A redriven event that died again has come as a task and keeps it.
      fields[header.event] = `${info.origin.stream} ${info.origin.subject}`;
    }
    const message = { stream: names.tasks, subject: names.taskSubject(info.actor, lane), headers: fields, body };
    const published = await this.#publish(message);
    // The letter first: one whose body is gone could not be opened any more.
    await reader.deleteMessage(names.dead, sequence);
    await this.#options.deadLetters.forgetBody(stored);
    return { id: info.id, sequence: published.sequence };
  }

  /** A body that was too large for a message still is; one that had the size of the limit has no room for its second life's headers. */
  async #publish(message: OutgoingMessage): Promise<Published> {
    const { publisher, payloads } = this.#options;
    try {
      return await publisher.publish(message);
    } catch (error) {
      if (!(error instanceof PayloadTooLargeError)) throw error;
      return payloads.publish(message, error);
    }
  }

  /** Deletes one dead letter for good. @throws NotFoundError. */
  purge(sequence: number): Promise<void> {
    return this.#options.take(async () => this.#purge(await this.read(sequence)));
  }

  /** As purge(), for those who have read it. @throws NotFoundError where it has gone since. @internal */
  purgeStored(stored: StoredMessage): Promise<void> {
    return this.#options.take(() => this.#purge(stored));
  }

  async #purge(stored: StoredMessage): Promise<void> {
    const { names, reader, deadLetters } = this.#options;
    await this.#claim(stored, "delete");
    await this.#readAgain(stored);
    // Somebody else deleted it, or sent it again: whoever does is told, or he would take it for deleted.
    if (!(await reader.deleteMessage(names.dead, stored.sequence))) throw this.#noLetter(stored.sequence);
    await deadLetters.forgetBody(stored);
  }

  /** One dead letter as it is stored. @throws NotFoundError. @internal */
  async read(sequence: number): Promise<StoredMessage> {
    const { names, reader } = this.#options;
    const stored = sequence > 0 && Number.isSafeInteger(sequence) && (await reader.get(names.dead, sequence));
    if (!stored) throw this.#noLetter(sequence);
    return stored;
  }

  /** @throws NotFoundError where it is gone since it was read; another letter may have its sequence, where the stream was made anew. */
  async #readAgain({ sequence, storedAtMs }: StoredMessage): Promise<void> {
    if ((await this.read(sequence)).storedAtMs !== storedAtMs) throw this.#noLetter(sequence);
  }

  /** @throws NotFoundError where it is being deleted, InUseError where it is being sent. */
  async #claim({ sequence, storedAtMs }: StoredMessage, act: Act): Promise<"new" | "shared"> {
    const { claims } = this.#options;
    // No limit has such a key: names have no "=" but before two digits.
    const key = `=d.${sequence}.${storedAtMs}`;
    for (;;) {
      const { value, revision } = await claims.read(key);
      const text = Buffer.from(value ?? []).toString();
      // What stands there and is no claim holds no letter.
      const holder = acts.find((one) => one === text);
      if (holder === undefined || holder === act) {
        const claimed = await claims.put(key, Buffer.from(act), { ttlMs: claimMs, expected: revision });
        if (claimed !== undefined) return holder === undefined ? "new" : "shared";
      } else if (act === "requeue") throw this.#noLetter(sequence);
      else {
        throw new InUseError(
          `The dead letter ${sequence} is being sent again; if it is still there in two minutes, delete it then.`,
        );
      }
    }
  }

  #noLetter(sequence: number): NotFoundError {
    return new NotFoundError(
      `There is no dead letter ${sequence} in ${this.#options.names.dead}; 'godwit dead list' shows those there are.`,
    );
  }

  async *#scan(
    filter: DeadFilter,
    onForeign: (sequence: number) => void = () => undefined,
  ): AsyncGenerator<StoredMessage> {
    const { names, reader } = this.#options;
    const subjects = filter.actor === undefined ? `${names.namespace}.dead.>` : names.deadFilter(filter.actor);
    for await (const stored of reader.scan(names.dead, subjects)) {
      const info = infoOf(stored);
      if (info === undefined) {
        onForeign(stored.sequence);
        continue;
      }
      if (filter.reason !== undefined && info.reason !== filter.reason) continue;
      if (filter.id !== undefined && info.id !== filter.id) continue;
      yield stored;
    }
  }
}

/** What a list shows of it. @throws DecodeError for a message that Godwit did not write. */
export function summarise(stored: StoredMessage): DeadSummary {
  return { sequence: stored.sequence, sizeBytes: stored.body.length, ...readInfo(stored) };
}

/**
 * What the server acts on, the asker's address and the expiry belong to the first life; in any spelling, since readers may not mind it. An
 * event that came again as a task stays one. @throws InvalidNameError for a name that no header can have.
 */
function keptHeaders(headers: HeaderList, body: Uint8Array): HeaderFields {
  // A letter without a body is of one that could not be fetched, and may be now; any other has a copy.
  const ours = body.length > 0 ? [header.event] : [header.event, header.bodyObject];
  const kept: HeaderFields = {};
  for (const [name, [value]] of headers) {
    if (!isHeaderName(name)) {
      throw new InvalidNameError(
        `The letter has ${JSON.stringify(name)} for a header's name, which none can have; it stays.`,
      );
    }
    const free = !/^godwit-/i.test(name) || ours.some((one) => one === name);
    if (free && !isControlHeader(name) && value !== undefined) kept[name] = value;
  }
  return kept;
}
