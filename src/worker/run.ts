/** Run: one message in a worker's hands, from its arrival to its settling; also the context that its handler is given. */
import { createHash, randomBytes } from "node:crypto";
import type { ActorClass } from "../actor/actor-class.ts";
import type { ResolvedConfig } from "../actor/config.ts";
import type { Context, PublishOptions, Sender, Sent, TellOptions } from "../actor/context.ts";
import type { EventType } from "../actor/event.ts";
import type { BreakerHandle, BreakerSettings, OnceOptions, RateLimitHandle } from "../actor/guard-handles.ts";
import type { AnyDelivery } from "../broker/delivery.ts";
import { maxTimerMs, monotonicMs, wallMs } from "../kernel/clock.ts";
import type { Overdue } from "../guard/time-limit.ts";
import type { Logger } from "../kernel/logger.ts";
import {
  carriable,
  header,
  messageId,
  traceHeaders,
  type HeaderFields,
  type ReceivedHeaders,
} from "../message/headers.ts";
import { idText } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import { noHistory, type NotedRun, type Remembered, type RunHistory, type Seen } from "../lifecycle/runs.ts";
import { findSubscription } from "./decoder.ts";
import type { MessageRef } from "./events.ts";

/**
 * `held`: in hand, its handler has not begun. `running`: it has. `settling`: its outcome is decided and being carried out; nobody else may
 * end it. `done`: settled or given up, and whatever its handler still returns is dropped.
 */
export type RunPhase = "held" | "running" | "settling" | "done";

/** What a handler finds in its context beside its message. */
export interface RunTools {
  breaker(run: Run, name: string, settings: BreakerSettings | undefined): BreakerHandle;
  rateLimit(run: Run, name: string): RateLimitHandle;
  once<T>(run: Run, key: string, fn: () => T | Promise<T>, options: OnceOptions | undefined): Promise<T>;
}

/** The span of a run, to those who do not know what a span is. */
export interface RunTrace {
  readonly traceId: string;
  readonly spanId: string;
  /** The headers that make what is sent now a child of it. */
  headers(): HeaderFields;
}

/** What runs share that belong to one actor of one worker. */
export interface RunServices {
  actor: string;
  sender: Sender;
  log: Logger;
  onProgress: (run: Run, value: unknown) => void;
  tools: RunTools;
  /** The server's wall-clock ms. Default: this host's. */
  nowMs?: () => number;
  /** True for the streams of tasks, sent at once or delayed. */
  isTask: (stream: string) => boolean;
}

export class Run implements Context {
  readonly delivery: AnyDelivery;
  readonly heldSinceMs: number;
  phase: RunPhase = "held";
  history: RunHistory = noHistory;
  /** Its handler has begun. */
  ran = false;
  /** When its handler began, monotonic ms; 0 before. */
  beganMs = 0;
  /** How long its handler took. */
  handledMs = 0;
  #softTimer: NodeJS.Timeout | undefined;
  /** The body, where it did not come with the message. */
  fetchedBody: Uint8Array | undefined;
  /** Where it was. */
  bodyObject: string | undefined;
  /** Its guards have let it pass, and are to be told when it is over. */
  entered = false;
  /** The guard that it waits for. */
  waitsFor: string | undefined;
  /** Its attempt has failed, and its handler still runs. */
  overdue: Overdue | undefined;
  /** Since its handler began, where its system traces. */
  trace: RunTrace | undefined;
  /** The runs record as it was last read or written. */
  seen: Seen | undefined;
  /** A `started` of this run stands in the runs record. */
  noted = false;
  /** There is a runs record of its message. */
  recorded = false;
  /** Its schema or mapping, which is asynchronous, has not ended, or not while the message was its worker's. */
  checking = false;
  /** It is no longer its worker's although that was connected: it, or another message, held the event loop. */
  blocked = false;
  /** It ended late, and has tried to say so. */
  wasLate = false;
  readonly #services: RunServices;
  #controller: AbortController | undefined;
  #abortReason: unknown;
  #log: Logger | undefined;
  #step: "receive" | "onDead" = "receive";
  #children = 0;
  #id: string | undefined;
  #nonce: string | undefined;

  constructor(delivery: AnyDelivery, services: RunServices, nowMs: number) {
    this.delivery = delivery;
    this.heldSinceMs = nowMs;
    this.#services = services;
  }

  get id(): string {
    this.#id ??= messageId(this.delivery);
    return this.#id;
  }

