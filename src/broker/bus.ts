/** Bus: core NATS, for what need not be kept: answers to asks and the word that a result is there. What falls into a time without a connection waits. */
import { headers as newHeaders } from "@nats-io/transport-node";
import { monotonicMs } from "../kernel/clock.ts";
import type { HeaderFields, ReceivedHeaders } from "../message/headers.ts";
import { PayloadTooLargeError } from "../kernel/errors.ts";
import type { Connection } from "./connection.ts";
import { encodeHeaders } from "./publisher.ts";
import { readHeaders } from "./received-headers.ts";

export interface BusMessage {
  subject: string;
  body: Uint8Array;
  headers: ReceivedHeaders;
}

const maxWaiting = 1_000;

export class Bus {
  readonly #connection: Connection;
  #waiting: { subject: string; body: Uint8Array; fields: HeaderFields; untilMs: number }[] = [];

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.onUp(() => {
      const waiting = this.#waiting;
      this.#waiting = [];
      const nowMs = monotonicMs();
      for (const { subject, body, fields, untilMs } of waiting) {
        if (nowMs < untilMs) this.publish(subject, body, fields);
      }
    });
  }

  /**
   * Gone if nobody listens. While the connection is down it waits, the newest 1,000 of such.
   * @param untilMs not sent after this; monotonic.
   * @throws PayloadTooLargeError.
   */
  publish(subject: string, body: Uint8Array, fields: HeaderFields = {}, untilMs = Infinity): void {
    const limitBytes = this.#connection.maxPayloadBytes;
    const sizeBytes = body.length + encodeHeaders(fields).length;
    if (sizeBytes > limitBytes) throw new PayloadTooLargeError(subject, sizeBytes, limitBytes);
    if (!this.#connection.up) {
      if (!this.#connection.closed)
        this.#waiting = [...this.#waiting.slice(1 - maxWaiting), { subject, body, fields, untilMs }];
      return;
    }
    const headers = newHeaders();
    for (const [name, value] of Object.entries(fields)) headers.set(name, value);
    this.#connection.nc.publish(subject, body, { headers });
  }

  /** @returns a function that ends the subscription. */
  subscribe(subject: string, listener: (message: BusMessage) => void): () => void {
    const subscription = this.#connection.subscribe(subject, (message) =>
      listener({ subject: message.subject, body: message.data, headers: readHeaders(message) }),
    );
    return () => subscription.unsubscribe();
  }

  /** Resolves once the server has what was published and subscribed before. */
  async flush(): Promise<void> {
    await this.#connection.nc.flush();
  }
}
