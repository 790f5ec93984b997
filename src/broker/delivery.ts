/**
 * Delivery: one handing-over of a message, which settles once and only while it is ours.
 * 1. The deadline is the time at which the last *confirmed* progress mark was sent + ack-wait − margin. The server takes a stale
 *    settle from anyone, so nothing is sent after the deadline.
 * 2. A settle is confirmed by the server and sent again until it is, or until the deadline; then the delivery is lost. A nak is sent
 *    again only while the message cannot have come back.
 * 3. One whose durable or stream is gone is disowned: what is sent for it could end another message, which has its place by now.
 */
import type { Msg } from "@nats-io/transport-node";
import { monotonicMs } from "../kernel/clock.ts";
import type { ReceivedHeaders } from "../message/headers.ts";
import { readHeaders } from "./received-headers.ts";
import type { Acknowledger } from "./acknowledger.ts";

const acked = Buffer.from("+ACK");

export type Settlement = { kind: "ack" } | { kind: "nak"; delayMs: number } | { kind: "term"; reason: string };

/** A delivery as those see it who have it in hand; the test kit has one without a server. */
export type AnyDelivery = Pick<Delivery, keyof Delivery>;

/** What the deliveries of one durable have in common. */
export class DeliverySource {
  readonly stream: string;
  readonly consumer: string;
  readonly ackWaitMs: number;
  /** How the addresses begin where settles and marks go: `$JS.ACK.<stream>.<consumer>.`. */
  readonly ackPrefix: string;

  constructor(stream: string, consumer: string, ackWaitMs: number) {
    this.stream = stream;
    this.consumer = consumer;
    this.ackWaitMs = ackWaitMs;
    this.ackPrefix = `$JS.ACK.${stream}.${consumer}.`;
  }
}

export class Delivery {
  /** Sequence in the stream: with the stream's name, the message's identity. */
  readonly sequence: number;
  /** 1 for the first delivery. */
  readonly count: number;
  /** Messages of this consumer still to be delivered, as of this one. */
  readonly pending: number;
  /** Monotonic ms after which the message is no longer ours. */
  deadlineMs: number;
  /** Monotonic ms at which the last progress mark was sent, confirmed or not. */
  markedMs: number;
  /** When a message that was put back may come again, monotonic ms; `Infinity` for any other. */
  returnsAtMs = Infinity;
  readonly #heldSinceMs: number;
  #settled = false;
  #headers: ReceivedHeaders | undefined;
  readonly #source: DeliverySource;
  readonly #message: Msg;
  /** Where the time of storing begins in the address. */
  readonly #storedAt: number;
  /** Where settles and marks go. */
  readonly #replyTo: string;
  readonly #acknowledger: Acknowledger;

  /** @param heldSinceMs the earliest monotonic time at which the server can have started the ack-wait. */
  constructor(message: Msg, source: DeliverySource, heldSinceMs: number, acknowledger: Acknowledger) {
    const replyTo = message.reply ?? "";
    this.#replyTo = replyTo;
    // <count>.<sequence>.<consumer sequence>.<time ns>.<pending> follow. A scan, for splitting it cost a tenth of a message's way.
    // Newer servers put domain and account before the stream, and a token behind.
    let at = replyTo.startsWith(source.ackPrefix) ? source.ackPrefix.length : skipTokens(replyTo, 0, 6);
    this.count = numberAt(replyTo, at);
    at = skipTokens(replyTo, at, 1);
    this.sequence = numberAt(replyTo, at);
    at = skipTokens(replyTo, at, 2);
    this.#storedAt = at;
    this.pending = numberAt(replyTo, skipTokens(replyTo, at, 1));
    this.#source = source;
    this.#heldSinceMs = heldSinceMs;
    this.markedMs = heldSinceMs;
    this.deadlineMs = heldSinceMs + source.ackWaitMs - marginMs(source.ackWaitMs);
    this.#message = message;
    this.#acknowledger = acknowledger;
  }

  get stream(): string {
    return this.#source.stream;
  }

  get consumer(): string {
    return this.#source.consumer;
  }

  get ackWaitMs(): number {
    return this.#source.ackWaitMs;
  }

  /** When the stream stored the message, wall-clock ms. */
  get storedAtMs(): number {
    // Nanoseconds, more of them than a number holds exactly.
    return numberAt(this.#replyTo, this.#storedAt, this.#replyTo.indexOf(".", this.#storedAt) - 6);
  }

  get subject(): string {
    return this.#message.subject;
  }

  get body(): Uint8Array {
    return this.#message.data;
  }

  get headers(): ReceivedHeaders {
    this.#headers ??= readHeaders(this.#message);
    return this.#headers;
  }

  get lost(): boolean {
    return monotonicMs() >= this.deadlineMs;
  }

  /** Tells the server that work goes on, which starts the ack-wait anew. The deadline moves when the server confirms. */
  mark(): void {
    const sentMs = monotonicMs();
    if (this.#settled || sentMs >= this.deadlineMs) return;
    this.markedMs = sentMs;
    this.#acknowledger.mark(this.#replyTo, this.deadlineMs, (confirmedMs) => {
      if (!this.disowned) this.deadlineMs = confirmedMs + this.ackWaitMs - marginMs(this.ackWaitMs);
    });
  }

  get disowned(): boolean {
    return this.deadlineMs === -Infinity;
  }

  /** Nothing is sent for it any more. */
  disown(): void {
    this.deadlineMs = -Infinity;
  }

  /**
   * Ends the delivery. `onEnd` is called with true once the server confirmed, with false when the deadline came first: then
   * another delivery owns the message, or soon will.
   * @throws Error on a second settle, which is a bug of the caller.
   */
  settle(settlement: Settlement, onEnd: (confirmed: boolean) => void): void {
    if (this.#settled) throw new Error(`delivery ${this.stream}:${this.sequence} was settled twice`);
    this.#settled = true;
    if (settlement.kind === "nak") this.returnsAtMs = monotonicMs() + settlement.delayMs;
    if (this.lost) {
      onEnd(false);
      return;
    }
    this.#acknowledger.settle(this.#source, {
      replyTo: this.#replyTo,
      body: settlementBody(settlement),
      deadlineMs: this.deadlineMs,
      of: this,
      heldSinceMs: this.#heldSinceMs,
      delayMs: settlement.kind === "nak" ? settlement.delayMs : undefined,
      onEnd,
    });
  }
}

/** Where the token begins that comes `count` tokens after the one at `at`. */
function skipTokens(subject: string, at: number, count: number): number {
  let next = at;
  for (let skipped = 0; skipped < count; skipped++) next = subject.indexOf(".", next) + 1;
  return next;
}

/** The decimal number that begins at `at`. */
function numberAt(subject: string, at: number, end = subject.length): number {
  let value = 0;
  for (let next = at; next < end; next++) {
    const digit = subject.charCodeAt(next) - 48;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}

function settlementBody(settlement: Settlement): Uint8Array {
  switch (settlement.kind) {
    case "ack":
      return acked;
    case "nak":
      // Whole nanoseconds of whole milliseconds: a fractional delay is silently taken as "at once".
      return Buffer.from(settlement.delayMs > 0 ? `-NAK {"delay":${Math.ceil(settlement.delayMs)}000000}` : "-NAK");
    case "term":
      return Buffer.from(`+TERM ${settlement.reason}`);
  }
}

/** Time kept in hand for a settle to reach the server. */
export function marginMs(ackWaitMs: number): number {
  return Math.min(1_000, ackWaitMs / 10);
}
