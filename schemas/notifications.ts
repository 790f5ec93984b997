/** Message contracts of notifications. */
import * as z from "zod";

export const Notification = z.object({ to: z.email(), subject: z.string().min(1), text: z.string() });
export type Notification = z.output<typeof Notification>;
