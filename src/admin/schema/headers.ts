/** The headers of messages, as JSON Schemas. */
import { contentTypes } from "../../message/codec.ts";
import { header } from "../../message/headers.ts";

const text = (description: string): object => ({ type: "string", description });

const common = {
  [header.id]: {
    type: "string",
    minLength: 1,
    description: "The message's id; without it, its stream and sequence are.",
  },
  [header.msgId]: text("<actor or event>|<id>: the same one within the dedup window is stored once."),
  [header.contentType]: {
    type: "string",
    description: "How the body is written; JSON where this is missing.",
    enum: Object.values(contentTypes),
  },
  [header.contentEncoding]: { type: "string", description: "Where the body is compressed.", enum: ["gzip"] },
  traceparent: text("W3C Trace Context; what the handler sends carries it on."),
  tracestate: text("W3C Trace Context."),
  baggage: text("W3C Baggage."),
};

export const eventHeaders = { type: "object", properties: common };

export const taskHeaders = {
  type: "object",
  properties: {
    ...common,
    [header.expiresIn]: text(
      "Milliseconds from its storing, or from when it is due, after which the task is not worth running.",
    ),
    [header.reply]: text("<asker>.<n>, where an answer is wanted: it goes below <namespace>.reply."),
  },
};

export const answerHeaders = {
  type: "object",
  properties: {
    [header.contentType]: { type: "string", enum: [contentTypes.msgpack] },
    [header.outcome]: { type: "string", enum: ["completed", "failed"] },
  },
  required: [header.outcome],
};

export const deadHeaders = {
  type: "object",
  properties: {
    [header.id]: common[header.id],
    [header.dead]: text("JSON: the actor, the reason, the error, when, and the last attempts."),
    [header.deadHeaders]: text("JSON: the headers that the message had."),
    [header.deadObject]: text("Where the body is too large to come along: the name of the object that holds it."),
  },
};
