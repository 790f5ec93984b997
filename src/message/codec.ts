/**
 * Values to bytes and back: MessagePack by default, JSON by content type; a body without a content type is JSON.
 * Bytes are checked before they are decoded, since anyone can have sent them.
 */
import { Packr } from "msgpackr";
import { DecodeError, EncodeError, toError } from "../kernel/errors.ts";
import { checkJson, parseJson } from "./json-check.ts";
import { defaultPayload, type BodyLimits } from "./limits.ts";
import { checkMsgpack } from "./msgpack-check.ts";
import { checkValue, type Walk } from "./value-check.ts";

export type CodecName = "msgpack" | "json";

export const contentTypes = { msgpack: "application/msgpack", json: "application/json" } as const;

// Without the records extension, and without undefined properties as in JSON, so that a MessagePack library in any language can read what
// Godwit writes. Bytes are copied, or their memory would be that of all that came with them. A field "toJSON" is one as any other.
const packing = {
  useRecords: false,
  variableMapSize: true,
  skipValues: [undefined],
  copyBuffers: true,
  useToJSON: false,
};
// What a getter gives only the second time was not checked: of a typed array it would write memory that is not the value's, and so
// marks it instead as an extension, which nobody decodes. Through a variable, since its types do not know skipValues.
const strict = { ...packing, moreTypes: true };
const packr = new Packr(strict);
/** For bytes that are no Buffer, which the other one marks too. */
const bytesPackr = new Packr(packing);

/** A value's bytes. */
export interface Encoded {
  readonly bytes: Uint8Array;
  /** The decoder gives back the value itself; else one that a schema may tell from it. */
  readonly faithful: boolean;
}

/**
 * @param value anything that the codec can carry; the reference lists it. `undefined` becomes `null`.
 * @throws EncodeError that names what cannot be carried, or what receivers with the same limits refuse, and its path.
 */
export function encode(value: unknown, codec: CodecName, limits?: BodyLimits): Uint8Array {
  return encodeBody(value, codec, limits).bytes;
}

/** As `encode`, for who has to check the value as its receiver will see it. */
export function encodeBody(value: unknown, codec: CodecName, limits: BodyLimits = defaultPayload): Encoded {
  const { maxDepth, maxItems } = limits;
  const walk: Walk = { carrier: codec, maxDepth, maxItems, items: 0, faithful: true, hasPlainBytes: false };
  checkValue(value, walk);
  try {
    const bytes =
      codec === "json"
        ? Buffer.from(JSON.stringify(value ?? null))
        : (walk.hasPlainBytes ? bytesPackr : packr).pack(value ?? null);
    return { bytes, faithful: walk.faithful };
  } catch (cause) {
    throw new EncodeError(`The value cannot be encoded as ${codec}: ${oneLine(cause)}; send plain data.`, { cause });
  }
}

/** True for a record whose number of version is another one: not ours to judge, while anything else that is no record is garbage. */
export function isOtherVersion(found: unknown, version: number): boolean {
  const said = (found as { v?: unknown } | null | undefined)?.v;
  return Number.isSafeInteger(said) && said !== version;
}

/** What a receiver takes. */
export interface DecodeRules extends BodyLimits {
  /** Default: both. */
  readonly accept?: ReadonlySet<CodecName> | undefined;
}

/**
 * @throws DecodeError for bytes that are not one whole value of the content type, or are beyond the limits, or not plain data; for a
 * content type that is unknown or not accepted.
 */
export function decode(
  bytes: Uint8Array,
  contentType: string | undefined,
  rules: DecodeRules = defaultPayload,
): unknown {
  const codec = checkType(contentType, rules);
  if (bytes.length > rules.maxBytes) throw tooLarge(bytes.length, rules.maxBytes);
  let wrong: string | undefined;
  let cause: unknown;
  try {
    wrong = codec === "msgpack" ? checkMsgpack(bytes, rules) : checkJson(bytes, rules);
    if (wrong === undefined) return codec === "msgpack" ? packr.unpack(bytes) : parseJson(utf8.decode(bytes));
  } catch (thrown) {
    // JSON's own quotes the body, which is as secret where dead letters and logs are read as anywhere.
    const quotes = thrown instanceof SyntaxError;
    wrong = quotes ? withoutQuote(oneLine(thrown)) : oneLine(thrown);
    if (!quotes) cause = thrown;
  }
  throw new DecodeError(`The body is not valid ${codec}: ${wrong}`, { cause });
}

/** The codec of a content type. @throws DecodeError for one that is unknown or not accepted. */
export function checkType(contentType: string | undefined, { accept }: DecodeRules): CodecName {
  const codec = codecOf(contentType);
  if (accept !== undefined && !accept.has(codec)) refuseType(contentType, accept);
  return codec;
}

function tooLarge(sizeBytes: number, maxBytes: number): DecodeError {
  return new DecodeError(
    `The body has ${sizeBytes} bytes and ${maxBytes} are taken here; send less, or raise payload.maxBytes.`,
  );
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** The codec of a content type, JSON where there is none. @throws DecodeError for one that is not known. */
export function codecOf(contentType: string | undefined): CodecName {
  if (contentType === contentTypes.msgpack) return "msgpack";
  if (contentType === undefined || contentType === contentTypes.json) return "json";
  const plain = contentType.split(";", 1)[0]?.trim().toLowerCase();
  if (plain === contentTypes.json) return "json";
  if (plain === contentTypes.msgpack || plain === "application/x-msgpack" || plain === "application/vnd.msgpack")
    return "msgpack";
  throw new DecodeError(
    `The content type ${shown(contentType)} is not known; send application/msgpack or application/json.`,
  );
}

function refuseType(contentType: string | undefined, accept: ReadonlySet<CodecName>): never {
  const wanted = [...accept].map((codec) => contentTypes[codec]).join(" or ");
  const what = contentType === undefined ? "without a content type, which stands for JSON," : shown(contentType);
  throw new DecodeError(`A body ${what} is not accepted here; send ${wanted}.`);
}

/** A header may hold 64 KB. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}…` : text);
}

/** `Unexpected token 's', "s3cret" is not valid JSON` and `…, ..."s3cret"... is not…` end before the quote. */
function withoutQuote(message: string): string {
  return message.replace(/, (?:\.\.\.)?".*$/, "");
}

/** JSON's own errors draw pictures. */
function oneLine(cause: unknown): string {
  return toError(cause).message.replace(/\s+/g, " ");
}
