/** Events about orders. Whoever cares subscribes; the publisher knows none of them. */
import { event } from "godwit";
import * as z from "zod";

export const OrderPlaced = event(
  "orders.placed",
  z.object({ orderId: z.string().min(1), total: z.number().positive(), email: z.email() }),
);
