/**
 * Publisher: puts messages into streams, pipelined, with an outcome for each.
 * 1. At most `window` messages and `windowBytes` bytes are in flight; the rest waits in order.
 * 2. Every repeat carries the same headers, so a `Nats-Msg-Id` makes it harmless.
 * 3. What ends without an answer is PublishTimeoutError where the server may have it: the outcome is unknown. Else it is not stored.
 */
import type { Msg } from "@nats-io/transport-node";
import { monotonicMs } from "../kernel/clock.ts";
import {
  ClosedError,
  GodwitError,
  InvalidNameError,
  NotStoredError,
  PayloadTooLargeError,
  PublishError,
  PublishTimeoutError,
  QueueFullError,
} from "../kernel/errors.ts";
import type { HeaderFields } from "../message/headers.ts";
import type { Absences } from "./absences.ts";
import type { Connection } from "./connection.ts";
import { Peer, PipelineRequest, type Pipeline } from "./pipeline.ts";
import type { PublishTally } from "./publish-tally.ts";
import { isNoRoom, noRoomFor } from "./room.ts";
import { StreamLimits } from "./stream-limits.ts";

export interface Published {
  stream: string;
  sequence: number;
  /** JetStream had a message with this `Nats-Msg-Id` already. Never true for a message that had to be sent twice: see sends. */
  duplicate: boolean;
  /** How often it was sent; above 1 a duplicate may be our own earlier send, and is not reported as one. */
  sends: number;
}

export interface OutgoingMessage {
  /** The stream that holds the subject; for error messages alone. */
  stream: string;
  subject: string;
  body: Uint8Array;
  headers: Readonly<HeaderFields>;
  /** How long to try, the wait for room included. Default 30 s. */
  timeoutMs?: number;
}

/** Called once for each message, with what JetStream said or with the error. */
export type OnPublished = (result: Published | Error) => void;

const resendMs = 3_000;
export const defaultTimeoutMs = 30_000;

/** JetStream's error codes that matter here. */
export const apiError = { tooLarge: 10054, inProcess: 10158, wrongLastSequence: 10071 } as const;

export class Publisher {
  readonly #connection: Connection;
  readonly #pipeline: Pipeline;
  readonly #window: number;
  readonly #windowBytes: number;
  #inFlight = 0;
  #inFlightBytes = 0;
  #queue: PublishRequest[] = [];
  #head = 0;
  #roomWaiters: (() => void)[] = [];
  readonly #limits: StreamLimits;
  readonly #streams = new Map<string, Peer>();
  /** Undefined where nobody counts. */
  readonly #tally: PublishTally | undefined;
  #advancing = false;

  constructor(
    connection: Connection,
    pipeline: Pipeline,
    tally?: PublishTally,
    window = 1_000,
    windowBytes = 16 * 1_048_576,
  ) {
    this.#tally = tally;
    this.#connection = connection;
    this.#pipeline = pipeline;
    this.#window = window;
    this.#windowBytes = windowBytes;
    this.#limits = new StreamLimits(pipeline);
  }

  /** @throws PayloadTooLargeError before anything is sent, QueueFullError, PublishError, NotAuthorizedError, PublishTimeoutError. */
  publish(message: OutgoingMessage): Promise<Published> {
    return new Promise((resolve, reject) => {
      this.send(message, (result) => (result instanceof Error ? reject(result) : resolve(result)));
    });
  }

