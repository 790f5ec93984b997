/** What must compile and what must not: checked by the type checker alone, never run. */
import { Actor, config, event, on, type ActorInput, type ActorOutput, type Context } from "godwit";
import type { Agreeing } from "../../src/actor/actor-class.ts";
import type { Sender } from "../../src/actor/context.ts";
import * as z from "zod";

const Charge = z.object({ paymentId: z.string(), amount: z.number().positive(), currency: z.string().default("EUR") });
type Charge = z.output<typeof Charge>;
const OrderPlaced = event("orders.placed", z.object({ orderId: z.string(), total: z.number() }));

class ChargePayment extends Actor<Charge, { receipt: string }> {
  static override readonly config = config({
    name: "payments.charge",
    input: Charge,
    retry: { backoff: "exponential", when: (error) => error instanceof RangeError },
    subscribe: [on(OrderPlaced, (order) => ({ paymentId: order.orderId, amount: order.total })), "payments.requested"],
  });
  override async receive(charge: Charge, ctx: Context): Promise<{ receipt: string }> {
    await ctx.tell(ChargePayment, { paymentId: "p", amount: 1 });
    return { receipt: charge.currency };
  }
}

class Literal extends Actor<Charge, string> {
  static override readonly config = { name: "literal", input: Charge, retry: { backoff: "linear" }, ackWait: "30s" };
  override receive(charge: Charge): string {
    return charge.currency;
  }
}

class Bare extends Actor {
  static override readonly config = config({ name: "bare" });
  override async receive(_input: unknown): Promise<void> {}
}

class Disagreeing extends Actor<{ paymentId: number }> {
  static override readonly config = config({ name: "disagreeing", input: Charge });
  override async receive(_input: { paymentId: number }): Promise<void> {}
}

class Heedless extends Actor<Charge> {
  static override readonly config = config({ name: "heedless", input: Charge });
  override receive(): void {}
}

declare const sender: Sender;
declare function check<
  C extends typeof ChargePayment | typeof Literal | typeof Bare | typeof Heedless | typeof Disagreeing,
>(actor: C & Agreeing<C>): void;

check(ChargePayment);
check(Literal);
check(Bare);
check(Heedless);
// @ts-expect-error the schema gives paymentId: string, receive takes number
check(Disagreeing);

// The sender may leave out what the schema defaults.
void sender.tell(ChargePayment, { paymentId: "p", amount: 1 });
void sender.tell(Literal, { paymentId: "p", amount: 1, currency: "USD" });
void sender.tell("payments.charge", { any: "thing" });
void sender.publish(OrderPlaced, { orderId: "o", total: 1 });
// @ts-expect-error amount is missing
void sender.tell(ChargePayment, { paymentId: "p" });
// @ts-expect-error total must be a number
void sender.publish(OrderPlaced, { orderId: "o", total: "1" });
// @ts-expect-error no such option
void sender.tell(ChargePayment, { paymentId: "p", amount: 1 }, { delays: "1s" });
// @ts-expect-error no such lane
void sender.tell(ChargePayment, { paymentId: "p", amount: 1 }, { lane: "urgent" });
// @ts-expect-error no such duration
void sender.tell(ChargePayment, { paymentId: "p", amount: 1 }, { delay: "1 second" });

const answer: ActorOutput<typeof ChargePayment> = { receipt: "r" };
const input: ActorInput<typeof ChargePayment> = { paymentId: "p", amount: 1 };
void answer;
void input;

const unmapped = on(OrderPlaced, (order) => ({ paymentId: order.orderId }));
// @ts-expect-error the mapping gives no amount
config({ name: "wrong.mapping", input: Charge, subscribe: [unmapped] });
// @ts-expect-error unknown key
config({ name: "wrong.key", input: Charge, concurency: 3 });
// @ts-expect-error unknown backoff
config({ name: "wrong.backoff", retry: { backoff: "exponentially" } });
