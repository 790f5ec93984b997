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

class Plain256 extends Noop {
  static override readonly config = config({ name: actorName, concurrency: 256 });
}
class Plain1000 extends Noop {
  static override readonly config = config({ name: actorName, concurrency: 1_000 });
}
class Plain10 extends Noop {
  static override readonly config = config({ name: actorName });
}
class Zod256 extends Noop {
  static override readonly config = config({ name: actorName, input: Checked, concurrency: 256 });
}

/** By the name of the variant. */
export const actors = {
  "no schema": Plain256,
  "zod schema": Zod256,
  "concurrency 256": Plain256,
  "concurrency 1000": Plain1000,
  "concurrency 10": Plain10,
  "zod schema, concurrency 256": Zod256,
} as const;
