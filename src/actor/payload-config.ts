/** Payload settings as users write them, for one actor or for a system, checked and resolved. */
import * as z from "zod";
import { codecOf, contentTypes, type CodecName } from "../message/codec.ts";
import { maxDepthLimit, type PayloadSettings } from "../message/limits.ts";

/** How bodies travel, and how large and how deep they may be. */
export interface PayloadConfig {
  /** Larger bodies are compressed with gzip, where that makes them smaller; in bytes. Default 16 KiB. `false`: never. */
  compressAbove?: number | false;
  /** Largest body, decompressed, in bytes. Default 64 MiB. */
  maxBytes?: number;
  /** How deep lists and objects may be nested, at most 1,000. Default 100. */
  maxDepth?: number;
  /** Values in a body, keys included. Default 1,000,000. */
  maxItems?: number;
}

const count = z.int({ message: "must be a whole number" }).min(1, "must be at least 1");

export const payloadShape = z.strictObject({
  compressAbove: z.union([z.literal(false), z.int({ message: "must be a whole number" }).min(0)]).optional(),
  maxBytes: count.optional(),
  maxDepth: count.max(maxDepthLimit, `must be at most ${maxDepthLimit}`).optional(),
  maxItems: count.optional(),
});

/** What is given goes before what is inherited. */
export function resolvePayload(given: z.output<typeof payloadShape>, inherited: PayloadSettings): PayloadSettings {
  const { compressAbove } = given;
  return Object.freeze({
    compressAboveBytes:
      compressAbove === undefined ? inherited.compressAboveBytes : compressAbove === false ? Infinity : compressAbove,
    maxBytes: given.maxBytes ?? inherited.maxBytes,
    maxDepth: given.maxDepth ?? inherited.maxDepth,
    maxItems: given.maxItems ?? inherited.maxItems,
  });
}

/** Content types, as the codecs that read them. */
export const acceptShape = z
  .array(
    z.string().transform((type, context): CodecName => {
      try {
        return codecOf(type);
      } catch {
        const known = Object.values(contentTypes).join('" or "');
        context.addIssue({ code: "custom", message: `must be "${known}"` });
        return z.NEVER;
      }
    }),
  )
  .min(1, "must not be empty");
