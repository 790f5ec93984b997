/** Bodies: what is sent, 128 bytes each: objects for Godwit, which encodes them, and the same bytes ready-made for the bare client. */
import { encode } from "../../src/message/codec.ts";

export const bodyBytes = 128;

export interface Order {
  n: number;
  customer: string;
  amount: number;
  note: string;
}

// Above 65,535 every number takes five bytes in MessagePack.
const first = 100_000;
const note = "n".repeat(bodyBytes - encode(make(first, "n".repeat(32)), "msgpack").length + 32);

function make(n: number, text: string): Order {
  return { n, customer: "customer-1", amount: 12.34, note: text };
}

/** The n-th body. */
export function orderOf(n: number): Order {
  return make(first + n, note);
}

/** Generated as they are sent, so that no list of them is measured. */
export function* orders(count: number): Generator<Order> {
  for (let n = 0; n < count; n++) yield orderOf(n);
}

/** One body as it travels. */
export const readyBytes: Uint8Array = encode(orderOf(0), "msgpack");
if (readyBytes.length !== bodyBytes) throw new Error(`a body has ${readyBytes.length} bytes and not ${bodyBytes}`);
