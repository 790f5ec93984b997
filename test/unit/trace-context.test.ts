/** Trace context: what headers and OpenTelemetry's contexts make of each other. */
import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  trace,
  type TextMapPropagator,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { expect, test } from "vitest";
import type { ReceivedHeaders } from "../../src/message/headers.ts";
import { fromFields, fromReceived, toHeaders } from "../../src/observe/trace-context.ts";
import { useCleanTracing } from "../support/observe/spans.ts";

useCleanTracing();

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";

function received(fields: Record<string, string>): ReceivedHeaders {
  return { get: (name) => fields[name], entries: () => Object.entries(fields).map(([name, value]) => [name, [value]]) };
}

test.each([
  ["sampled", `00-${traceId}-${spanId}-01`],
  ["not sampled", `00-${traceId}-${spanId}-00`],
])("a context survives the way through headers: %s", (_, traceparent) => {
  const fields = { traceparent, tracestate: "a=1,b=2" };
  expect(toHeaders(fromReceived(received(fields)))).toEqual(fields);
  expect(trace.getSpanContext(fromReceived(received(fields)))?.isRemote).toBe(true);
});

test("a later version's traceparent is read as far as it is known", () => {
  const found = fromReceived(received({ traceparent: `01-${traceId}-${spanId}-01-more` }));
  expect(trace.getSpanContext(found)).toMatchObject({ traceId, spanId, traceFlags: 1 });
});

test.each([
  "",
  "nonsense",
  `00-${traceId}-${spanId}`,
  `00-${traceId}-${spanId}-0`,
  `00-${traceId}-${spanId}-011`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${"0".repeat(32)}-${spanId}-01`,
  `00-${traceId}-${"0".repeat(16)}-01`,
  `ff-${traceId}-${spanId}-01`,
])("%j is no traceparent", (traceparent) => {
  expect(trace.getSpanContext(fromReceived(received({ traceparent })))).toBeUndefined();
  expect(fromFields({ traceparent })).toBeUndefined();
  expect(toHeaders(fromReceived(received({ traceparent })))).toEqual({});
});

test("a propagator that is registered is asked too, and its headers go along", () => {
  const propagator: TextMapPropagator<Record<string, string>> = {
    inject: (_, carrier) => void (carrier["x-other"] = "said"),
    extract: (context, carrier, getter) =>
      getter.get(carrier, "x-other") === undefined
        ? context
        : trace.setSpanContext(context, { traceId, spanId, traceFlags: 1, isRemote: true }),
    fields: () => ["x-other"],
  };
  propagation.setGlobalPropagator(propagator);
  const span = trace.getSpanContext(fromReceived(received({ "x-other": "said" })));
  expect(span !== undefined && isSpanContextValid(span)).toBe(true);
  const from = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1 });
  expect(toHeaders(from)).toEqual({ traceparent: `00-${traceId}-${spanId}-01`, "x-other": "said" });
});

test("what is active where a message arrives has nothing to do with it", () => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const active = trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: 1 });
  context.with(active, () => expect(fromReceived(received({}))).toBe(ROOT_CONTEXT));
});
