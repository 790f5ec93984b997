/**
 * Run spans: one consumer span `process <actor>` for each run, the child of what sent the message.
 * 1. It ends with the delivery, so that its outcome is the one that counted: the settlement, and `onDead`, are in it.
 * 2. What the handler sends is a child of the span that is active where it calls, of the run's own where none is: in a thread, or
 *    without a context manager.
 */
import {
  context,
  SpanKind,
  SpanStatusCode,
  trace,
  type Context,
  type Span,
  type SpanOptions,
  type Tracer,
} from "@opentelemetry/api";
import type { Handler } from "../guard/guard.ts";
import type { HeaderFields } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";
import type { Outcome } from "../worker/outcome.ts";
import type { Run } from "../worker/run.ts";
import type { RunTracer } from "../worker/run-tracer.ts";
import { attribute, system } from "./span-attributes.ts";
import { fromReceived, toHeaders } from "./trace-context.ts";
import { fail } from "./traced-sender.ts";

export class RunSpans implements RunTracer {
  readonly #tracer: Tracer;
  readonly #names: Names;
  readonly #spans = new WeakMap<Run, Span>();

  constructor(tracer: Tracer, names: Names) {
    this.#tracer = tracer;
    this.#names = names;
  }

  around(handler: Handler): Handler {
    return (input, ctx) => {
      // Whatever wraps a handler is given the run.
      const run = ctx as Run;
      const parent = fromReceived(run.headers);
      const span = this.#tracer.startSpan(`process ${run.actor}`, this.#optionsOf(run), parent);
      this.#spans.set(run, span);
      const own = trace.setSpan(parent, span);
      const { traceId, spanId } = span.spanContext();
      const inherited = baggageOf(run);
      run.trace = { traceId, spanId, headers: () => ({ ...inherited, ...toHeaders(nearest(own, traceId)) }) };
      return context.with(own, handler, undefined, input, ctx);
    };
  }

  ended(run: Run, outcome: Outcome): void {
    const span = this.#spans.get(run);
    if (span === undefined) return;
    span.setAttribute(attribute.outcome, outcome.kind);
    if ("reason" in outcome) span.setAttribute(attribute.reason, outcome.reason);
    if ("delayMs" in outcome) span.setAttribute(attribute.delayMs, outcome.delayMs);
    if ("error" in outcome) fail(span, outcome.error);
    if (outcome.kind === "lost") {
      span.setAttribute(attribute.errorType, outcome.reason);
      span.setStatus({ code: SpanStatusCode.ERROR, message: "no longer this worker's; its result was dropped" });
    }
    span.end();
  }

  #optionsOf(run: Run): SpanOptions {
    const { stream, subject, sequence } = run.delivery;
    const origin = this.#names.origin(stream, subject);
    const destination = origin.kind === "event" ? origin.event : origin.kind === "foreign" ? subject : run.actor;
    return {
      kind: SpanKind.CONSUMER,
      attributes: {
        [attribute.system]: system,
        [attribute.operationType]: "process",
        [attribute.operationName]: "process",
        [attribute.destination]: destination,
        [attribute.group]: run.actor,
        [attribute.messageId]: run.id,
        [attribute.bodyBytes]: run.body.length,
        [attribute.stream]: stream,
        [attribute.sequence]: sequence,
        [attribute.attempt]: run.attempt,
        [attribute.deliveries]: run.deliveries,
      },
    };
  }
}

/** It travels on also where no propagator is registered that knows it. */
function baggageOf({ headers }: Run): HeaderFields {
  const baggage = headers.get("baggage");
  return baggage === undefined ? {} : { baggage };
}

/** The active context where it is of the same trace: a span that the handler began itself. */
function nearest(own: Context, traceId: string): Context {
  const active = context.active();
  return trace.getSpanContext(active)?.traceId === traceId ? active : own;
}
