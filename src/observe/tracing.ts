/** Tracing: OpenTelemetry spans for what is sent and what runs. Decided once for a system; off, it is not there. */
import { trace, type ProxyTracerProvider } from "@opentelemetry/api";
import { packageVersion } from "../kernel/version.ts";
import type { Names } from "../message/subjects.ts";
import type { RunTracer } from "../worker/run-tracer.ts";
import { RunSpans } from "./run-spans.ts";
import { TracedSender, type SendingParts } from "./traced-sender.ts";

export interface Tracing {
  readonly runs: RunTracer;
  sender(parts: SendingParts): TracedSender;
}

/** Makes spans with the tracer provider that is registered, now or later. */
export function startTracing(names: Names): Tracing {
  const tracer = trace.getTracer("godwit", packageVersion());
  return { runs: new RunSpans(tracer, names), sender: (parts) => new TracedSender(tracer, parts) };
}

/** Whether an SDK has registered itself by now. */
export function isTracerRegistered(): boolean {
  // Until then a stand-in answers, which may come from another copy of the API.
  const provider: Partial<ProxyTracerProvider> = trace.getTracerProvider();
  return provider.getDelegateTracer === undefined || provider.getDelegateTracer("godwit") !== undefined;
}
