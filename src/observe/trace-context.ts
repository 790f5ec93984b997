/**
 * Trace context: between headers and OpenTelemetry's contexts. `traceparent` and `tracestate` (W3C Trace Context) always travel; a
 * propagator that the service has registered adds what else it knows, such as baggage or another format.
 */
import {
  context,
  createTraceState,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  trace,
  type Context,
  type SpanContext,
  type TextMapGetter,
} from "@opentelemetry/api";
import type { HeaderFields, ReceivedHeaders } from "../message/headers.ts";

const traceparent = "traceparent";
const tracestate = "tracestate";
/** Version, trace id, span id, flags. A later version may have more behind them. */
const shape = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/;

type Getter = Pick<ReceivedHeaders, "get"> & { keys(): string[] };
const getter: TextMapGetter<Getter> = { get: (headers, name) => headers.get(name), keys: (headers) => headers.keys() };

/** The headers that tell of this context. */
export function toHeaders(from: Context): HeaderFields {
  const fields: HeaderFields = {};
  propagation.inject(from, fields);
  const span = trace.getSpanContext(from);
  if (span === undefined || !isSpanContextValid(span) || fields[traceparent] !== undefined) return fields;
  fields[traceparent] = `00-${span.traceId}-${span.spanId}-${span.traceFlags.toString(16).padStart(2, "0")}`;
  const state = span.traceState?.serialize();
  if (state) fields[tracestate] = state;
  return fields;
}

/** The context that the headers of a message tell of. Nothing of the active one: that has nothing to do with what arrives. */
export function fromReceived(headers: ReceivedHeaders): Context {
  const keys = (): string[] => headers.entries().map(([name]) => name);
  return extract(ROOT_CONTEXT, { get: (name) => headers.get(name), keys });
}

/** The context that a sender's own headers tell of, `undefined` where they tell of none. */
export function fromFields(fields: Readonly<HeaderFields> | undefined): Context | undefined {
  if (fields === undefined) return undefined;
  const base = trace.deleteSpan(context.active());
  const found = extract(base, { get: (name) => fields[name], keys: () => Object.keys(fields) });
  return trace.getSpanContext(found) === undefined ? undefined : found;
}

function extract(base: Context, headers: Getter): Context {
  const found = propagation.extract(base, headers, getter);
  if (trace.getSpanContext(found) !== undefined) return found;
  const span = readTraceparent(headers);
  return span === undefined ? found : trace.setSpanContext(found, span);
}

function readTraceparent(headers: Getter): SpanContext | undefined {
  const match = shape.exec(headers.get(traceparent) ?? "");
  if (match === null) return undefined;
  const [, traceId = "", spanId = "", flags = ""] = match;
  const state = headers.get(tracestate);
  const span = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
    ...(state !== undefined && { traceState: createTraceState(state) }),
  };
  return isSpanContextValid(span) ? span : undefined;
}
