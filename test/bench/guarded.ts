/** The actor that does nothing with one guard each, at limits that it never reaches: what a guard costs, and not what it withholds. */
import { Actor, config, type Context } from "godwit";
import type { Order } from "./body.ts";
import { actorName, onReceive } from "./actors.ts";

class Noop extends Actor<Order, number> {
  override receive(order: Order, _ctx: Context): number | Promise<number> {
    onReceive.call();
    return order.n;
  }
}

const never = 100_000_000;
/** A hundred keys, in turn. */
const keyOf = (order: Order): string => `customer-${order.n % 100}`;
const plain = { name: actorName, concurrency: 500 } as const;

class Breaker extends Noop {
  static override readonly config = config({ ...plain, breaker: { name: "bench" } });
}
class FiredBreaker extends Noop {
  static override readonly config = config({ ...plain });
  override receive(order: Order, ctx: Context): Promise<number> {
    onReceive.call();
    return ctx.breaker("bench-inside").fire(() => order.n);
  }
}
class RateLimit extends Noop {
  static override readonly config = config({
    ...plain,
    rateLimit: { name: "bench", limit: never, per: "1s", burst: 1_000_000 },
  });
}
class KeyedRateLimit extends Noop {
  static override readonly config = config({
    ...plain,
    rateLimit: { name: "bench-keyed", limit: never, per: "1s", burst: 1_000_000, key: keyOf },
  });
}
class ConcurrencyLimit extends Noop {
  static override readonly config = config({ ...plain, concurrencyLimit: { name: "bench", limit: 10_000 } });
}
class KeyedConcurrencyLimit extends Noop {
  static override readonly config = config({
    ...plain,
    concurrencyLimit: { name: "bench-keyed", limit: 10_000, key: keyOf },
  });
}
class TimeLimit extends Noop {
  static override readonly config = config({ ...plain, timeLimit: { soft: "20s", hard: "25s" } });
}
class Once extends Noop {
  static override readonly config = config({ ...plain });
  override receive(order: Order, ctx: Context): Promise<number> {
    onReceive.call();
    return ctx.once("effect", () => order.n, { ttl: "1m" });
  }
}

/** By what is switched on; `share` of the messages of a phase, where it is slow. */
export const guarded = {
  "breaker around receive": { actor: Breaker, share: 1 },
  "breaker inside receive": { actor: FiredBreaker, share: 1 },
  "rate limit": { actor: RateLimit, share: 1 },
  "rate limit by key": { actor: KeyedRateLimit, share: 1 },
  "concurrency limit": { actor: ConcurrencyLimit, share: 1 },
  "concurrency limit by key": { actor: KeyedConcurrencyLimit, share: 1 },
  "hard time limit": { actor: TimeLimit, share: 1 },
  "ctx.once": { actor: Once, share: 0.2 },
} as const;
