/** What the test kit must let through and what not: checked by the type checker alone, never run. */
import { Actor, config, event, on, type ActorSystem, type Worker } from "godwit";
import { runActor, runActorOnEvent, testSystem, waitFor, type RunOutcome, type ToldTask } from "godwit/testing";
import { expectTypeOf } from "vitest";
import * as z from "zod";

const Charge = z.object({ paymentId: z.string(), amount: z.number(), currency: z.string().default("EUR") });
type Charge = z.output<typeof Charge>;
const OrderPlaced = event("orders.placed", z.object({ orderId: z.string(), total: z.number() }));

class ChargePayment extends Actor<Charge, { receipt: string }> {
  static override readonly config = config({
    name: "payments.charge",
    input: Charge,
    subscribe: [on(OrderPlaced, (order) => ({ paymentId: order.orderId, amount: order.total }))],
  });
  constructor(prefix = "r") {
    super();
    void prefix;
  }
  override async receive(charge: Charge): Promise<{ receipt: string }> {
    return { receipt: charge.paymentId };
  }
}

class NeedsApi extends Actor<string, number> {
  static override readonly config = config({ name: "needs.api" });
  constructor(api: { call(): number }) {
    super();
    void api;
  }
  override receive(_input: string): number {
    return 1;
  }
}

class Disagreeing extends Actor<{ paymentId: number }> {
  static override readonly config = config({ name: "disagreeing", input: Charge });
  override receive(_input: { paymentId: number }): void {}
}

// A class: what the schema defaults may be left out, and the value is what receive() returns.
const run = await runActor(ChargePayment, { paymentId: "p", amount: 1 });
expectTypeOf(run.outcome).toEqualTypeOf<RunOutcome<{ receipt: string }>>();
expectTypeOf(run.told).toEqualTypeOf<ToldTask[]>();
if (run.outcome.kind === "completed") expectTypeOf(run.outcome.value).toEqualTypeOf<{ receipt: string }>();
if (run.outcome.kind === "retry") expectTypeOf(run.outcome.delayMs).toEqualTypeOf<number>();
if (run.outcome.kind === "dead") expectTypeOf(run.outcome.error).toEqualTypeOf<Error>();
// @ts-expect-error a run of the kit is never lost
if (run.outcome.kind === "lost") void run;
// @ts-expect-error amount is missing
void runActor(ChargePayment, { paymentId: "p" });
// @ts-expect-error no such option
void runActor(ChargePayment, { paymentId: "p", amount: 1 }, { attempts: 2 });
// @ts-expect-error the schema gives paymentId: string, receive takes number
void runActor(Disagreeing, { paymentId: "p", amount: 1 });

// An instance, or a function that makes one: its type does not know the schema, so the class may be named.
const api = { call: () => 1 };
const made = await runActor(() => new NeedsApi(api), "input");
expectTypeOf(made.outcome).toEqualTypeOf<RunOutcome<number>>();
const given = await runActor(new NeedsApi(api), "input");
expectTypeOf(given.outcome).toEqualTypeOf<RunOutcome<number>>();
void runActor<typeof ChargePayment>(() => new ChargePayment("x"), { paymentId: "p", amount: 1 });
void runActor<typeof ChargePayment>(new ChargePayment("x"), { paymentId: "p", amount: 1 });
void runActor(new ChargePayment("x"), { paymentId: "p", amount: 1, currency: "EUR" });
// @ts-expect-error the input is a string
void runActor(() => new NeedsApi(api), 5);
// @ts-expect-error a class that takes arguments cannot be made from nothing
void runActor(NeedsApi, "input");

const heard = await runActorOnEvent(ChargePayment, OrderPlaced, { orderId: "o", total: 1 });
expectTypeOf(heard.outcome).toEqualTypeOf<RunOutcome<{ receipt: string }>>();
void runActorOnEvent(ChargePayment, "orders.placed", { any: "thing" });
void runActorOnEvent(() => new ChargePayment("x"), { stream: "LEGACY", subject: "orders.x" }, 1);
// @ts-expect-error total must be a number
void runActorOnEvent(ChargePayment, OrderPlaced, { orderId: "o", total: "1" });

declare const worker: Worker;
expectTypeOf(await testSystem()).toEqualTypeOf<ActorSystem>();
void testSystem({ durability: "single", limits: { maxPerActor: 10 } });
// @ts-expect-error the server is the kit's, or one that is named
void testSystem({ embedded: true });
expectTypeOf((await waitFor(worker, "retry", (event) => event.attempt > 1, "5s")).delayMs).toEqualTypeOf<number>();
// @ts-expect-error no such event
void waitFor(worker, "finished");
