/** Context: what a handler is handed beside its input. */
import type { Duration } from "../kernel/duration.ts";
import type { Logger } from "../kernel/logger.ts";
import type { Lane } from "../message/names.ts";
import type { HeaderFields, ReceivedHeaders } from "../message/headers.ts";
import type { CodecName } from "../message/codec.ts";
import type { ActorClass, ActorInput } from "./actor-class.ts";
import type { EventInput, EventType } from "./event.ts";
import type { BreakerHandle, BreakerSettings, OnceOptions, RateLimitHandle } from "./guard-handles.ts";

/** What `tell` and `publish` resolve to, once JetStream has the message. */
export interface Sent {
  id: string;
  stream: string;
  /** Sequence in the stream; `explain STREAM:SEQ` finds it. */
  sequence: number;
  /** The id was sent before, inside the dedup window, and nothing was stored. */
  duplicate: boolean;
}

/** What `publish` takes beside the event and its body; `tell` takes it too. */
export interface PublishOptions {
  /** Makes the send idempotent inside the dedup window (2 min). Default: a new one. 1–128 bytes. */
  id?: string;
  /** `"msgpack"` or `"json"`. Default: the actor's of a task, else the system's. */
  codec?: CodecName;
  /** Headers that travel along; names beginning with `Nats-` or `Godwit-` are refused. */
  headers?: HeaderFields;
}

/** What `tell` takes beside the actor and the body. */
export interface TellOptions extends PublishOptions {
  /** Run no earlier than after this. Sending the same id again with another delay moves the task, while it still waits. */
  delay?: Duration;
  /** Default: the actor's own, else `"normal"`. */
  lane?: Lane;
  /** Too old to be worth running after this, the delay not counted: then a dead letter with reason `expired`. */
  expiresIn?: Duration;
}

/** Sends from inside a handler. Ids are derived from the parent's, so a repeat of the parent sends nothing twice inside the dedup window. */
export interface Sender {
  tell(actor: string, body: unknown, options?: TellOptions): Promise<Sent>;
  tell<C extends ActorClass>(actor: C, body: ActorInput<C>, options?: TellOptions): Promise<Sent>;
  publish(subject: string, body: unknown, options?: PublishOptions): Promise<Sent>;
  publish<E extends EventType>(event: E, body: EventInput<E>, options?: PublishOptions): Promise<Sent>;
}

/** What `receive` and `onDead` are handed beside the input: the message they handle, and what they may do meanwhile. */
export interface Context extends Sender {
  /** The message's id: the sender's, else `<stream>-<sequence>-<time stored>`. The same in every delivery, so it does as an idempotency key. */
  readonly id: string;
  /** The actor's name. */
  readonly actor: string;
  /** 1 for the first attempt. Deferrals and stalls do not count. */
  readonly attempt: number;
  /** How often JetStream has handed the message over; above 1 an earlier run may have done part of the work. */
  readonly deliveries: number;
  /** Aborts at the soft time limit, when the worker's grace ends, and when the message is no longer this worker's. */
  readonly signal: AbortSignal;
  /** The system's logger, with the actor, the id and the attempt in each line. */
  readonly log: Logger;
  /** The headers that the message came with, Godwit's own included. */
  readonly headers: ReceivedHeaders;
  /** Wall-clock ms at which the stream stored the message. */
  readonly storedAtMs: number;
  /** How long ago the stream stored the message, ms; by the server's clock, where the credentials may read it, else by this host's. */
  readonly ageMs: number;
  /** The circuit breaker of this name, shared by the fleet. @param settings used where no actor's config declares the name. @throws ConfigError where two calls give different ones. */
  breaker(name: string, settings?: BreakerSettings): BreakerHandle;
  /** The rate limit of this name, which an actor's config of this worker declares. @throws ConfigError where none does. */
  rateLimit(name: string): RateLimitHandle;
  /**
   * Runs `fn` once for this message and `key`, also when the message runs again, and gives in every run what it returned, as MessagePack
   * has it. When the process dies between the effect and its note, it runs again. Where KV is away it does not begin, and the message
   * is put back.
   * @throws what `fn` throws, and then it may run again; EncodeError for a value that cannot be kept, and then it may not; ConfigError
   * for a key that is no string or empty.
   */
  once<T>(key: string, fn: () => T | Promise<T>, options?: OnceOptions): Promise<T>;
  /** Tells watchers of the worker how far it is: a `progress` event. */
  progress(value: unknown): void;
}
