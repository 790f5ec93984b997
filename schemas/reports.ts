/** Message contracts of reports. */
import * as z from "zod";

export const ReportRequest = z.object({
  month: z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, "must be a month such as 2026-03"),
  /** How many products the list names. */
  top: z.int().min(1).max(100).default(5),
});
export type ReportRequest = z.output<typeof ReportRequest>;

export const SalesReport = z.object({
  month: z.string(),
  orders: z.int(),
  revenue: z.number(),
  top: z.array(z.object({ product: z.string(), revenue: z.number() })),
});
export type SalesReport = z.output<typeof SalesReport>;
