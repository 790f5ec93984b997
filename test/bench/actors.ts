/** The actors of Godwit's side: they do nothing, so that what is measured is Godwit. One name, several configs. */
import { Actor, config } from "godwit";
import * as z from "zod";
import type { Order } from "./body.ts";

/** All of them serve this task type, one at a time. */
export const actorName = "bench.noop";

const Checked = z.object({
  n: z.number().int(),
  customer: z.string(),
  amount: z.number().positive(),
  note: z.string(),
});

/** Called with each message that an actor receives. */
export const onReceive: { call: () => void } = { call: () => undefined };

class Noop extends Actor<Order, number> {
  override receive(order: Order): number {
    onReceive.call();
    return order.n;
  }
}

class Plain500 extends Noop {
  static override readonly config = config({ name: actorName, concurrency: 500 });
}
class Plain5000 extends Noop {
  static override readonly config = config({ name: actorName, concurrency: 5_000 });
}
class Plain10 extends Noop {
  static override readonly config = config({ name: actorName });
}
class Zod500 extends Noop {
  static override readonly config = config({ name: actorName, input: Checked, concurrency: 500 });
}

/** By the name of the variant. */
export const actors = {
  "no schema": Plain500,
  "zod schema": Zod500,
  "concurrency 500": Plain500,
  "concurrency 5000": Plain5000,
  "concurrency 10": Plain10,
  "zod schema, concurrency 500": Zod500,
} as const;
