/**
 * notifications.send: mails somebody.
 * What it teaches: fire and forget. No `result`, so nothing is stored and nobody waits. It hears of orders by subscribing to an event,
 * which the shop publishes without knowing who listens; `on()` turns the event into this actor's own input. Others may `tell` it too.
 */
import { Actor, config, on, type Context } from "godwit";
import { Notification } from "../schemas/notifications.ts";
import { OrderPlaced } from "../schemas/orders.ts";

export interface Mailer {
  /** `messageId` is the same when the same mail is sent again, so that the provider can drop the second one. */
  send(mail: Notification, options: { messageId: string; signal: AbortSignal }): Promise<void>;
}

/** Keeps its mails in memory, the last hundred of them. Sends nothing. */
export class SimulatedMailer implements Mailer {
  readonly sent: Notification[] = [];

  async send(mail: Notification): Promise<void> {
    this.sent.push(mail);
    if (this.sent.length > 100) this.sent.shift();
  }
}

export class SendNotification extends Actor<Notification> {
  static override readonly config = config({
    name: "notifications.send",
    input: Notification,
    concurrency: 20,
    timeLimit: { soft: "10s" },
    // A mail that comes a day late helps nobody.
    expiresIn: "1d",
    subscribe: [
      on(OrderPlaced, ({ email, orderId, total }) => ({
        to: email,
        subject: `Your order ${orderId}`,
        text: `Thank you. Your order ${orderId} over ${total} is on its way.`,
      })),
    ],
  });
  readonly #mailer: Mailer;

  constructor(mailer: Mailer = new SimulatedMailer()) {
    super();
    this.#mailer = mailer;
  }

  override async receive(mail: Notification, ctx: Context): Promise<void> {
    await this.#mailer.send(mail, { messageId: ctx.id, signal: ctx.signal });
  }
}
