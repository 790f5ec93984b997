/** Events and subscriptions: `event()` names a subject and its schema, `on()` says which actor hears it and as what. */
import { ConfigError } from "../kernel/errors.ts";
import { checkEventSubject, checkSubjectFilter } from "../message/names.ts";
import type { Schema, SchemaInput, SchemaOutput } from "./schema.ts";

/** A subject with the schema of what is published on it. Made by `event()`. */
export interface EventType<S = unknown> {
  readonly subject: string;
  readonly schema: S;
}

export type EventInput<E> = E extends EventType<infer S> ? SchemaInput<S> : unknown;
export type EventOutput<E> = E extends EventType<infer S> ? SchemaOutput<S> : unknown;

/**
 * Declares an event, for publishers and subscribers to share.
 * @param subject dotted words, such as `"orders.placed"`.
 * @throws InvalidNameError for a subject with wildcards or other characters.
 */
export function event<S extends Schema | undefined = undefined>(subject: string, schema?: S): EventType<S> {
  return Object.freeze({ subject: checkEventSubject(subject), schema: schema as S });
}

/** A subject in a stream that Godwit did not make. */
export interface ForeignSubject {
  stream: string;
  /** A subject of that stream; `*` and a last `>` are allowed. */
  subject: string;
}

/** One subscription of an actor: which subject, in which stream, and how its body becomes the actor's input. Made by `on()`. */
export interface Subscription<Input = unknown> {
  readonly subject: string;
  /** Undefined for Godwit's own events. */
  readonly stream: string | undefined;
  readonly schema: Schema | undefined;
  readonly map: ((value: never) => Input | Promise<Input>) | undefined;
  /** Never set: it carries the type. */
  readonly input?: Input;
}

/**
 * Subscribes an actor to an event; list it in the actor's `subscribe`.
 * @param source an `event()`, a subject of Godwit's events (`*` and a last `>` allowed), or `{ stream, subject }` for another stream.
 * @param map turns the event into the actor's input; without it the event's body is the input.
 * @throws InvalidNameError, ConfigError.
 */
export function on<E extends EventType, Input = EventOutput<E>>(
  source: E,
  map?: (value: EventOutput<E>) => Input | Promise<Input>,
): Subscription<Input>;
export function on<Input = unknown>(
  source: string | ForeignSubject,
  map?: (value: unknown) => Input | Promise<Input>,
): Subscription<Input>;
export function on(source: EventType | string | ForeignSubject, map?: (value: never) => unknown): Subscription {
  if (map !== undefined && typeof map !== "function") {
    throw new ConfigError("on() takes a function as its second argument: (event) => input.");
  }
  if (typeof source === "string") {
    return Object.freeze({ subject: checkSubjectFilter(source), stream: undefined, schema: undefined, map });
  }
  if (typeof source === "object" && source !== null && "stream" in source) {
    const { stream, subject } = source;
    return Object.freeze({ subject: checkSubjectFilter(subject), stream, schema: undefined, map });
  }
  if (typeof source !== "object" || source === null || !("subject" in source)) {
    throw new ConfigError('on() takes an event(), a subject such as "orders.placed", or { stream, subject }.');
  }
  const schema = (source as EventType<Schema | undefined>).schema;
  return Object.freeze({ subject: checkEventSubject(source.subject), stream: undefined, schema, map });
}
