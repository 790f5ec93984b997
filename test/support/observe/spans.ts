/** An OpenTelemetry SDK that keeps its spans in memory, registered for one test. */
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { afterEach, expect } from "vitest";
import { patient } from "../stage.ts";

export interface Spans {
  /** Those that have ended, with that name. */
  of(name: string): ReadableSpan[];
  /** Waits for as many of that name to have ended. */
  until(name: string, count?: number): Promise<ReadableSpan[]>;
  /** The only one of that name, once it has ended. */
  one(name: string): Promise<ReadableSpan>;
  readonly names: string[];
}

/** @param contextManager false for a service that has registered none. */
export function registerSdk(contextManager = true): Spans {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  if (contextManager) context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const of = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);
  const until = async (name: string, count = 1): Promise<ReadableSpan[]> => {
    await expect
      .poll(() => of(name).length, { ...patient, message: `${count} × ${name}` })
      .toBeGreaterThanOrEqual(count);
    return of(name);
  };
  return {
    of,
    until,
    async one(name) {
      const found = await until(name);
      expect(found.map((span) => span.name)).toEqual([name]);
      return found[0] as ReadableSpan;
    },
    get names() {
      return exporter.getFinishedSpans().map((span) => span.name);
    },
  };
}

/** Call at the top of a test file: what a test registers is gone after it. */
export function useCleanTracing(): void {
  afterEach(() => {
    trace.disable();
    context.disable();
    propagation.disable();
  });
}

export function isChild(child: ReadableSpan, parent: ReadableSpan): boolean {
  const { traceId, spanId } = parent.spanContext();
  return child.spanContext().traceId === traceId && child.parentSpanContext?.spanId === spanId;
}

/** The header of a span's own context. */
export function traceparentOf(span: ReadableSpan): string {
  const { traceId, spanId } = span.spanContext();
  return `00-${traceId}-${spanId}-01`;
}
