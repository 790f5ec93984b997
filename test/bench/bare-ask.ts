/**
 * The bare round trip: publish into the stream, a handler pulls and answers over core NATS, one at a time. Like an ask, it is over when
 * both the stream's ack and the answer are there.
 */
import { createInbox, headers as newHeaders, type NatsConnection } from "@nats-io/transport-node";
import { readyBytes } from "./body.ts";

const ack = Buffer.from("+ACK");
const answerHeader = "Answer-To";

let ids = 0;

/** @returns the round trips in ms. */
export async function askBare(
  nc: NatsConnection,
  place: { stream: string; durable: string; subject: string },
  count: number,
): Promise<number[]> {
  const { stream, durable, subject } = place;
  const inbox = createInbox();
  const next = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
  const worker = nc.subscribe(`${inbox}.work`, {
    callback: (error, message) => {
      const answerTo = message.headers?.get(answerHeader);
      if (error || !message.reply || !answerTo) return;
      nc.publish(answerTo, readyBytes);
      nc.publish(message.reply, ack);
    },
  });
  let missing = 0;
  let finish: () => void = () => undefined;
  const arrived = (): void => {
    missing -= 1;
    if (missing === 0) finish();
  };
  const asker = [
    nc.subscribe(`${inbox}.stored`, { callback: arrived }),
    nc.subscribe(`${inbox}.answer`, { callback: arrived }),
  ];
  nc.publish(next, `{"batch":${count + 1},"expires":60000000000}`, { reply: `${inbox}.work` });
  await nc.flush();

  const trips: number[] = [];
  for (let trip = 0; trip < count; trip++) {
    const startedMs = performance.now();
    const done = new Promise<void>((resolve) => (finish = resolve));
    missing = 2;
    ids += 1;
    const headers = newHeaders();
    headers.set("Nats-Msg-Id", `bare-ask-${process.pid}-${ids}`);
    headers.set(answerHeader, `${inbox}.answer`);
    nc.publish(subject, readyBytes, { reply: `${inbox}.stored`, headers });
    await done;
    trips.push(performance.now() - startedMs);
  }
  for (const subscription of [worker, ...asker]) subscription.unsubscribe();
  await nc.flush();
  return trips;
}
