/**
 * Acknowledger: sends settles and progress marks, and learns from the server that they arrived.
 * 1. The settles of one consumer that come in one turn of the event loop go out together, and only the last asks for an answer. They
 *    share a connection, and the server takes a consumer's settles in order, so its answer stands for all of them.
 * 2. Not so over a reconnect: a server that was killed may have forgotten deliveries, and passes over what settles them without a
 *    word, until it has made them again. What was delivered before goes by itself and asks for its own answer.
 * 3. What has no answer is sent again, each by itself: what ends a message can be said twice.
 * 4. A nak goes by itself, and is sent again only while the message cannot have come back: a second one would take it from the worker
 *    that runs it by then. It is given up when it may not be sent again and has had no answer.
 * 5. Nothing is sent for a delivery after its deadline.
 */
import { monotonicMs } from "../kernel/clock.ts";
import { PipelineRequest, type Pipeline, type Wire } from "./pipeline.ts";

const resendMs = 1_000;
/** Each settle asks for its own answer. With groups of 500, up to 45 of 20,000 messages ran again after a server kill although reported completed; why is not known. */
const maxGroup = 500;
const progress = Buffer.from("+WPI");

/** One settle on its way. `onEnd` is called once: true when the server confirmed, false when the deadline came first. */
export interface PendingSettle {
  replyTo: string;
  body: Uint8Array;
  deadlineMs: number;
  /** Asked before it is sent again. */
  of?: { readonly disowned: boolean };
  /** When it was delivered, at the earliest; monotonic. */
  heldSinceMs: number;
  /** For a nak, how long after it the message comes back; `undefined` for what ends a message. */
  delayMs: number | undefined;
  onEnd: (confirmed: boolean) => void;
}

export class Acknowledger {
  readonly #pipeline: Pipeline;
  #turn = new Map<object, PendingSettle[]>();

  constructor(pipeline: Pipeline) {
    this.#pipeline = pipeline;
  }

  /** @param consumer stands for one consumer, whose settles the server takes in order. */
  settle(consumer: object, settle: PendingSettle): void {
    if (settle.delayMs !== undefined) {
      this.#pipeline.send(new NakRequest(settle, settle.delayMs));
      return;
    }
    if (settle.heldSinceMs < this.#pipeline.connectedSinceMs) {
      this.#send([settle]);
      return;
    }
    if (this.#turn.size === 0) setImmediate(this.#flush);
    const group = this.#turn.get(consumer);
    if (group === undefined) this.#turn.set(consumer, [settle]);
    else group.push(settle);
  }

  /** Sent once, for the next mark follows soon enough. `onConfirmed` gets the time at which it was sent. */
  mark(replyTo: string, deadlineMs: number, onConfirmed: (sentMs: number) => void): void {
    this.#pipeline.send(new MarkRequest(replyTo, deadlineMs, onConfirmed));
  }

  readonly #flush = (): void => {
    const turn = this.#turn;
    this.#turn = new Map();
    for (const settles of turn.values()) {
      for (let at = 0; at < settles.length; at += maxGroup) this.#send(settles.slice(at, at + maxGroup));
    }
  };

  #send(settles: PendingSettle[]): void {
    this.#pipeline.send(new SettleGroup(settles, (rest) => this.#send(rest)));
  }
}

class SettleGroup extends PipelineRequest {
  readonly #settles: PendingSettle[];
  readonly #sendRest: (settles: PendingSettle[]) => void;

  constructor(settles: PendingSettle[], sendRest: (settles: PendingSettle[]) => void) {
    const last = settles.at(-1) as PendingSettle;
    const deadlineMs = settles.reduce((earliest, settle) => Math.min(earliest, settle.deadlineMs), Infinity);
    super(last.replyTo, last.body, undefined, deadlineMs, resendMs);
    this.#settles = settles;
    this.#sendRest = sendRest;
  }

  override transmit(wire: Wire, reply: string): void {
    for (let at = 0; at < this.#settles.length - 1; at++) {
      const { replyTo, body } = this.#settles[at] as PendingSettle;
      wire.publish(replyTo, body);
    }
    super.transmit(wire, reply);
  }

  override mayRepeat(): boolean {
    return !this.#settles.some(isDisowned);
  }

  override parts(): PipelineRequest[] {
    if (this.#settles.length === 1) return [this];
    return this.#settles.map((settle) => new SettleGroup([settle], this.#sendRest));
  }

  override onReply(): boolean {
    for (const settle of this.#settles) settle.onEnd(true);
    return true;
  }

  /** The earliest deadline of the group, or one is disowned: the others are still ours and go on. */
  override onDeadline(error?: Error): void {
    const nowMs = monotonicMs();
    const rest: PendingSettle[] = [];
    for (const settle of this.#settles) {
      if (error !== undefined || settle.deadlineMs <= nowMs || isDisowned(settle)) settle.onEnd(false);
      else rest.push(settle);
    }
    if (rest.length > 0) this.#sendRest(rest);
  }
}

class NakRequest extends PipelineRequest {
  readonly #delayMs: number;
  readonly #settle: PendingSettle;

  constructor(settle: PendingSettle, delayMs: number) {
    super(settle.replyTo, settle.body, undefined, settle.deadlineMs, resendMs);
    this.#delayMs = delayMs;
    this.#settle = settle;
  }

  override mayRepeat(nowMs: number): boolean {
    return nowMs < this.firstSentMs + this.#delayMs && !isDisowned(this.#settle);
  }

  override onReply(): boolean {
    this.#settle.onEnd(true);
    return true;
  }

  override onDeadline(): void {
    this.#settle.onEnd(false);
  }
}

function isDisowned({ of }: PendingSettle): boolean {
  return of?.disowned === true;
}

class MarkRequest extends PipelineRequest {
  readonly #onConfirmed: (sentMs: number) => void;

  constructor(replyTo: string, deadlineMs: number, onConfirmed: (sentMs: number) => void) {
    super(replyTo, progress, undefined, deadlineMs, Infinity);
    this.#onConfirmed = onConfirmed;
  }

  override onReply(): boolean {
    this.#onConfirmed(this.firstSentMs);
    return true;
  }

  override onDeadline(): void {}
}
