/**
 * Producer: tell, tellMany and publish: compose → encode → check → compress → publish, in a straight line.
 * What every receiver would refuse is refused here, before anything is sent: the schema is asked about what will arrive. The worker
 * checks again, since anyone can publish.
 */
import type { ActorClass } from "../actor/actor-class.ts";
import { configOf } from "../actor/registry.ts";
import type { ResolvedConfig } from "../actor/config.ts";
import type { PublishOptions, Sent, TellOptions } from "../actor/context.ts";
import type { EventType } from "../actor/event.ts";
import { applySchema, type Schema } from "../actor/schema.ts";
import type { Payloads } from "../broker/payloads.ts";
import type { ServerClock } from "../broker/server-clock.ts";
import {
  defaultTimeoutMs,
  type OnPublished,
  type OutgoingMessage,
  type Published,
  type Publisher,
} from "../broker/publisher.ts";
import { within } from "../kernel/clock.ts";
import {
  ClosedError,
  ConfigError,
  InvalidMessageError,
  PayloadTooLargeError,
  QueueFullError,
  toError,
} from "../kernel/errors.ts";
import { contentTypes, decode, encodeBody } from "../message/codec.ts";
import { header } from "../message/headers.ts";
import { checkActorName, checkEventSubject } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import { checkCrossing } from "../message/value-check.ts";
import { sizeOf, untilAborted } from "./bodies.ts";
import { FullQueue } from "./full-queue.ts";
import { OpenSends } from "./open-sends.ts";
import { refuseSize, squeeze } from "./squeeze.ts";
import { checkManyOptions, composeEvent, composeTask, type Envelope, type SendDefaults } from "./compose.ts";

export interface ProducerOptions {
  names: Names;
  publisher: Pick<Publisher, "publish" | "send" | "room">;
  /** For what the publisher refuses for its size. */
  payloads: Pick<Payloads, "publish">;
  defaults: SendDefaults;
  /** Whose time `defaults` tell. Default: this host's. */
  clock?: Pick<ServerClock, "settled">;
  /** Called for each accepted task of an actor class whose results are kept, before `tell` resolves. */
  onAccepted: (actor: string, id: string) => Promise<void>;
  /** Called with each actor that a task was sent to, once. */
  onFirstTell: (actor: string) => void;
}

export interface ManyOptions<Body = never> extends Omit<TellOptions, "id"> {
  /** The id of each body. Default: new ones. */
  id?: (body: Body, index: number) => string;
  /**
   * What to do when the actor's queue is full: `"fail"` (default) lists the body as a failure; `"wait"` takes no more bodies, offers
   * those that were refused again, and goes on by itself as the workers catch up.
   */
  whenFull?: "fail" | "wait";
}

export interface ManySent {
  /** Stored by JetStream. */
  accepted: number;
  /** Ids that were sent before, inside the dedup window. */
  duplicates: number;
  /**
   * Bodies that were not stored, in the order of the input; those after the first failure were sent all the same. Those that were not taken
   * any more because the system closed are `CLOSED`: each of a list, and one for all that a generator might have had.
   */
  failures: { index: number; error: Error }[];
}

export class Producer {
  readonly #options: ProducerOptions;
  readonly #told = new Set<string>();
  /** Ends the wait for each asynchronous schema. */
  readonly #checks = new Set<AbortController>();
  #closed = false;
  /** Ends the taking of each bulk send. */
  readonly #endings = new Set<() => void>();

  constructor(options: ProducerOptions) {
    this.#options = options;
  }

