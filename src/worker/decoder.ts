/** Decoder: bytes to an actor's input: decompress and decode within its limits, then for an event its schema and mapping, then the actor's schema. */
import type { ResolvedConfig } from "../actor/config.ts";
import { resolvePayload } from "../actor/payload-config.ts";
import type { Subscription } from "../actor/event.ts";
import { applySchema } from "../actor/schema.ts";
import type { AnyDelivery } from "../broker/delivery.ts";
import { DecodeError, InvalidMessageError, toError } from "../kernel/errors.ts";
import { decodeBody } from "../message/body.ts";
import type { DecodeRules } from "../message/codec.ts";
import { header } from "../message/headers.ts";
import { defaultPayload, type PayloadSettings } from "../message/limits.ts";
import { subjectMatches } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";

/** `overdue`: its schema or its mapping did not end in time. */
export type Decoded =
  | { ok: true; input: unknown }
  | { ok: false; reason: "undecodable" | "invalid"; error: Error }
  | { ok: false; reason: "overdue"; error: Error };

export class Decoder {
  readonly #names: Names;
  readonly #config: ResolvedConfig;
  readonly #what: string;
  readonly #rules: DecodeRules;

  /** @param payload the system's limits; those of the config go before them. */
  constructor(names: Names, config: ResolvedConfig, payload: PayloadSettings = defaultPayload) {
    this.#names = names;
    this.#rules = { ...resolvePayload(config.payload, payload), accept: config.accept };
    this.#config = config;
    this.#what = `message for ${config.name}`;
  }

  /** A promise only where a large body is decompressed, or a schema or a mapping is asynchronous. Never throws and never rejects. */
  decode(delivery: AnyDelivery, bytes = delivery.body): Decoded | Promise<Decoded> {
    try {
      const body = decodeBody(bytes, delivery.headers, this.#rules);
      const input =
        body instanceof Promise ? body.then((value) => this.#fit(delivery, value)) : this.#fit(delivery, body);
      if (!(input instanceof Promise)) return { ok: true, input };
      return input.then((value): Decoded => ({ ok: true, input: value }), refused);
    } catch (thrown) {
      return refused(thrown);
    }
  }

  /** The input that a body stands for; a promise where a schema or a mapping is asynchronous. */
  #fit(delivery: AnyDelivery, body: unknown): unknown {
    const subscription = this.#subscriptionOf(delivery);
    const own = subscription === undefined ? body : applySubscription(subscription, body);
    return own instanceof Promise
      ? own.then((value) => applySchema(this.#config.input, value, this.#what))
      : applySchema(this.#config.input, own, this.#what);
  }

  /** Undefined for a task. A redriven event comes as a task that names its event in a header. */
  #subscriptionOf(delivery: AnyDelivery): Subscription | undefined {
    if (this.#config.subscriptions.length === 0) return undefined;
    let { stream, subject } = delivery;
    if (stream === this.#names.tasks || stream === this.#names.schedule) {
      const event = delivery.headers.get(header.event);
      if (event === undefined) return undefined;
      [stream = "", subject = ""] = event.split(" ", 2);
    }
    return findSubscription(this.#names, this.#config, stream, subject);
  }
}

/** The subscription of an actor that a message of this stream and subject came by. */
export function findSubscription(
  names: Names,
  config: ResolvedConfig,
  stream: string,
  subject: string,
): Subscription | undefined {
  return config.subscriptions.find((subscription) =>
    subscription.stream === undefined
      ? stream === names.events && subjectMatches(names.eventSubject(subscription.subject), subject)
      : stream === subscription.stream && subjectMatches(subscription.subject, subject),
  );
}

function applySubscription(subscription: Subscription, body: unknown): unknown {
  const { schema, map } = subscription;
  const value = applySchema(schema, body, `event ${subscription.subject}`);
  if (map === undefined) return value;
  const mapped = map as (value: unknown) => unknown;
  return value instanceof Promise ? value.then(mapped) : mapped(value);
}

function refused(thrown: unknown): Decoded {
  const error = toError(thrown);
  if (error instanceof DecodeError) return { ok: false, reason: "undecodable", error };
  if (error instanceof InvalidMessageError) return { ok: false, reason: "invalid", error };
  // A mapping, or a schema's own code, that throws: the message does not fit.
  return { ok: false, reason: "invalid", error };
}
