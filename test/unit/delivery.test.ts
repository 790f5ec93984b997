/** Where a delivery finds what it says: in the address for its settles, of which there are two forms. */
import type { Msg } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import type { Acknowledger } from "../../src/broker/acknowledger.ts";
import { Delivery, DeliverySource } from "../../src/broker/delivery.ts";

test.each([
  ["short", "$JS.ACK.S.C.3.45.67.1795376942345999999.89"],
  ["long, of newer servers", "$JS.ACK.domain.account.S.C.3.45.67.1795376942345999999.89.token"],
])("the %s address", (_form, reply) => {
  const source = new DeliverySource("S", "C", 30_000);
  const delivery = new Delivery({ reply } as Msg, source, 5_000, {} as Acknowledger);
  const { stream, consumer, count, sequence, pending, storedAtMs, ackWaitMs, deadlineMs } = delivery;
  expect({ stream, consumer, count, sequence, pending, storedAtMs }).toEqual({
    stream: "S",
    consumer: "C",
    count: 3,
    sequence: 45,
    pending: 89,
    storedAtMs: 1_795_376_942_345,
  });
  // A second is kept in hand for the settle's way to the server.
  expect({ ackWaitMs, deadlineMs }).toEqual({ ackWaitMs: 30_000, deadlineMs: 34_000 });
});
