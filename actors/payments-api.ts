/** The payment provider as charge-payment.ts sees it, and a simulated one in memory for demos and tests. */
import type { Charge, Receipt } from "../schemas/payments.ts";

export interface PaymentsApi {
  /**
   * Charges once for each key: the same key again gives the first receipt.
   * @throws CardDeclined.
   */
  charge(charge: Charge, options: { idempotencyKey: string; signal: AbortSignal }): Promise<Receipt>;
  /** Takes back whatever was charged or reserved for a payment; nothing, if nothing was. */
  release(paymentId: string): Promise<void>;
}

/** The bank said no, and will say so again. */
export class CardDeclined extends Error {
  override readonly name = "CardDeclined";
}

/** Declines more than 5,000 and forgets everything with the process. Moves no money. */
export class SimulatedPayments implements PaymentsApi {
  readonly receipts = new Map<string, Receipt>();
  readonly released: string[] = [];

  async charge(charge: Charge, options: { idempotencyKey: string; signal: AbortSignal }): Promise<Receipt> {
    options.signal.throwIfAborted();
    if (charge.amount > 5_000) throw new CardDeclined(`the card of payment ${charge.paymentId} was declined`);
    const earlier = this.receipts.get(options.idempotencyKey);
    if (earlier) return earlier;
    const receipt = { receiptId: `simulated-${this.receipts.size + 1}`, ...charge };
    this.receipts.set(options.idempotencyKey, receipt);
    return receipt;
  }

  async release(paymentId: string): Promise<void> {
    this.released.push(paymentId);
  }
}
