/**
 * Pipeline: many requests in flight over one reply inbox, each sent again until it is answered or its deadline passes.
 * 1. Nothing is sent while the connection is down, because the client discards what it buffered; all of it is sent on reconnect.
 * 2. A request ends exactly once: answered, or past its deadline.
 * 3. No timer and no promise for each request: one sweep serves all.
 * 4. Where a peer is silent, or nobody is there, a few requests are tried again and again, and all of them once it answers: a stream
 *    whose leader stood still is used again at once, and is not flooded until then.
 */
import type { Msg, MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { monotonicMs } from "../kernel/clock.ts";
import { ClosedError, ConnectError, NotAuthorizedError, PayloadTooLargeError, toError } from "../kernel/errors.ts";
import type { Absences } from "./absences.ts";
import { violationOf, type Connection } from "./connection.ts";

const sweepMs = 50;
const noResponders = 503;
const askAgainMs = 1_000;

/** Half a second without an answer, counted in sweeps: a clock would take a pause of the event loop for silence. */
const tryAfterSweeps = 10;
/** A second: what has no answer by then was swallowed, as a rule, and not delayed. */
const lostAfterSweeps = 20;
const trialsPerSweep = 10;

/** Those requests' common addressee, a stream for example: whether it answers. */
export class Peer {
  /** Sweeps that found requests open and no answer. */
  #silentSweeps = 0;
  /** Nobody was there. */
  #absent = false;
  /** The last sweep that found a request open. */
  #sweep = 0;
  /** How many requests that sweep may still send as trials. */
  #trials = 0;

  /** A sweep, by its number, has found a request open; once for each request. */
  waited(sweep: number): void {
    if (this.#sweep === sweep) return;
    this.#sweep = sweep;
    this.#silentSweeps += 1;
    this.#trials = this.#isSilent(tryAfterSweeps) ? trialsPerSweep : 0;
  }

  /** Takes one of the sweep's trials, which find out when a silent peer answers. @returns false where there is none, or none is left. */
  takeTrial(): boolean {
    if (this.#trials === 0) return false;
    this.#trials -= 1;
    return true;
  }

  /** @returns whether it had been silent for so long that it may not have had what it was sent. */
  answered(): boolean {
    const wasLost = this.#isSilent(lostAfterSweeps);
    this.#absent = false;
    this.#silentSweeps = 0;
    return wasLost;
  }

  /** Nobody was there. */
  gone(): void {
    this.#absent = true;
  }

  #isSilent(sweeps: number): boolean {
    return this.#absent || this.#silentSweeps > sweeps;
  }
}

/** What requests are put on. */
export type Wire = Pick<NatsConnection, "publish">;

/** What to send and how long; extend it with what becomes of the answer. */
export abstract class PipelineRequest {
  readonly subject: string;
  readonly body: Uint8Array;
  /** Encoded already; see encodeHeaders. */
  readonly headers: Uint8Array | undefined;
  /** Monotonic milliseconds. Nothing is sent after it. */
  readonly deadlineMs: number;
  /** Sent again after this long without an answer. `Infinity` sends once. */
  readonly resendMs: number;
  /** When it was first sent, monotonic; 0 while it never was. */
  firstSentMs = 0;
  /** How often it was sent; 0 as long as nobody can have it. */
  sends = 0;
  resendAtMs = 0;
  /** Undefined where each is sent again in its own time. */
  readonly peer: Peer | undefined;

  constructor(
    subject: string,
    body: Uint8Array,
    headers: Uint8Array | undefined,
    deadlineMs: number,
    resendMs: number,
    peer?: Peer,
  ) {
    this.peer = peer;
    this.subject = subject;
    this.body = body;
    this.headers = headers;
    this.deadlineMs = deadlineMs;
    this.resendMs = resendMs;
  }

  /** Puts it on the wire; `reply` is where its answer goes. */
  transmit(wire: Wire, reply: string): void {
    if (this.headers === undefined) wire.publish(this.subject, this.body, { reply });
    else
      wire.publish(this.subject, this.body, { reply, headers: new EncodedHeaders(this.headers) as object as MsgHdrs });
  }

  /** Whether it may be sent again although the server may have it. */
  mayRepeat(_nowMs: number): boolean {
    return this.resendMs !== Infinity;
  }

  /**
   * It was sent, and nobody took it. Unless it was sent before, that counts as never.
   * @returns why nobody will, where that is known.
   */
  untaken(_why: string): Error | undefined {
    if (this.sends !== 1) return;
    this.sends = 0;
    this.firstSentMs = 0;
  }

  /** What is sent when it has to be sent again. */
  parts(): readonly PipelineRequest[] {
    return [this];
  }

  /** Whether it ends when the server says that it may not be published. A settlement may yet be allowed before its deadline. */
  get endsWhenForbidden(): boolean {
    return false;
  }

  /** Return false to have it sent again soon. */
  abstract onReply(reply: Msg): boolean;

  /** The deadline passed, or no answer came to what may not be sent again; with an error where the pipeline was closed or it may not be sent. */
  abstract onDeadline(error?: Error): void;
}

/** One question, one answer. */
class Question extends PipelineRequest {
  readonly #resolve: (answer: Msg) => void;
  readonly #reject: (error: Error) => void;

  constructor(
    subject: string,
    body: Uint8Array,
    deadlineMs: number,
    resolve: (answer: Msg) => void,
    reject: (error: Error) => void,
  ) {
    super(subject, body, undefined, deadlineMs, askAgainMs);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  override onReply(reply: Msg): boolean {
    this.#resolve(reply);
    return true;
  }

  override onDeadline(error?: Error): void {
    this.#reject(
      error ?? new ConnectError(`The server did not answer '${this.subject}' in time; is it up, with JetStream?`),
    );
  }
}

/** Bytes that are headers already, dressed as what the client calls encode() on. */
class EncodedHeaders {
  readonly #bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  encode(): Uint8Array {
    return this.#bytes;
  }
}

export class Pipeline {
  /** Undefined where nobody looks. */
  readonly absences: Absences | undefined;
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #pending = new Map<number, PipelineRequest>();
  readonly #unsubscribe: () => void;
  #count = 0;
  #sweeps = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(connection: Connection, absences?: Absences) {
    this.absences = absences;
    this.#connection = connection;
    this.#prefix = `${connection.newInbox()}.`;
    const subscription = connection.subscribe(`${this.#prefix}*`, (message) => this.#receive(message));
    const offUp = connection.onUp(() => this.#sendAll());
    const offError = connection.onError((error) => this.#forbid(error));
    this.#unsubscribe = () => {
      offUp();
      offError();
      subscription.unsubscribe();
    };
  }

  /** When the connection that there is was made, monotonic; 0 for the first. */
  get connectedSinceMs(): number {
    return this.#connection.upSinceMs;
  }

  /** Where JetStream is asked. */
  get apiPrefix(): string {
    return this.#connection.apiPrefix;
  }

  /** What is published below this prefix, which may be empty, goes to the domain that was chosen and to no other. */
  get domainPrefix(): string {
    return this.#connection.chosenDomain === undefined ? "" : `${this.#connection.apiPrefix}.`;
  }

  /** Sends at once when the connection is up. Answers come through the request's own methods. */
  send(request: PipelineRequest): void {
    if (this.#closed) {
      request.onDeadline(new ClosedError("connection"));
      return;
    }
    const nowMs = monotonicMs();
    if (nowMs >= request.deadlineMs) {
      request.onDeadline();
      return;
    }
    const token = ++this.#count;
    this.#pending.set(token, request);
    this.#transmit(token, request, nowMs);
    this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs).unref();
  }

  /** Asks for what may be asked twice. @throws ConnectError when no answer comes in time, ClosedError. */
  ask(subject: string, body: Uint8Array, timeoutMs: number): Promise<Msg> {
    return new Promise((resolve, reject) =>
      this.send(new Question(subject, body, monotonicMs() + timeoutMs, resolve, reject)),
    );
  }

  /** Ends every request that is still open. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#sweeper);
    this.#unsubscribe();
    for (const request of this.#pending.values()) request.onDeadline(new ClosedError("connection"));
    this.#pending.clear();
  }

  #receive(message: Msg): void {
    const token = Number(message.subject.slice(this.#prefix.length));
    const request = this.#pending.get(token);
    if (!request) return this.#late(message);
    const unavailable = message.data.length === 0 && message.headers?.code === noResponders;
    const { peer } = request;
    if (!unavailable && request.onReply(message)) {
      this.#pending.delete(token);
      if (peer?.answered() === true) this.#resume(peer);
      return;
    }
    if (request.resendMs === Infinity) {
      // It is sent once; who would send it later might send it after its time.
      this.#pending.delete(token);
      return;
    }
    if (unavailable && peer !== undefined) peer.gone();
    else request.resendAtMs = monotonicMs() + 2 * sweepMs;
    const gone = unavailable ? request.untaken("no responders") : undefined;
    if (gone === undefined) return;
    this.#pending.delete(token);
    request.onDeadline(gone);
  }

  /** Something that was answered: sent twice, or stored twice. */
  #late(message: Msg): void {
    if (message.data.length === 0) return;
    let answer: { type?: unknown; stream?: unknown; seq?: unknown; domain?: string } | null;
    try {
      answer = message.json();
    } catch {
      return;
    }
    if (answer === null || answer.type !== undefined || typeof answer.stream !== "string" || !answer.seq) return;
    this.#connection.storedIn(answer.domain, `a subject of ${answer.stream}`);
  }

  #transmit(token: number, request: PipelineRequest, nowMs: number): void {
    request.resendAtMs = nowMs + request.resendMs;
    if (!this.#connection.up) return;
    request.sends += 1;
    if (request.firstSentMs === 0) request.firstSentMs = nowMs;
    try {
      request.transmit(this.#connection.nc, this.#prefix + String(token));
    } catch (thrown) {
      // The client refuses it, and would again: it came to be too large for the server while there was none.
      this.#pending.delete(token);
      request.untaken("too large");
      request.onDeadline(this.#refusal(request, toError(thrown)));
    }
  }

  #repeat(token: number, request: PipelineRequest, nowMs: number): void {
    const parts = request.parts();
    if (parts.length === 1) {
      this.#transmit(token, request, nowMs);
      return;
    }
    this.#pending.delete(token);
    for (const part of parts) this.send(part);
  }

  /** It answers again: what it may not have had is sent at the next sweep. */
  #resume(peer: Peer): void {
    for (const request of this.#pending.values()) if (request.peer === peer) request.resendAtMs = 0;
  }

  /** @returns whether the request is one of the few that find out when a silent peer answers. */
  #takeTrial({ peer, resendAtMs, resendMs }: PipelineRequest, nowMs: number): boolean {
    if (peer === undefined) return false;
    peer.waited(this.#sweeps);
    const wasJustSent = nowMs < resendAtMs - resendMs + 2 * sweepMs;
    return !wasJustSent && peer.takeTrial();
  }

  #forbid(error: Error): void {
    const violation = violationOf(error);
    if (violation?.operation !== "publish") return;
    for (const [token, request] of this.#pending) {
      if (request.subject !== violation.subject || !request.endsWhenForbidden) continue;
      this.#pending.delete(token);
      request.untaken("forbidden");
      request.onDeadline(
        new NotAuthorizedError(
          `The credentials have no right to publish to ${request.subject}, so the message is not stored; allow it in the user's permissions, or take others: godwit doctor --permissions prints those of each role.`,
          { cause: error },
        ),
      );
    }
  }

  #refusal({ subject, body, headers }: PipelineRequest, error: Error): Error {
    const sizeBytes = body.length + (headers?.length ?? 0);
    const { maxPayloadBytes } = this.#connection;
    return sizeBytes > maxPayloadBytes ? new PayloadTooLargeError(subject, sizeBytes, maxPayloadBytes) : error;
  }

  /** Over a new connection. A peer gets a few at first, since one that drops again and again would get all of them each time. */
  #sendAll(): void {
    const nowMs = monotonicMs();
    // A copy, because what is sent in parts is pending anew.
    for (const [token, request] of Array.from(this.#pending)) {
      if (request.peer !== undefined) {
        request.peer.gone();
        request.resendAtMs = nowMs + request.resendMs - 2 * sweepMs;
      } else if ((request.sends === 0 || request.mayRepeat(nowMs)) && nowMs < request.deadlineMs) {
        this.#repeat(token, request, nowMs);
      }
    }
    if (this.#pending.size > 0) this.#sweep();
  }

  #sweep(): void {
    const nowMs = monotonicMs();
    this.#sweeps += 1;
    for (const [token, request] of this.#pending) {
      if (nowMs >= request.deadlineMs) {
        this.#pending.delete(token);
        request.onDeadline();
      } else if (this.#takeTrial(request, nowMs) || nowMs >= request.resendAtMs) {
        if (request.sends === 0 || request.mayRepeat(nowMs)) this.#repeat(token, request, nowMs);
        else {
          this.#pending.delete(token);
          request.onDeadline();
        }
      }
    }
    if (this.#pending.size === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    }
  }
}
