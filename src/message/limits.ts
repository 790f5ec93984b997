/** Limits: how large, how deep and how many-valued a body may be before it is refused, and what they are unless someone says otherwise. */

/** Limits of one body, which anyone can have sent. They hold for what it is when it is decompressed. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Lists and objects inside one another. */
  readonly maxDepth: number;
  /** Values in all, keys included: an empty list of one byte costs the process forty. */
  readonly maxItems: number;
}

/** How bodies travel and what is taken. */
export interface PayloadSettings extends BodyLimits {
  /** Larger bodies are compressed; `Infinity` for none. */
  readonly compressAboveBytes: number;
}

/** Decoding recurses, and the stack has room for a few thousand levels. */
export const maxDepthLimit = 1_000;

export const defaultPayload: PayloadSettings = Object.freeze({
  compressAboveBytes: 16 * 1_024,
  maxBytes: 64 * 1_048_576,
  maxDepth: 100,
  maxItems: 1_000_000,
});
