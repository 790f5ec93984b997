/**
 * Traced sender: a span around everything that is sent, whose context travels with the message.
 * Its parent is what the sender's own headers tell of, as a handler's do, else what is active.
 */
import { context, SpanKind, SpanStatusCode, trace, type Span, type Tracer } from "@opentelemetry/api";
import type { ActorClass } from "../actor/actor-class.ts";
import type { PublishOptions, Sent, TellOptions } from "../actor/context.ts";
import type { EventType } from "../actor/event.ts";
import { toError } from "../kernel/errors.ts";
import { newId } from "../message/names.ts";
import type { Asker, AskOptions } from "../producer/asker.ts";
import type { ManyOptions, ManySent, Producer } from "../producer/producer.ts";
import { attribute, errorType, system } from "./span-attributes.ts";
import { fromFields, toHeaders } from "./trace-context.ts";

/** All ways to send. */
export interface SendingParts {
  producer: Pick<Producer, "tell" | "tellMany" | "publish">;
  asker: Pick<Asker, "ask">;
}

type Operation = "tell" | "tellMany" | "ask" | "publish";

export class TracedSender {
  readonly #tracer: Tracer;
  readonly #parts: SendingParts;

  constructor(tracer: Tracer, parts: SendingParts) {
    this.#tracer = tracer;
    this.#parts = parts;
  }

  tell(actor: ActorClass | string, body: unknown, options?: TellOptions): Promise<Sent> {
    return this.#inSpan("tell", actorName(actor), options, async (span, traced) =>
      noteSent(span, await this.#parts.producer.tell(actor, body, traced)),
    );
  }

  publish(event: EventType | string, body: unknown, options?: PublishOptions): Promise<Sent> {
    const subject = typeof event === "string" ? event : event.subject;
    return this.#inSpan("publish", subject, options, async (span, traced) =>
      noteSent(span, await this.#parts.producer.publish(event, body, traced)),
    );
  }

  /** One span for all of them, whose context each carries. */
  tellMany(
    actor: ActorClass | string,
    bodies: Iterable<unknown> | AsyncIterable<unknown>,
    options?: ManyOptions,
  ): Promise<ManySent> {
    return this.#inSpan("tellMany", actorName(actor), options, async (span, traced) => {
      const sent = await this.#parts.producer.tellMany(actor, bodies, traced);
      const [first] = sent.failures;
      span.setAttribute(attribute.messageCount, sent.accepted + sent.duplicates + sent.failures.length);
      if (first !== undefined) {
        span.setAttribute(attribute.failures, sent.failures.length);
        fail(span, first.error);
      }
      return sent;
    });
  }

  /** The span ends with the answer. */
  ask(actor: ActorClass | string, body: unknown, options: AskOptions = {}): Promise<unknown> {
    const { id = newId() } = options;
    return this.#inSpan("ask", actorName(actor), { ...options, id }, (span, traced) => {
      span.setAttribute(attribute.messageId, id);
      return this.#parts.asker.ask(actor, body, traced);
    });
  }

  async #inSpan<O extends Pick<PublishOptions, "headers">, T>(
    operation: Operation,
    destination: string,
    options: O | undefined,
    send: (span: Span, traced: O) => Promise<T>,
  ): Promise<T> {
    const parent = fromFields(options?.headers) ?? context.active();
    const span = this.#tracer.startSpan(
      `${operation} ${destination}`,
      {
        kind: SpanKind.PRODUCER,
        attributes: {
          [attribute.system]: system,
          [attribute.operationType]: "send",
          [attribute.operationName]: operation,
          [attribute.destination]: destination,
        },
      },
      parent,
    );
    const headers = { ...options?.headers, ...toHeaders(trace.setSpan(parent, span)) };
    try {
      return await send(span, { ...options, headers } as O);
    } catch (thrown) {
      fail(span, toError(thrown));
      throw thrown;
    } finally {
      span.end();
    }
  }
}

/** As the sender itself will say why a name is none, this says nothing. */
function actorName(actor: ActorClass | string): string {
  if (typeof actor === "string") return actor;
  const { config } = actor as { config?: { name?: unknown } };
  return typeof config?.name === "string" ? config.name : "";
}

function noteSent(span: Span, sent: Sent): Sent {
  span.setAttributes({
    [attribute.messageId]: sent.id,
    [attribute.stream]: sent.stream,
    [attribute.sequence]: sent.sequence,
    ...(sent.duplicate && { [attribute.duplicate]: true }),
  });
  return sent;
}

/** Marks a span as failed. */
export function fail(span: Span, error: Error): void {
  span.recordException(error);
  span.setAttribute(attribute.errorType, errorType(error));
  span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
}