  /** Whose its runs record is, and which run of it this is. */
  get remembered(): Remembered & NotedRun {
    const { stream, sequence, storedAtMs, consumer, count } = this.delivery;
    this.#nonce ??= randomBytes(6).toString("base64url");
    return { stream, sequence, storedAtMs, consumer, id: this.id, count, nonce: this.#nonce };
  }

  get actor(): string {
    return this.#services.actor;
  }

  get body(): Uint8Array {
    return this.fetchedBody ?? this.delivery.body;
  }

  get attempt(): number {
    return this.history.attempt;
  }

  get deliveries(): number {
    return this.delivery.count;
  }

  get headers(): ReceivedHeaders {
    return this.delivery.headers;
  }

  get storedAtMs(): number {
    return this.delivery.storedAtMs;
  }

  /** Made when first asked for: most handlers never do, and it costs more than the rest of the run. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get log(): Logger {
    this.#log ??= this.#services.log.child({
      actor: this.actor,
      id: this.id,
      attempt: this.attempt,
      ...(this.trace && { trace_id: this.trace.traceId, span_id: this.trace.spanId }),
    });
    return this.#log;
  }

  get ageMs(): number {
    const { nowMs = wallMs } = this.#services;
    return Math.max(0, nowMs() - this.storedAtMs);
  }

  get ref(): MessageRef {
    const { stream, sequence, count } = this.delivery;
    const attempt = this.ran ? this.attempt : 0;
    const { actor, id, trace } = this;
    const ref = { actor, id, stream, sequence, deliveries: count, attempt };
    return trace === undefined ? ref : { ...ref, traceId: trace.traceId, spanId: trace.spanId };
  }

  /** Its handler begins; `signal` aborts at the soft limit. */
  begin(softLimitMs: number | undefined): void {
    this.phase = "running";
    this.ran = true;
    this.beganMs = monotonicMs();
    if (softLimitMs === undefined) return;
    const abort = (): void => this.abort(new Error(`the soft time limit of ${softLimitMs} ms has passed`));
    this.#softTimer = setTimeout(abort, Math.min(softLimitMs, maxTimerMs));
  }

  /** `onDead` begins: what it sends is counted anew, so that it is no repeat of what `receive` sent. */
  beginOnDead(): void {
    this.#step = "onDead";
    this.#children = 0;
  }

  /** What brought the message here: its event, also when that was requeued, else that it is a task. */
  get cause(): string {
    const { stream, subject } = this.delivery;
    return this.#services.isTask(stream) ? (this.headers.get(header.event) ?? "task") : `${stream} ${subject}`;
  }

  /** Its handler has ended. */
  end(): void {
    this.handledMs = monotonicMs() - this.beganMs;
    if (this.#softTimer !== undefined) clearTimeout(this.#softTimer);
  }

  /** True while its handler may still begin or go on; false once somebody has decided its outcome. */
  get open(): boolean {
    return this.phase === "held" || this.phase === "running";
  }

  abort(reason: Error): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  progress(value: unknown): void {
    this.#services.onProgress(this, value);
  }

  breaker(name: string, settings?: BreakerSettings): BreakerHandle {
    return this.#services.tools.breaker(this, name, settings);
  }

  rateLimit(name: string): RateLimitHandle {
    return this.#services.tools.rateLimit(this, name);
  }

  once<T>(key: string, fn: () => T | Promise<T>, options?: OnceOptions): Promise<T> {
    return this.#services.tools.once(this, key, fn, options);
  }

  tell(actor: ActorClass | string, body: unknown, options: TellOptions = {}): Promise<Sent> {
    const name = typeof actor === "string" ? actor : actor.config.name;
    return this.#services.sender.tell(actor as string, body, this.#childOptions("tell", name, options));
  }

  publish(event: EventType | string, body: unknown, options: PublishOptions = {}): Promise<Sent> {
    const subject = typeof event === "string" ? event : event.subject;
    return this.#services.sender.publish(event as string, body, this.#childOptions("publish", subject, options));
  }

  /**
   * The n-th send of a message has the same id in every run of it, so that a repeat sends nothing twice inside the dedup window.
   * The trace context goes along.
   */
  #childOptions<O extends PublishOptions>(verb: string, target: string, options: O): O {
    this.#children += 1;
    const place = [this.actor, this.id, this.cause, this.#step, verb, target, this.#children];
    const id = options.id ?? idText(createHash("sha256").update(JSON.stringify(place)).digest()).slice(0, 27);
    return { ...options, id, headers: { ...carriable(this.trace?.headers() ?? this.#inherited), ...options.headers } };
  }

  get #inherited(): HeaderFields {
    const headers: HeaderFields = {};
    for (const name of traceHeaders) {
      const value = this.headers.get(name);
      if (value !== undefined) headers[name] = value;
    }
    return headers;
  }
}

/** Whose body it may have in the object store. That a task is an event which came again anyone may write: its actor must hear that event. */
export function bodyOwnerOf(names: Names, config: ResolvedConfig, { delivery, headers, id }: Run): string {
  const event = headers.get(header.event);
  const [stream = "", subject = ""] = event?.split(" ", 2) ?? [];
  const heard = findSubscription(names, config, stream, subject) !== undefined;
  return names.bodyOwner(delivery.subject, heard ? event : undefined, id);
}
