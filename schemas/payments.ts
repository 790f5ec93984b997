/** Message contracts of payments. */
import * as z from "zod";

export const Charge = z.object({ paymentId: z.string().min(1), amount: z.number().positive() });
export type Charge = z.output<typeof Charge>;

export const Receipt = z.object({ receiptId: z.string(), paymentId: z.string(), amount: z.number() });
export type Receipt = z.output<typeof Receipt>;
