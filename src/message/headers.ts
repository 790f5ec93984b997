/** Every header Godwit reads or writes, spelled once, and the rules for those that users add. */
import { InvalidNameError } from "../kernel/errors.ts";
import { checkId } from "./names.ts";
import { placeText, type MessagePlace } from "./place.ts";

export const header = {
  /** Dedup key of JetStream: `<actor or event>|<id>`. A fired schedule loses it. */
  msgId: "Nats-Msg-Id",
  /** The message's id. */
  id: "Godwit-Id",
  contentType: "Content-Type",
  /** `gzip` where the body is compressed. */
  contentEncoding: "Content-Encoding",
  /** Milliseconds from when it was stored, a delayed one from when it was due, after which the message is not worth running. */
  expiresIn: "Godwit-Expires-In",
  /** As it was written before: wall-clock milliseconds of its sender. Still read. */
  expires: "Godwit-Expires",
  /** `<asker>.<n>`: where an answer goes, below `<ns>.reply.` and nowhere else. */
  reply: "Godwit-Reply",
  /** The event subject of a redriven event, which comes back as a task of the one actor that had failed. */
  event: "Godwit-Event",
  /** In an answer: `completed` or `failed`. */
  outcome: "Godwit-Outcome",
  /** In a dead letter: the JSON of why (see lifecycle/dead-letter.ts). */
  dead: "Godwit-Dead",
  /** In a dead letter: the JSON of the original headers. */
  deadHeaders: "Godwit-Dead-Headers",
  /** In a dead letter whose body is in the object store: the object's name. */
  deadObject: "Godwit-Dead-Object",
  /** In a message whose body was too large to come along, and is empty: the name of the object that holds it. */
  bodyObject: "Godwit-Body-Object",
  /** In a notice that a shared value was written: its revision. */
  revision: "Godwit-Revision",
  ttl: "Nats-TTL",
  /** `sub`: in the place of all that the subject has. */
  rollup: "Nats-Rollup",
  /** Of a message that the server has left the body out of: how many bytes it has. */
  size: "Nats-Msg-Size",
  expectedLastSubjectSequence: "Nats-Expected-Last-Subject-Sequence",
  schedule: "Nats-Schedule",
  scheduleTarget: "Nats-Schedule-Target",
} as const;

/** Trace context that children inherit (W3C Trace Context). */
export const traceHeaders = ["traceparent", "tracestate", "baggage"] as const;

/** What W3C Baggage asks all to carry; its other headers are shorter. */
const maxTraceLength = 8_192;

/** Header names and values, as they go out. One value for each name. */
export type HeaderFields = Record<string, string>;

/** Headers of a received message. */
export interface ReceivedHeaders {
  /** The first value of the name, `undefined` where there is none. */
  get(name: string): string | undefined;
  /** All names with all values, in order. */
  entries(): [name: string, values: string[]][];
}

/** Wall-clock ms of the server after which a message is not worth running; undefined where its sender did not say. NaN for what is no number. */
export function expiryOf(message: { headers: ReceivedHeaders; storedAtMs: number }): number | undefined {
  const span = message.headers.get(header.expiresIn);
  if (span !== undefined) return message.storedAtMs + Number(span);
  const absolute = message.headers.get(header.expires);
  return absolute === undefined ? undefined : Number(absolute);
}

/** A message's id: its header where that is an id, else its place. */
export function messageId(message: MessagePlace & { headers: ReceivedHeaders }): string {
  const given = message.headers.get(header.id);
  try {
    if (given !== undefined) return checkId(given);
  } catch {
    // Anyone can publish; an id that nothing else could carry is no id.
  }
  return placeText(message);
}

export const noHeaders: ReceivedHeaders = { get: () => undefined, entries: () => [] };

const name = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/;
const reserved = /^(nats|godwit)-/i;
// oxlint-disable-next-line no-control-regex -- refusing control characters is the point
const control = /[\u0000-\u001f\u007f]/;

/** Checks headers that a user adds. @throws InvalidNameError for a reserved name, a bad name or a value with control characters. */
export function checkUserHeaders(fields: Readonly<HeaderFields>): HeaderFields {
  for (const [field, value] of Object.entries(fields)) {
    if (!name.test(field) || reserved.test(field) || /^content-(type|encoding)$/i.test(field)) {
      throw new InvalidNameError(
        `The header name ${JSON.stringify(field)} is not free; choose one that does not begin with "Nats-" or "Godwit-" and is neither "Content-Type" nor "Content-Encoding".`,
      );
    }
    if (typeof value !== "string" || control.test(value)) {
      throw new InvalidNameError(`The header "${field}" must have a string value without control characters.`);
    }
  }
  return { ...fields };
}

/** The trace context of a message, as anyone may have sent it, without what no header can carry or no tool would write. */
export function carriable(fields: Readonly<HeaderFields>): HeaderFields {
  const may = Object.entries(fields).filter(
    ([field, value]) =>
      isHeaderName(field) && !reserved.test(field) && !control.test(value) && value.length <= maxTraceLength,
  );
  return Object.fromEntries(may);
}

/** True for headers that a server acts on; a redriven message must not carry them again. */
export function isControlHeader(field: string): boolean {
  return /^nats-/i.test(field);
}

export function isHeaderName(field: string): boolean {
  return name.test(field);
}

const objectName = /^[A-Za-z0-9_-]{24}$/;

/** The name of an object that holds a body, as its sender writes it, or `undefined` for anything else. */
export function parseBodyObject(value: string | undefined): string | undefined {
  return value !== undefined && objectName.test(value) ? value : undefined;
}

const replyAddress = /^[A-Za-z0-9_-]{1,64}\.[A-Za-z0-9]{1,16}$/;

/** A reply address as an asker writes it, or `undefined` for anything else, such as a planted subject. */
export function parseReplyAddress(value: string | undefined): string | undefined {
  return value !== undefined && replyAddress.test(value) ? value : undefined;
}
