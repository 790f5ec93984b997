/**
 * Payloads: the claim check. A body too large for a message waits in an object store, and the message carries the object's name.
 * 1. The name is random and is no other's, and the object says whose it is, by what the message goes to and its id: a header leads to a body
 *    that its sender put there for it, or to nothing.
 * 2. The object is there before the message, and outlasts it: it goes when a task is settled, else by its bucket's time to live.
 */
import { randomBytes } from "node:crypto";
import { monotonicMs, pause } from "../kernel/clock.ts";
import { ClosedError, PayloadTooLargeError, PublishTimeoutError, toError } from "../kernel/errors.ts";
import { header } from "../message/headers.ts";
import type { MessagePlace } from "../message/place.ts";
import type { Names } from "../message/subjects.ts";
import { isFinal, type Objects, type PutObject } from "./objects.ts";
import { defaultTimeoutMs, type OutgoingMessage, type Published, type Publisher } from "./publisher.ts";
import { noRoomFor } from "./room.ts";
import type { StreamReader } from "./stream-reader.ts";

export interface PayloadsOptions {
  names: Names;
  publisher: Pick<Publisher, "publish">;
  objects: Objects;
  reader: Pick<StreamReader, "holds">;
  /** The bucket's time to live. */
  maxAgeMs: number;
  /** What is larger is not fetched. */
  maxBytes: number;
  /** The server's time, wall-clock ms. */
  nowMs: () => number;
}

const retryMs = 500;

export class Payloads {
  readonly #options: PayloadsOptions;

  constructor(options: PayloadsOptions) {
    this.#options = options;
  }

  /**
   * Sends a message that was refused for its size, its body through the object store.
   * @throws PayloadTooLargeError where that cannot be either, and what the publisher throws.
   */
  async publish(message: OutgoingMessage, refusal: PayloadTooLargeError): Promise<Published> {
    const { publisher } = this.#options;
    const { subject, body, headers: own } = message;
    // Its headers alone are too large.
    if (body.length === 0) throw refusal;
    this.#checkDelay(message);
    const name = randomBytes(18).toString("base64url");
    // A delayed task is handed out under another subject than its own.
    const goesTo = own[header.scheduleTarget] ?? subject;
    const owner = this.#options.names.bodyOwner(goesTo, own[header.event], own[header.id] ?? "");
    const object = await this.#put(name, message, owner, monotonicMs() + (message.timeoutMs ?? defaultTimeoutMs));
    const headers = { ...own, [header.bodyObject]: name };
    try {
      const published = await publisher.publish({ ...message, headers, body: new Uint8Array() });
      if (published.duplicate) this.forget(object);
      return published;
    } catch (error) {
      // Without an answer it may be stored, and need its body.
      if (!(error instanceof PublishTimeoutError)) this.forget(object);
      throw error;
    }
  }

  /** A body, or `undefined` where it is gone. @throws DecodeError for one that is too large, damaged or another's, and what NATS throws. */
  fetch(name: string, owner: string): Promise<Uint8Array | undefined> {
    return this.#options.objects.get(name, this.#options.maxBytes, owner);
  }

  /** True while the message itself is stored. A task whose body is gone may have been completed by another worker. */
  async isStored(place: MessagePlace): Promise<boolean> {
    return this.#options.reader.holds(place);
  }

  /** Removes a body that nobody needs any more. Best effort: what stays expires. */
  forget(object: string | PutObject, owner?: string): void {
    this.#options.objects.delete(object, owner).catch(() => undefined);
  }

  /** Its body would be gone before its turn. */
  #checkDelay({ subject, body, headers }: OutgoingMessage): void {
    const { maxAgeMs, nowMs } = this.#options;
    const at = Date.parse(headers[header.schedule]?.slice("@at ".length) ?? "");
    if (!(at - nowMs() >= maxAgeMs)) return;
    throw new PayloadTooLargeError(
      subject,
      body.length,
      0,
      `The body for '${subject}' is too large for a message, and would be gone from the object store after ${maxAgeMs} ms, before its delay is over; send less, delay it less, or raise payload.maxAge.`,
    );
  }

  /** Tries for as long as a publish would: the server may be on its way back. */
  async #put(name: string, message: OutgoingMessage, owner: string, endMs: number): Promise<PutObject> {
    const { objects } = this.#options;
    const { subject, body } = message;
    for (;;) {
      try {
        return await objects.put(name, body, owner);
      } catch (thrown) {
        // What the server refuses it refuses again.
        const final = isFinal(thrown) || objects.closed;
        if (!final && monotonicMs() + retryMs < endMs) {
          await pause(retryMs);
          continue;
        }
        if (objects.closed) throw new ClosedError("connection");
        const cause = toError(thrown);
        const full = noRoomFor(subject, objects.stream, (cause as { code?: number }).code ?? 0, cause.message);
        if (full !== undefined) throw full;
        throw new PayloadTooLargeError(
          subject,
          body.length,
          0,
          `The body for '${subject}' is too large for a message, and the object store ${objects.bucket} did not take its ${body.length} bytes (${cause.message}); send less, or make room there.`,
          { cause },
        );
      }
    }
  }
}
