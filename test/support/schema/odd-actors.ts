/** Actors that are hard to describe: events of many kinds, schemas that are asynchronous, recursive, or say nothing, and no schema at all. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import * as z from "zod";
import { Actor, config, event, on } from "godwit";

const OrderPlaced = event("orders.placed", z.object({ orderId: z.string(), total: z.number() }));

const Category = z.object({
  name: z.string().refine(async (name) => Promise.resolve(name !== "")),
  get children() {
    return z.array(Category);
  },
});

/** Of a library that validates and does no more. */
const mute: StandardSchemaV1<{ a: string }> = {
  "~standard": { version: 1, vendor: "mute", validate: (value) => ({ value: value as { a: string } }) },
};

export class Recursive extends Actor<z.output<typeof Category>, number> {
  static override readonly config = config({ name: "odd.recursive", input: Category, result: { ttl: "5m" } });
  override receive(): number {
    return 1;
  }
}

export class Dated extends Actor {
  static override readonly config = config({
    name: "odd.dated",
    input: z.object({ at: z.date(), note: z.string().default("none") }),
    codec: "json",
    lane: "high",
    lanes: ["high"],
    retry: { backoff: () => 5, when: () => true },
    breaker: { name: "api", fallback: () => undefined },
    rateLimit: { name: "api", limit: 5, per: "1s", key: () => "k" },
    concurrencyLimit: { name: "api", limit: 3 },
    timeLimit: { soft: "1s", hard: "2s" },
  });
  override receive(): void {}
}

export class Mute extends Actor<{ a: string }> {
  static override readonly config = config({
    name: "odd.mute",
    input: mute,
    subscribe: [
      on(OrderPlaced, ({ orderId }) => ({ a: orderId })),
      "users.*.signed.>",
      on({ stream: "ELSEWHERE", subject: "$weird.*.>" }, () => ({ a: "a" })),
    ],
    from: new Date(0),
  });
  override receive(): void {}
}

/** Its constructor takes arguments. */
export class Bare extends Actor {
  static override readonly config = config({ name: "odd.bare", subscribe: ["orders.placed", "users.*.signed.>"] });
  readonly needed: string;
  constructor(needed: string) {
    super();
    this.needed = needed;
  }
  override receive(): void {}
}