  /** As publish(), without a promise for each message: for senders of many. */
  send(message: OutgoingMessage, onPublished: OnPublished): void {
    const headers = encodeHeaders(message.headers);
    const limitBytes = this.#connection.maxPayloadBytes;
    const sizeBytes = headers.length + message.body.length;
    if (sizeBytes > limitBytes) {
      onPublished(new PayloadTooLargeError(message.subject, sizeBytes, limitBytes));
      return;
    }
    const { absences } = this.#pipeline;
    const peer = this.#peer(message.stream);
    const request = new PublishRequest(message, headers, peer, this.#connection, absences, (result) => {
      this.#inFlight -= 1;
      this.#inFlightBytes -= sizeBytes;
      if (this.#tally !== undefined) count(this.#tally, request, message.stream, result);
      if (result instanceof Refusal) void this.#explain(result).then(onPublished);
      else onPublished(result);
      this.#advance();
    });
    if (this.#hasRoom && this.#queue.length === this.#head) this.#transmit(request);
    else this.#queue.push(request);
  }

  /** Undefined where a publish would go out at once, else a promise for when one would. For senders of many. */
  room(): Promise<void> | undefined {
    if (this.#hasRoom && this.#queue.length === this.#head) return undefined;
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Names the limit that was reached, which the server's refusal does not. */
  async #explain({ stream, subject, reason, apiCode }: Refusal): Promise<QueueFullError> {
    const short = noRoomFor(subject, stream, apiCode, reason);
    if (short !== undefined) return short;
    const limit = await this.#limits.reached(stream, reason).catch(() => undefined);
    const what =
      limit === undefined ? "" : `: ${"bytes" in limit ? `${limit.bytes} bytes` : `${limit.messages} messages`}`;
    return new QueueFullError(
      stream,
      `The stream ${stream} takes no more for '${subject}' (${reason}${what}); let its workers catch up, add workers, or raise the limit.`,
      limit,
    );
  }

  #peer(stream: string): Peer {
    let peer = this.#streams.get(stream);
    if (peer === undefined) this.#streams.set(stream, (peer = new Peer()));
    return peer;
  }

  get #hasRoom(): boolean {
    return this.#inFlight < this.#window && this.#inFlightBytes < this.#windowBytes;
  }

  #transmit(request: PublishRequest): void {
    this.#inFlight += 1;
    this.#inFlightBytes += request.sizeBytes;
    this.#pipeline.send(request);
  }

  #advance(): void {
    // A request that ends while it is being sent, its deadline past or the pipeline closed, comes back here: the loop that sends it
    // goes on, since a call for each of a long queue would overflow the stack.
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      while (this.#head < this.#queue.length && this.#hasRoom) {
        this.#transmit(this.#queue[this.#head++] as PublishRequest);
      }
    } finally {
      this.#advancing = false;
    }
    if (this.#head < this.#queue.length) return;
    if (this.#head > 0) {
      this.#queue = [];
      this.#head = 0;
    }
    // Woken at half a window, so that a sender of many refills in bulk and not one by one.
    if (this.#roomWaiters.length > 0 && this.#inFlight <= this.#window / 2) {
      const waiters = this.#roomWaiters;
      this.#roomWaiters = [];
      for (const wake of waiters) wake();
    }
  }
}

function count(
  tally: PublishTally,
  { offeredMs, body }: PublishRequest,
  stream: string,
  result: Published | Error | Refusal,
): void {
  if (result instanceof Refusal) tally.failed(stream, "QUEUE_FULL");
  // A compare-and-set that lost the race was answered as it should be.
  else if (
    !(result instanceof Error) ||
    (result instanceof PublishError && result.apiCode === apiError.wrongLastSequence)
  )
    tally.taken(stream, monotonicMs() - offeredMs, body.length);
  else tally.failed(stream, result instanceof GodwitError ? result.code : "OTHER");
}

class PublishRequest extends PipelineRequest {
  /** When it was handed over, monotonic. */
  readonly offeredMs: number;
  readonly #connection: Connection;
  readonly #stream: string;
  readonly #absences: Absences | undefined;
  readonly #onPublished: (result: Published | Error | Refusal) => void;
  /** Why nobody took it. */
  #untakenFor = "there was no connection";

  constructor(
    message: OutgoingMessage,
    headers: Uint8Array,
    peer: Peer,
    connection: Connection,
    absences: Absences | undefined,
    onPublished: (result: Published | Error | Refusal) => void,
  ) {
    const { timeoutMs = defaultTimeoutMs } = message;
    const nowMs = monotonicMs();
    super(message.subject, message.body, headers, nowMs + timeoutMs, resendMs, peer);
    this.#connection = connection;
    this.offeredMs = nowMs;
    this.#stream = message.stream;
    this.#absences = absences;
    this.#onPublished = onPublished;
  }

  get sizeBytes(): number {
    return this.body.length + (this.headers?.length ?? 0);
  }

