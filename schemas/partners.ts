/** Message contracts of calls to a partner's HTTP API. */
import * as z from "zod";

export const PartnerCall = z.object({
  method: z.enum(["GET", "POST", "PUT", "DELETE"]).default("GET"),
  /** Below the partner's base address, which the worker knows and no sender chooses. */
  path: z.string().startsWith("/"),
  body: z.json().optional(),
});
export type PartnerCall = z.output<typeof PartnerCall>;

export const PartnerAnswer = z.object({ status: z.int(), body: z.string() });
export type PartnerAnswer = z.output<typeof PartnerAnswer>;
