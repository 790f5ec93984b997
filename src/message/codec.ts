/** Values to bytes and back: MessagePack by default, JSON by content type; a body without a content type is JSON. */
import { Packr } from "msgpackr";
import { DecodeError, EncodeError, toError } from "../kernel/errors.ts";

export type CodecName = "msgpack" | "json";

export const contentTypes = { msgpack: "application/msgpack", json: "application/json" } as const;

// Without the records extension, and without undefined properties as in JSON, so that a MessagePack library in any language can read what Godwit writes.
const packing = {
  useRecords: false,
  variableMapSize: true,
  skipValues: [undefined],
  // It would write undefined, and nobody would notice what is missing.
  writeFunction: (): never => {
    throw new EncodeError("A function cannot be sent; send plain data.");
  },
};
// Through a variable, since its types do not know skipValues.
const packr = new Packr(packing);

/**
 * @param value anything the codec can carry: JSON values, and with MessagePack also `Uint8Array`, `Date`, `bigint`; `undefined` becomes `null`.
 * @throws EncodeError for functions, symbols, circular objects and what else the codec cannot carry. JSON leaves functions inside
 * objects out, as `JSON.stringify` does.
 */
export function encode(value: unknown, codec: CodecName): Uint8Array {
  try {
    if (codec === "json") return Buffer.from(JSON.stringify(value ?? null) ?? refuse(value));
    if (typeof value === "function" || typeof value === "symbol") refuse(value);
    return packr.pack(value ?? null);
  } catch (cause) {
    if (cause instanceof EncodeError) throw cause;
    throw new EncodeError(
      `The value cannot be encoded as ${codec}: ${oneLine(cause)}; send plain data, without functions or circles.`,
      { cause },
    );
  }
}

/** @throws DecodeError for bytes that are not one whole value of the content type, or for an unknown content type. */
export function decode(bytes: Uint8Array, contentType: string | undefined): unknown {
  const codec = codecOf(contentType);
  try {
    if (codec === "msgpack") return packr.unpack(bytes);
    return JSON.parse(utf8.decode(bytes));
  } catch (cause) {
    throw new DecodeError(`The body is not valid ${codec}: ${oneLine(cause)}`, { cause });
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function codecOf(contentType: string | undefined): CodecName {
  if (contentType === contentTypes.msgpack) return "msgpack";
  if (contentType === undefined || contentType === contentTypes.json) return "json";
  const plain = contentType.split(";", 1)[0]?.trim().toLowerCase();
  if (plain === contentTypes.json) return "json";
  if (plain === contentTypes.msgpack || plain === "application/x-msgpack" || plain === "application/vnd.msgpack")
    return "msgpack";
  throw new DecodeError(
    `The content type ${JSON.stringify(contentType)} is not known; send application/msgpack or application/json.`,
  );
}

function refuse(value: unknown): never {
  throw new EncodeError(`A ${typeof value} cannot be sent; send plain data.`);
}

/** JSON's own errors draw pictures, or quote the body. */
function oneLine(cause: unknown): string {
  return toError(cause).message.replace(/\s+/g, " ");
}