  override untaken(why: string): Error | undefined {
    this.#untakenFor = why;
    void this.#absences?.look(this.#stream);
    return super.untaken(why) ?? this.#absences?.refusal(this.#stream);
  }

  override onReply(reply: Msg): boolean {
    const answer = readAnswer(reply, this, this.#stream, this.#connection);
    if (answer !== "again") this.#onPublished(answer);
    return answer !== "again";
  }

  override get endsWhenForbidden(): boolean {
    return true;
  }

  override onDeadline(error?: Error): void {
    const { subject, sends } = this;
    const untaken = `Nobody took the message for '${subject}' in time (${this.#untakenFor}), so it is not stored; see that the stream ${this.#stream} is there and has a leader, and send it again.`;
    // One that is too large by now is told from a repeat by its id, however it is sent.
    const isKnown = sends === 0 || error instanceof PayloadTooLargeError;
    this.#onPublished(isKnown ? (error ?? new NotStoredError(untaken)) : timedOut(subject, error));
  }
}

/** The stream, account or server is full; which of its limits was reached is to be found out. */
class Refusal {
  readonly stream: string;
  readonly subject: string;
  readonly reason: string;
  /** JetStream's code for it. */
  readonly apiCode: number;

  constructor(stream: string, subject: string, reason: string, apiCode: number) {
    this.apiCode = apiCode;
    this.stream = stream;
    this.subject = subject;
    this.reason = reason;
  }
}

function timedOut(subject: string, cause?: Error): PublishTimeoutError {
  const what = cause instanceof ClosedError ? "before the system was closed" : "in time";
  return new PublishTimeoutError(
    `The server did not confirm the message for '${subject}' ${what}, so it may or may not be stored; send it again with the same id.`,
    { cause },
  );
}

interface Answer {
  stream?: string;
  seq?: number;
  duplicate?: boolean;
  domain?: string;
  error?: { code: number; err_code?: number; description: string };
}

function readAnswer(
  reply: Msg,
  request: PublishRequest,
  stream: string,
  connection: Connection,
): Published | Error | Refusal | "again" {
  const answer = reply.json<Answer>();
  const { error } = answer;
  if (error === undefined) {
    if (answer.domain !== connection.domain) connection.storedIn(answer.domain, request.subject);
    return {
      stream: answer.stream ?? "",
      sequence: answer.seq ?? 0,
      duplicate: answer.duplicate === true && request.sends === 1,
      sends: request.sends,
    };
  }
  // What a cluster says while another write of the subject is on its way.
  const apiCode = error.err_code === 10164 ? apiError.wrongLastSequence : (error.err_code ?? 0);
  const { subject } = request;
  if (isNoRoom(apiCode)) return new Refusal(stream, subject, error.description, apiCode);
  if (apiCode === apiError.tooLarge) {
    return new PayloadTooLargeError(subject, request.sizeBytes, 0);
  }
  if (apiCode === apiError.inProcess) return "again";
  if (error.code === 503) {
    request.untaken(error.description);
    return "again";
  }
  return new PublishError(
    `The server refused the message for '${subject}': ${error.description} (${apiCode}); check the message's headers and the stream's settings.`,
    apiCode,
  );
}

/**
 * The wire form of headers. Written by hand because the client's own costs six times as much for each message (2.8 µs against 0.4 µs).
 * @throws InvalidNameError for control characters, wherever they came from: behind a line's end in a value there would be another header.
 */
export function encodeHeaders(fields: Readonly<HeaderFields>): Uint8Array {
  let text = "NATS/1.0\r\n";
  let ends = 4;
  for (const name in fields) {
    text += `${name}: ${fields[name]}\r\n`;
    ends += 2;
  }
  const bytes = Buffer.from(`${text}\r\n`);
  // A look at each byte costs 0.1 µs, a pattern for each value twice that. A tab is ordinary.
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (byte < 0x20 && byte !== 0x09) ends -= 1;
  }
  if (ends === 0) return bytes;
  const bad = Object.entries(fields).find((field) => /\p{Cc}/u.test(field.join("")));
  throw new InvalidNameError(
    `The header ${JSON.stringify(bad?.[0])} has control characters, which no message can carry, and nothing was sent; leave them out.`,
  );
}
