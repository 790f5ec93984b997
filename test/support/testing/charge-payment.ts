/** An actor as a user writes it, with a dependency that tests stand in for. */
import { Actor, RetryAfter, Snooze, Terminal, config, event, on, type Context } from "godwit";
import * as z from "zod";

export const Charge = z.object({
  paymentId: z.string(),
  amount: z.number().positive(),
  currency: z.string().default("EUR"),
});
export type Charge = z.output<typeof Charge>;

export const OrderPlaced = event("orders.placed", z.object({ orderId: z.string(), total: z.number() }));
export const PaymentTaken = event("payments.taken", z.object({ paymentId: z.string() }));

export interface PaymentsApi {
  take(charge: Charge, signal: AbortSignal): Promise<string>;
}

export class SendReceipt extends Actor<{ to: string }> {
  static override readonly config = config({ name: "receipts.send", input: z.object({ to: z.string() }) });
  override receive(): void {}
}

/** What the payment service may answer, by payment id; anything else is taken. */
const answers: Record<string, () => Error> = {
  declined: () => new Terminal("card declined"),
  busy: () => new RetryAfter("30s"),
  closed: () => new Snooze("5m"),
  down: () => new Error("connection refused"),
};

export const simulatedApi: PaymentsApi = {
  take: async ({ paymentId, amount, currency }) => {
    const answer = answers[paymentId];
    if (answer !== undefined) throw answer();
    return `${paymentId}: ${amount} ${currency}`;
  },
};

export class ChargePayment extends Actor<Charge, { receipt: string }> {
  static override readonly config = config({
    name: "payments.charge",
    input: Charge,
    retry: { attempts: 5, base: "1s", max: "10m" },
    timeLimit: { soft: "20s" },
    subscribe: [on(OrderPlaced, (order) => ({ paymentId: order.orderId, amount: order.total }))],
  });
  /** What was called, in order. */
  readonly calls: string[] = [];
  readonly #api: PaymentsApi;

  constructor(api: PaymentsApi = simulatedApi) {
    super();
    this.#api = api;
  }

  override async start(): Promise<void> {
    this.calls.push("start");
  }

  override async receive(charge: Charge, ctx: Context): Promise<{ receipt: string }> {
    this.calls.push("receive");
    ctx.progress({ done: 0 });
    const receipt = await this.#api.take(charge, ctx.signal);
    await ctx.tell(SendReceipt, { to: charge.paymentId }, { delay: "1m" });
    await ctx.publish(PaymentTaken, { paymentId: charge.paymentId });
    return { receipt };
  }

  override async onDead(charge: Charge): Promise<void> {
    this.calls.push("onDead");
    if (charge.paymentId === "declined") throw new Error("nothing to release");
  }

  override async stop(): Promise<void> {
    this.calls.push("stop");
  }
}
