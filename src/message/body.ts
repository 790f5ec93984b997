/** Body: the value that a received body stands for, by its headers: decompressed, checked, decoded. */
import { checkType, decode, type DecodeRules } from "./codec.ts";
import { decompress } from "./compression.ts";
import { header, type ReceivedHeaders } from "./headers.ts";
import { defaultPayload } from "./limits.ts";

/**
 * A promise only where a large body has to be decompressed.
 * @throws DecodeError, also as a rejection.
 */
export function decodeBody(
  bytes: Uint8Array,
  headers: Pick<ReceivedHeaders, "get">,
  rules: DecodeRules = defaultPayload,
): unknown {
  const contentType = headers.get(header.contentType);
  const encoding = headers.get(header.contentEncoding);
  if (encoding === undefined) return decode(bytes, contentType, rules);
  // Before the work of decompressing it.
  checkType(contentType, rules);
  const plain = decompress(bytes, encoding, rules.maxBytes);
  if (plain instanceof Promise) return plain.then((expanded) => decode(expanded, contentType, rules));
  return decode(plain, contentType, rules);
}
