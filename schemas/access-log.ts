/** Message contracts of the access log: a piece of a log to count, and what was counted in it. */
import * as z from "zod";

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, { message: "must be bytes" });

/** Whole lines of an access log. Bytes, so that what is not valid UTF-8 travels unharmed; text does where it is. */
export const LogChunk = z.object({ lines: z.union([bytes, z.string()]) });
export type LogChunk = z.output<typeof LogChunk>;

const count = z.int().nonnegative();

/** What is counted of one piece. Pairs and no objects, since a log may name a path `__proto__`. */
export const LogTally = z.object({
  /** Well-formed lines; the rejected ones are not among them. */
  lines: count,
  rejected: count,
  bytes: count,
  hosts: z.array(z.string()),
  statuses: z.array(z.tuple([z.string(), count])),
  paths: z.array(z.tuple([z.string(), count])),
});
export type LogTally = z.output<typeof LogTally>;
