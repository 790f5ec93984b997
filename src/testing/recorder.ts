/** Recorder: takes what a handler sends in place of a server, after the real producer has checked, encoded and named it. */
import type { ActorClass } from "../actor/actor-class.ts";
import type { PublishOptions, Sender, Sent, TellOptions } from "../actor/context.ts";
import type { EventType } from "../actor/event.ts";
import { encodeHeaders, type OutgoingMessage, type Published } from "../broker/publisher.ts";
import { PayloadTooLargeError } from "../kernel/errors.ts";
import { decode } from "../message/codec.ts";
import { header } from "../message/headers.ts";
import { defaultPayload } from "../message/limits.ts";
import type { Names } from "../message/subjects.ts";
import { Producer, target } from "../producer/producer.ts";

/** A task that the handler sent with `ctx.tell`. */
export interface ToldTask {
  /** The name of the actor that it is for. */
  actor: string;
  /** As it travels: what the receiver decodes, before its schema fills in defaults. */
  body: unknown;
  /** As they were sent: `id` is the derived one where the handler gave none. */
  options: TellOptions & { id: string };
}

/** An event that the handler sent with `ctx.publish`. */
export interface PublishedEvent {
  subject: string;
  /** As it travels. */
  body: unknown;
  /** As they were sent: `id` is the derived one where the handler gave none. */
  options: PublishOptions & { id: string };
}

/** What a nats-server takes unless it is told otherwise. */
const limitBytes = 1_048_576;

export class Recorder implements Sender {
  readonly told: ToldTask[] = [];
  readonly published: PublishedEvent[] = [];
  readonly #names: Names;
  /** Stream and dedup key of what was sent, as JetStream knows them inside the dedup window. */
  readonly #known = new Set<string>();
  #sequence = 0;

  constructor(names: Names) {
    this.#names = names;
  }

  async tell(actor: ActorClass | string, body: unknown, options: TellOptions = {}): Promise<Sent> {
    const { sent, travelled } = await this.#send((producer) => producer.tell(actor, body, options));
    const { name } = target(actor);
    if (!sent.duplicate) this.told.push({ actor: name, body: travelled, options: { ...options, id: sent.id } });
    return sent;
  }

  async publish(event: EventType | string, body: unknown, options: PublishOptions = {}): Promise<Sent> {
    const { sent, travelled } = await this.#send((producer) => producer.publish(event, body, options));
    const subject = typeof event === "string" ? event : event.subject;
    if (!sent.duplicate) this.published.push({ subject, body: travelled, options: { ...options, id: sent.id } });
    return sent;
  }

  /** A producer for each send, so that it is plain which message was whose. */
  async #send(send: (producer: Producer) => Promise<Sent>): Promise<{ sent: Sent; travelled: unknown }> {
    let message: OutgoingMessage | undefined;
    const store = (outgoing: OutgoingMessage): Published => this.#store((message = outgoing));
    const producer = new Producer({
      names: this.#names,
      publisher: {
        publish: async (outgoing) => store(outgoing),
        send: (outgoing, onPublished) => onPublished(store(outgoing)),
        room: () => undefined,
      },
      // Its body would go through the object store.
      payloads: { publish: async (outgoing) => this.#store(outgoing, Infinity) },
      // Nothing is compressed: nobody would see it.
      defaults: { codec: "msgpack", payload: { ...defaultPayload, compressAboveBytes: Infinity } },
      onAccepted: () => Promise.resolve(),
      onFirstTell: () => undefined,
    });
    const sent = await send(producer);
    return { sent, travelled: message && decode(message.body, message.headers[header.contentType]) };
  }

  #store({ stream, subject, headers, body }: OutgoingMessage, maxBytes = limitBytes): Published {
    const sizeBytes = encodeHeaders(headers).length + body.length;
    if (sizeBytes > maxBytes) throw new PayloadTooLargeError(subject, sizeBytes, maxBytes);
    const dedupKey = headers[header.msgId];
    const duplicate = dedupKey !== undefined && this.#known.has(`${stream} ${dedupKey}`);
    if (!duplicate) {
      this.#sequence += 1;
      this.#known.add(`${stream} ${dedupKey ?? ""}`);
    }
    return { stream, sequence: this.#sequence, duplicate, sends: 1 };
  }
}
