/** Stream reader: looks into streams from outside, for people and tools; no message's way leads through it. */
import {
  JetStreamApiError,
  type CompletionResult,
  type ConsumerInfo,
  type StoredMsg,
  type StreamInfo,
} from "@nats-io/jetstream";
import { errors } from "@nats-io/transport-node";
import { ConnectError, NotAuthorizedError, toError } from "../kernel/errors.ts";
import type { MessagePlace } from "../message/place.ts";
import type { ReceivedHeaders } from "../message/headers.ts";
import { NatsHeaders } from "./received-headers.ts";
import { violationOf, type Connection } from "./connection.ts";

export interface StoredMessage {
  stream: string;
  sequence: number;
  subject: string;
  headers: ReceivedHeaders;
  body: Uint8Array;
  /** Wall-clock ms. */
  storedAtMs: number;
}

export interface StreamState {
  messages: number;
  bytes: number;
  firstSequence: number;
  lastSequence: number;
}

export interface ConsumerState {
  durable: string;
  filters: string[];
  /** Stored and not yet delivered. */
  pending: number;
  /** Delivered and not settled: running, held, or asleep in a delayed nak. */
  inFlight: number;
  redelivered: number;
  /** Deliveries that there were, those of the same message again included; begins at 0 where the durable is made anew. */
  deliveries: number;
  /** Open pulls of workers. */
  waitingPulls: number;
  ackWaitMs: number;
  /** Stream sequence up to which everything was handed over at least once. */
  delivered: number;
  /** Stream sequence up to which everything is settled. */
  ackFloor: number;
  /** Nothing is delivered before this, by the server's clock, ms; undefined where it is not paused. */
  pausedUntilMs?: number;
  /** The server's time of this answer, ms. */
  atMs: number;
}

const pageSize = 500;

export class StreamReader {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** One message, `undefined` where it is gone. */
  async get(stream: string, sequence: number): Promise<StoredMessage | undefined> {
    return this.#find(stream, { seq: sequence });
  }

