/**
 * The bare publisher: core publishes with `Nats-Msg-Id`, one reply inbox, acks matched by hand, a window of 1,000.
 * It keeps no timer, sends nothing twice and gives no outcome to anyone; but it counts what the server refused. Header bytes are
 * written by hand, which is cheaper than the client's own headers.
 */
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { readyBytes } from "./body.ts";

const window = 1_000;

class Headers {
  readonly #bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }
  encode(): Uint8Array {
    return this.#bytes;
  }
}

let ids = 0;
const idPrefix = `bare-${process.pid.toString(36)}-`;

/** @returns milliseconds until the last message was acknowledged. */
export async function publishBare(nc: NatsConnection, subject: string, messages: number): Promise<number> {
  const prefix = `${createInbox()}.`;
  const pending = new Set<string>();
  let sent = 0;
  let acked = 0;
  let refused = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));

  const refill = (): void => {
    while (sent < messages && pending.size < window) {
      sent += 1;
      ids += 1;
      const token = sent.toString(36);
      pending.add(token);
      const headers = new Headers(Buffer.from(`NATS/1.0\r\nNats-Msg-Id: ${idPrefix}${ids.toString(36)}\r\n\r\n`));
      nc.publish(subject, readyBytes, { reply: prefix + token, headers: headers as object as MsgHdrs });
    }
  };
  const onAck = (ack: Msg): void => {
    if (!pending.delete(ack.subject.slice(prefix.length))) return;
    acked += 1;
    if (ack.json<{ error?: unknown; duplicate?: boolean }>().error !== undefined) refused += 1;
    if (pending.size <= window / 2) refill();
    if (acked === messages) finish();
  };
  const subscription = nc.subscribe(`${prefix}*`, { callback: (error, ack) => void (error ?? onAck(ack)) });
  await nc.flush();

  const startedMs = performance.now();
  refill();
  await finished;
  const ms = performance.now() - startedMs;
  subscription.unsubscribe();
  if (refused > 0) throw new Error(`the server refused ${refused} of ${messages} bare messages`);
  return ms;
}
