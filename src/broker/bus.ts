/** Bus: core NATS, for what need not be kept: answers to asks and the word that a result is there. What falls into a time without a connection waits. */
import type { Msg, MsgHdrs } from "@nats-io/transport-node";
import { headers as newHeaders } from "@nats-io/transport-node";
import { noHeaders, type HeaderFields, type ReceivedHeaders } from "../message/headers.ts";
import type { Connection } from "./connection.ts";

export interface BusMessage {
  subject: string;
  body: Uint8Array;
  headers: ReceivedHeaders;
}

const maxWaiting = 1_000;

export class Bus {
  readonly #connection: Connection;
  #waiting: (() => void)[] = [];

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.onUp(() => {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const send of waiting) send();
    });
  }

  /** Gone if nobody listens. While the connection is down it waits, the newest 1,000 of such. */
  publish(subject: string, body: Uint8Array, fields: HeaderFields = {}): void {
    const headers = newHeaders();
    for (const [name, value] of Object.entries(fields)) headers.set(name, value);
    const send = (): void => this.#connection.nc.publish(subject, body, { headers });
    if (this.#connection.up) send();
    else if (!this.#connection.closed) this.#waiting = [...this.#waiting.slice(1 - maxWaiting), send];
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

/**
 * The headers of a received message, through the one shape that the rest of Godwit knows. Headers that the client cannot read, which
 * any publisher can write, count as none.
 */
export function readHeaders(message: Pick<Msg, "headers">): ReceivedHeaders {
  try {
    const { headers } = message;
    return headers ? new NatsHeaders(headers) : noHeaders;
  } catch {
    return noHeaders;
  }
}

export class NatsHeaders implements ReceivedHeaders {
  readonly #headers: MsgHdrs;

  constructor(headers: MsgHdrs) {
    this.#headers = headers;
  }

  get(name: string): string | undefined {
    return this.#headers.get(name) || undefined;
  }

  entries(): [name: string, values: string[]][] {
    return this.#headers.keys().map((name) => [name, [...this.#headers.values(name)]]);
  }
}