  /** True while a message is stored. It is not read, which takes more rights: see `mayHaveStored`. */
  async holds(place: MessagePlace): Promise<boolean> {
    const { stream, sequence } = place;
    try {
      const info = await this.#ask(stream, () => this.#connection.jsm.streams.info(stream));
      if (sequence < info.state.first_seq || !mayHaveStored(info, place)) return false;
      if ((info.state.num_deleted ?? 0) === 0) return true;
      // What is gone from between the first and the last: asked for only where there is any.
      const whole = await this.#ask(stream, () => this.#connection.jsm.streams.info(stream, { deleted_details: true }));
      return sequence >= whole.state.first_seq && !(whole.state.deleted ?? []).includes(sequence);
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /** The newest message of a subject. */
  async last(stream: string, subject: string): Promise<StoredMessage | undefined> {
    return this.#find(stream, { last_by_subj: subject });
  }

  /** As last(), by a direct get: a right to that can be kept to the subject. Needs a stream that allows them; a replica may answer that lags. */
  async newest(stream: string, subject: string): Promise<StoredMessage | undefined> {
    try {
      const query = { last_by_subj: subject };
      const message = await this.#ask(stream, () => this.#connection.jsm.direct.getMessage(stream, query));
      return message ? stored(stream, message) : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** The first message of a subject filter from a sequence on. Any stream allows that, and does not tell how many there are. */
  async first(stream: string, filter: string, fromSequence: number): Promise<StoredMessage | undefined> {
    return this.#find(stream, { seq: Math.max(1, fromSequence), next_by_subj: filter });
  }

  /** Messages of a subject filter in order, from a sequence on, fetched in pages. Needs a stream that allows direct gets. */
  async *scan(stream: string, filter: string, fromSequence = 1): AsyncGenerator<StoredMessage> {
    let next = Math.max(1, fromSequence);
    for (;;) {
      const page = await this.#page(stream, filter, next, pageSize);
      for (const message of page) yield stored(stream, message);
      const last = page.at(-1);
      // A page may be short and not the last: the server also bounds its bytes.
      if (last === undefined || last.pending === 0) return;
      next = last.seq + 1;
    }
  }

  /**
   * No more than `limit` messages of a subject filter, from a sequence on. Fewer need not be the last: the server also bounds their bytes.
   * Needs a stream that allows direct gets.
   * @param filter undefined for every message: from the middle of a million letters that took 50 ms, and 350 ms with any filter.
   * @returns `pending`: how many of the filter lie behind the last one.
   */
  async page(
    stream: string,
    filter: string | undefined,
    fromSequence: number,
    limit: number,
  ): Promise<{ messages: StoredMessage[]; pending: number }> {
    const page = await this.#page(stream, filter, Math.max(1, fromSequence), limit);
    return { messages: page.map((message) => stored(stream, message)), pending: page.at(-1)?.pending ?? 0 };
  }

  /** How many messages of a subject filter there are from a sequence on. Needs a stream that allows direct gets. */
  async count(stream: string, filter: string, fromSequence = 1): Promise<number> {
    return (await this.backlog(stream, filter, fromSequence)).count;
  }

  /**
   * How many messages of a subject filter there are from a sequence on, and when the first of them was stored, wall-clock ms; one
   * request for both. Needs a stream that allows direct gets.
   */
  async backlog(
    stream: string,
    filter: string,
    fromSequence = 1,
  ): Promise<{ count: number; oldestAtMs: number | undefined }> {
    const [first] = await this.#page(stream, filter, Math.max(1, fromSequence), 1);
    return { count: first === undefined ? 0 : first.pending + 1, oldestAtMs: first?.time.getTime() };
  }

  /** Every stream of the account. */
  async streamNames(): Promise<string[]> {
    return this.#ask("the streams", async () => {
      const found: string[] = [];
      for await (const name of this.#connection.jsm.streams.names()) found.push(name);
      return found;
    });
  }

  /** Undefined where there is no such stream. */
  async state(stream: string): Promise<StreamState | undefined> {
    try {
      const { state } = await this.#ask(stream, () => this.#connection.jsm.streams.info(stream));
      return {
        messages: state.messages,
        bytes: state.bytes,
        firstSequence: state.first_seq,
        lastSequence: state.last_seq,
      };
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** How many messages each subject holds; none where there is no such stream. */
  async subjects(stream: string, filter: string): Promise<Record<string, number>> {
    const query = { subjects_filter: filter };
    try {
      return (await this.#ask(stream, () => this.#connection.jsm.streams.info(stream, query))).state.subjects ?? {};
    } catch (error) {
      if (isNotFound(error)) return {};
      throw error;
    }
  }

  /**
   * How many messages of these filters, which do not overlap, a work queue stores: what is there is not settled. Undefined for any other
   * stream. It takes no right to read messages.
   */
  async queued(stream: string, filters: readonly string[]): Promise<number | undefined> {
    let sum = 0;
    for (const filter of filters) {
      const query = { subjects_filter: filter };
      const { config, state } = await this.#ask(stream, () => this.#connection.jsm.streams.info(stream, query));
      if (config.retention !== "workqueue") return undefined;
      sum += Object.values(state.subjects ?? {}).reduce((total, one) => total + one, 0);
    }
    return sum;
  }

  /** Every durable of a stream. */
  async consumers(stream: string): Promise<ConsumerState[]> {
    return this.#ask(`the consumers of ${stream}`, async () => {
      const found: ConsumerState[] = [];
      for await (const info of this.#connection.jsm.consumers.list(stream)) found.push(consumerState(info));
      return found;
    });
  }

  /**
   * Nothing is delivered to the durable any more, first or again, until then; what it has handed out can be settled as ever. Open pulls stay.
   * @param untilMs by the server's clock.
   */
  async pauseConsumer(stream: string, durable: string, untilMs: number): Promise<void> {
    await this.#ask(stream, () => this.#connection.jsm.consumers.pause(stream, durable, new Date(untilMs)));
  }

  async resumeConsumer(stream: string, durable: string): Promise<void> {
    await this.#ask(stream, () => this.#connection.jsm.consumers.resume(stream, durable));
  }

  /** One durable, undefined where it is gone. */
  async consumer(stream: string, durable: string): Promise<ConsumerState | undefined> {
    try {
      return await this.#ask(stream, async () =>
        consumerState(await this.#connection.jsm.consumers.info(stream, durable)),
      );
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async deleteConsumer(stream: string, durable: string): Promise<void> {
    await this.#ask(stream, () => this.#connection.jsm.consumers.delete(stream, durable));
  }

  /** @returns false where it was gone already. */
  async deleteMessage(stream: string, sequence: number): Promise<boolean> {
    try {
      return await this.#ask(stream, () => this.#connection.jsm.streams.deleteMessage(stream, sequence, false));
    } catch (error) {
      if (
        isNotFound(error) ||
        (error instanceof JetStreamApiError && /no message found|sequence \d+ not found/.test(error.message))
      )
        return false;
      throw error;
    }
  }

  /** Deletes every message of a subject filter. @returns how many. */
  async purge(stream: string, filter: string): Promise<number> {
    return (await this.#ask(stream, () => this.#connection.jsm.streams.purge(stream, { filter }))).purged;
  }

  /** By callback, because the client's iterator leaves its subscription open. */
  #page(stream: string, filter: string | undefined, fromSequence: number, batch: number): Promise<StoredMsg[]> {
    const ask = (): Promise<StoredMsg[]> =>
      new Promise((resolve, reject) => {
        const page: StoredMsg[] = [];
        const callback = (done: CompletionResult | null, message: StoredMsg): void => {
          if (done === null) page.push(message);
          // The client bounds the time of a page as a whole; what has come of it is in order, and the rest is asked for next.
          else if (page.length > 0 && done.err instanceof errors.TimeoutError) resolve(page);
          else if (done.err === undefined || isNotFound(done.err)) resolve(page);
          else reject(done.err);
        };
        const query = { seq: fromSequence, batch, ...(filter !== undefined && { next_by_subj: filter }), callback };
        // The client would wait for an answer that the server has refused to give.
        forget = this.#connection.onError((error) => {
          if (violationOf(error)?.subject.startsWith(`${this.#connection.apiPrefix}.DIRECT.GET.${stream}`))
            reject(error);
        });
        this.#connection.jsm.direct.getBatch(stream, query).catch(reject);
      });
    let forget: () => void = () => undefined;
    return this.#ask(stream, ask).finally(() => forget());
  }

  async #find(
    stream: string,
    query: { seq: number; next_by_subj?: string } | { last_by_subj: string },
  ): Promise<StoredMessage | undefined> {
    try {
      const message = await this.#ask(stream, () => this.#connection.jsm.streams.getMessage(stream, query));
      return message ? stored(stream, message) : undefined;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** What the client says of an answer that did not come is one word. */
  async #ask<T>(what: string, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (thrown) {
      const cause = toError(thrown);
      const violation = violationOf(cause);
      if (violation !== undefined) {
        throw new NotAuthorizedError(
          `The credentials have no right to ${violation.operation} to ${violation.subject}, which is needed to ask about ${what}; allow it in the user's permissions, or take others: godwit doctor --permissions prints those of each role.`,
          { cause },
        );
      }
      const silent = cause instanceof errors.TimeoutError || cause instanceof errors.RequestError;
      if (!silent || isNotFound(cause)) throw cause;
      throw new ConnectError(
        `The server did not answer when asked about ${what} (${cause.message}); look whether it runs, is reachable, and has a leader for that, then try again.`,
        { cause },
      );
    }
  }
}

/**
 * False where a stream was made after a message was stored, or has not come to its sequence, or holds a younger one there: it was made anew,
 * or has lost its end.
 */
export function mayHaveStored({ created, mirror, state }: StreamInfo, { sequence, storedAtMs }: MessagePlace): boolean {
  // They were stored in the order of their sequences.
  const isYounger =
    (sequence >= state.first_seq && Date.parse(state.first_ts) > storedAtMs) ||
    (sequence === state.last_seq && Date.parse(state.last_ts) > storedAtMs);
  // A mirror has the times of its origin.
  const wasThere = mirror !== undefined || storedAtMs >= Date.parse(created);
  return sequence <= state.last_seq && wasThere && !isYounger;
}

/** What the server tells of a consumer, as we call it. */
export function consumerState(info: ConsumerInfo): ConsumerState {
  const { config } = info;
  return {
    durable: info.name,
    filters: config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : []),
    pending: info.num_pending,
    inFlight: info.num_ack_pending,
    redelivered: info.num_redelivered,
    deliveries: info.delivered.consumer_seq,
    waitingPulls: info.num_waiting,
    ackWaitMs: (config.ack_wait ?? 0) / 1_000_000,
    delivered: info.delivered.stream_seq,
    ackFloor: info.ack_floor.stream_seq,
    // Once the time has come the server still tells it.
    ...(info.paused === true && { pausedUntilMs: Date.parse(config.pause_until ?? "") }),
    atMs: info.ts === undefined ? Date.now() : Date.parse(info.ts),
  };
}

function stored(stream: string, message: StoredMsg): StoredMessage {
  return {
    stream,
    sequence: message.seq,
    subject: message.subject,
    headers: new NatsHeaders(message.header),
    body: message.data,
    storedAtMs: message.time.getTime(),
  };
}

function isNotFound(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.status === 404;
  return error instanceof Error && /(no message found|message not found|404)/i.test(error.message);
}
