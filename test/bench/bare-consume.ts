/**
 * The bare consumers: pull requests by hand, and the client's consume() with a callback. Each message gets a plain ack, which is
 * neither confirmed nor repeated; the body is not read. Time runs from the first message until the server has every ack.
 */
import { jetstream } from "@nats-io/jetstream";
import { createInbox, type NatsConnection } from "@nats-io/transport-node";

/** Two ways to consume without a framework; the faster one is measured. */
export type BareConsumer = "pull by hand" | "consume()";

const ack = Buffer.from("+ACK");
const batch = 5_000;

export async function consumeByHand(
  nc: NatsConnection,
  stream: string,
  durable: string,
  messages: number,
): Promise<number> {
  const inbox = createInbox();
  const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
  const request = `{"batch":${batch},"expires":30000000000}`;
  let outstanding = 0;
  let received = 0;
  let startedMs = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const pull = (): void => {
    outstanding += batch;
    nc.publish(next, request, { reply: inbox });
  };
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error || !message.reply) return;
      if (received === 0) startedMs = performance.now();
      received += 1;
      outstanding -= 1;
      nc.publish(message.reply, ack);
      if (outstanding <= batch / 2) pull();
      if (received === messages) finish();
    },
  });
  await nc.flush();
  pull();
  await finished;
  await nc.flush();
  const ms = performance.now() - startedMs;
  subscription.unsubscribe();
  return ms;
}

export async function consumeByCallback(
  nc: NatsConnection,
  stream: string,
  durable: string,
  messages: number,
): Promise<number> {
  const consumer = await jetstream(nc).consumers.get(stream, durable);
  let received = 0;
  let startedMs = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const subscription = await consumer.consume({
    max_messages: 10_000,
    callback: (message) => {
      if (received === 0) startedMs = performance.now();
      received += 1;
      message.ack();
      if (received === messages) finish();
    },
  });
  await finished;
  await nc.flush();
  const ms = performance.now() - startedMs;
  await subscription.close();
  return ms;
}