  /** Bulk sends take no more bodies. */
  stop(): void {
    for (const end of this.#endings) end();
  }

  /** Nothing more is sent. */
  close(): void {
    this.#closed = true;
    for (const until of this.#checks) until.abort();
  }

  /** Resolves once JetStream has the task. `reply` is where the worker answers an ask. */
  async tell(actor: ActorClass | string, body: unknown, options?: TellOptions, reply?: string): Promise<Sent> {
    const { name, config } = target(actor);
    if (options?.delay !== undefined) await this.#options.clock?.settled();
    const envelope = composeTask(this.#options.names, name, config, options, this.#options.defaults);
    if (reply !== undefined) envelope.headers[header.reply] = reply;
    const sent = await this.#send(envelope, body, config?.input, `message for ${name}`, config);
    this.#noteTell(name);
    if (config?.resultTtlMs !== undefined && !sent.duplicate) await this.#options.onAccepted(name, sent.id);
    return sent;
  }

  /** Sends every body of an iterable, as fast as the server takes them, holding no more than a window in memory. */
  async tellMany(
    actor: ActorClass | string,
    bodies: Iterable<unknown> | AsyncIterable<unknown>,
    options: ManyOptions = {},
  ): Promise<ManySent> {
    const { name, config } = target(actor);
    checkManyOptions(options);
    const { id: idOf, whenFull = "fail", ...shared } = options;
    const { names, defaults, publisher } = this.#options;
    if (idOf !== undefined && typeof idOf !== "function") {
      throw new ConfigError('The option "id" of tellMany() must be a function: (body, index) => id.');
    }
    if (whenFull !== "fail" && whenFull !== "wait") {
      throw new ConfigError('The option "whenFull" of tellMany() must be "fail" or "wait".');
    }
    if (!isIterable(bodies))
      throw new ConfigError("tellMany() takes an iterable of bodies, such as an array or a generator.");
    // One check of the shared options and of the actor; a mistake there fails the call and not each body.
    composeTask(names, name, config, shared, defaults);
    const outcome: ManySent = { accepted: 0, duplicates: 0, failures: [] };
    const open = new OpenSends();
    const full = new FullQueue();
    const offerClaimed = (
      message: OutgoingMessage,
      refusal: PayloadTooLargeError,
      done: OnPublished,
      fail: (thrown: unknown) => void,
    ): void => {
      const failed = (thrown: unknown): void => {
        if (thrown instanceof QueueFullError) return done(thrown);
        full.answered();
        fail(thrown);
      };
      open.hold(message.body.length, this.#options.payloads.publish(message, refusal)).then(done, failed);
    };
    let index = 0;
    const accept = (body: unknown): void => {
      const at = index++;
      const fail = (thrown: unknown): void => {
        outcome.failures.push({ index: at, error: toError(thrown) });
        open.leave();
      };
      open.enter();
      try {
        const own = idOf === undefined ? shared : { ...shared, id: idOf(body as never, at) };
        const envelope = composeTask(names, name, config, own, defaults);
        const offer = (message: OutgoingMessage): void => {
          const done: OnPublished = (result) => {
            if (whenFull === "wait" && result instanceof QueueFullError)
              return full.refused((again) => (again ? offer(message) : fail(new ClosedError("system"))));
            if (result instanceof PayloadTooLargeError) return offerClaimed(message, result, done, fail);
            full.answered();
            if (result instanceof Error) return fail(result);
            if (result.duplicate) outcome.duplicates += 1;
            else outcome.accepted += 1;
            if (config?.resultTtlMs === undefined || result.duplicate) return open.leave();
            this.#options.onAccepted(name, envelope.id).then(() => open.leave(), fail);
          };
          publisher.send(message, done);
        };
        const { message, checked } = this.#encode(envelope, body, config?.input, `message for ${name}`, config);
        const send = (): void => {
          const { length } = message.body;
          if (length <= envelope.compressAboveBytes) return offer(message);
          const squeezed = squeeze(message);
          if (squeezed instanceof Promise) open.hold(length, squeezed).then(offer).catch(fail);
          else offer(squeezed);
        };
        if (checked instanceof Promise) checked.then(send).catch(fail);
        else send();
      } catch (thrown) {
        fail(thrown);
      }
    };
    const ending = new AbortController();
    const end = (): void => {
      ending.abort();
      full.end();
    };
    const refuseRest = (): void => {
      for (const size = sizeOf(bodies) ?? index + 1; index < size; index++) {
        outcome.failures.push({ index, error: new ClosedError("system") });
      }
    };
    this.#endings.add(end);
    try {
      if (shared.delay !== undefined) await this.#options.clock?.settled();
      if (Symbol.asyncIterator in bodies) {
        for await (const body of untilAborted(bodies, ending.signal, refuseRest)) {
          await (publisher.room() ?? open.room() ?? full.room());
          if (ending.signal.aborted) {
            refuseRest();
            break;
          }
          accept(body);
        }
      } else {
        for (const body of bodies) {
          const room = publisher.room() ?? open.room() ?? full.room();
          if (room) await room;
          if (ending.signal.aborted) {
            refuseRest();
            break;
          }
          accept(body);
        }
      }
      await open.allDone();
    } finally {
      this.#endings.delete(end);
    }
    this.#noteTell(name);
    outcome.failures.sort((a, b) => a.index - b.index);
    return outcome;
  }

  /** Resolves once JetStream has the event; every subscribed actor gets its own copy. */
  async publish(event: EventType | string, body: unknown, options?: PublishOptions): Promise<Sent> {
    const subject = typeof event === "string" ? checkEventSubject(event) : event.subject;
    const envelope = composeEvent(this.#options.names, subject, options, this.#options.defaults);
    const schema = typeof event === "string" ? undefined : (event.schema as Schema | undefined);
    return this.#send(envelope, body, schema, `event ${subject}`);
  }

  async #send(
    envelope: Envelope,
    body: unknown,
    schema: Schema | undefined,
    what: string,
    config?: ResolvedConfig,
  ): Promise<Sent> {
    const encoded = this.#encode(envelope, body, schema, what, config);
    let { message } = encoded;
    if (encoded.checked instanceof Promise) await encoded.checked;
    if (message.body.length > envelope.compressAboveBytes) message = await squeeze(message);
    const { stream, sequence, duplicate } = await this.#publish(message);
    return { id: envelope.id, stream, sequence, duplicate };
  }

  async #publish(message: OutgoingMessage): Promise<Published> {
    try {
      return await this.#options.publisher.publish(message);
    } catch (error) {
      if (error instanceof PayloadTooLargeError) return this.#options.payloads.publish(message, error);
      throw error;
    }
  }

  /**
   * @param what names the message, as in `applySchema`.
   * @returns `checked`: a promise while an asynchronous schema has not said that what will arrive fits.
   * @throws EncodeError, PayloadTooLargeError, InvalidMessageError.
   */
  #encode(
    { stream, subject, headers, codec, maxBytes }: Envelope,
    body: unknown,
    schema: Schema | undefined,
    what: string,
    config: ResolvedConfig | undefined,
  ): { message: OutgoingMessage; checked: unknown } {
    headers[header.contentType] = contentTypes[codec];
    const { payload } = this.#options.defaults;
    const { maxDepth = payload.maxDepth, maxItems = payload.maxItems } = config?.payload ?? payload;
    const limits = { maxBytes, maxDepth, maxItems };
    const { bytes, faithful } = encodeBody(body, codec, limits);
    if (bytes.length > maxBytes) throw refuseSize(subject, bytes.length, maxBytes);
    const message = { stream, subject, body: bytes, headers };
    if (schema === undefined) return { message, checked: undefined };
    const received = faithful ? body : decode(bytes, contentTypes[codec], limits);
    const checking = applySchema(schema, received, what);
    const fitted = checking instanceof Promise ? this.#inTime(checking, what) : checking;
    if (config?.isolate === undefined) return { message, checked: fitted };
    // Its threads could not be given what its schema makes of it.
    return { message, checked: fitted instanceof Promise ? fitted.then(checkCrossing) : checkCrossing(fitted) };
  }

  /** An asynchronous schema may never say anything. @throws InvalidMessageError, ClosedError. */
  async #inTime(checking: Promise<unknown>, what: string): Promise<unknown> {
    const until = new AbortController();
    this.#checks.add(until);
    const inTime = await within(defaultTimeoutMs, checking, until).finally(() => this.#checks.delete(until));
    if (inTime) return checking;
    if (this.#closed) throw new ClosedError("system");
    throw new InvalidMessageError(
      `The schema of the ${what} did not end within ${defaultTimeoutMs} ms, so it was not sent; let it give up earlier.`,
    );
  }

  #noteTell(actor: string): void {
    if (this.#told.has(actor)) return;
    this.#told.add(actor);
    this.#options.onFirstTell(actor);
  }
}

/** @throws InvalidNameError, ConfigError, ActorNotFoundError. */
export function target(actor: ActorClass | string): { name: string; config: ResolvedConfig | undefined } {
  if (typeof actor === "string") return { name: checkActorName(actor), config: undefined };
  const config = configOf(actor);
  return { name: config.name, config };
}

function isIterable(value: unknown): boolean {
  return value != null && (Symbol.iterator in Object(value) || Symbol.asyncIterator in Object(value));
}
