/**
 * payments.charge: takes money, which must not happen twice.
 * What it teaches: delivery is at least once, so the message's id goes to the provider as idempotency key: it is the same in every
 * attempt and after a redrive. A declined card is `Terminal`, since no retry mends it; anything else is retried with backoff. A charge
 * that was given up on is compensated in `onDead`, because an attempt that timed out may have gone through.
 */
import { Actor, Terminal, config, on, type Context } from "godwit";
import { OrderPlaced } from "../schemas/orders.ts";
import { Charge, type Receipt } from "../schemas/payments.ts";
import { CardDeclined, SimulatedPayments, type PaymentsApi } from "./payments-api.ts";

export class ChargePayment extends Actor<Charge, Receipt> {
  static override readonly config = config({
    name: "payments.charge",
    input: Charge,
    concurrency: 32,
    timeLimit: { soft: "20s", hard: "25s" },
    retry: { attempts: 5, base: "1s", max: "10m" },
    result: { ttl: "5m" },
    subscribe: [on(OrderPlaced, (order) => ({ paymentId: order.orderId, amount: order.total }))],
  });
  readonly #api: PaymentsApi;

  /** @param api the provider. A service gives the real one: `system.work([() => new ChargePayment(api)])`. */
  constructor(api: PaymentsApi = new SimulatedPayments()) {
    super();
    this.#api = api;
  }

  override async receive(charge: Charge, ctx: Context): Promise<Receipt> {
    try {
      return await this.#api.charge(charge, { idempotencyKey: ctx.id, signal: ctx.signal });
    } catch (error) {
      if (error instanceof CardDeclined) throw new Terminal(error.message, { cause: error });
      throw error;
    }
  }

  /** May be called again if the worker dies meanwhile, so it must be harmless twice; releasing is. */
  override async onDead(charge: Charge): Promise<void> {
    await this.#api.release(charge.paymentId);
  }
}
