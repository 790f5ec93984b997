/** Traces: spans of what is sent and what runs, as an SDK sees them, and what the headers say. */
import { SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { describe, expect, test } from "vitest";
import { Snooze, Terminal } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { collectLogs } from "../support/logs.ts";
import { isChild, registerSdk, traceparentOf, useCleanTracing } from "../support/observe/spans.ts";
import { InThread } from "../support/observe/thread-actor.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
useCleanTracing();

const given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const retry = { attempts: 2, base: 10, max: 10, jitter: "none" } as const;
const nothing = (): void => undefined;
const fails = (): never => {
  throw new RangeError("no luck", { cause: new Error("the deeper reason") });
};

/** publish → first → child → thread → leaf; second hears the event too. */
function chain() {
  const First = actorOf({ name: "trace.first", subscribe: ["orders.placed"] }, async (_, ctx) => {
    await trace.getTracer("user").startActiveSpan("own work", async (span) => {
      await ctx.tell("trace.child", {});
      span.end();
    });
  });
  const Second = actorOf({ name: "trace.second", subscribe: ["orders.placed"] }, nothing);
  const Child = actorOf({ name: "trace.child" }, (_, ctx) => ctx.tell("trace.thread", {}));
  const Leaf = actorOf({ name: "trace.leaf" }, nothing);
  return [First, Second, Child, InThread, Leaf] as const;
}

test("publish, actor, child actor and its child in a thread are one trace, each the child of what sent it", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  await system.work(chain());
  const sent = await system.publish("orders.placed", { orderId: "o1" });
  await spans.one("process trace.leaf");

  const second = await spans.one("process trace.second");
  const line: ReadableSpan[] = [];
  for (const name of [
    "publish orders.placed",
    "process trace.first",
    "own work",
    "tell trace.child",
    "process trace.child",
    "tell trace.thread",
    "process trace.thread",
    "tell trace.leaf",
    "process trace.leaf",
  ]) {
    line.push(await spans.one(name));
  }
  const [publish, first] = line as [ReadableSpan, ReadableSpan];
  expect(publish.parentSpanContext).toBeUndefined();
  const strangers = line.slice(1).filter((span, at) => !isChild(span, line[at] as ReadableSpan));
  expect(strangers.map(({ name }) => name)).toEqual([]);
  expect(isChild(second, publish), "every actor of an event is a child of its publish").toBe(true);

  expect(publish.kind).toBe(SpanKind.PRODUCER);
  expect(publish.attributes).toEqual({
    "messaging.system": "nats",
    "messaging.operation.type": "send",
    "messaging.operation.name": "publish",
    "messaging.destination.name": "orders.placed",
    "messaging.message.id": sent.id,
    "godwit.stream": sent.stream,
    "godwit.sequence": sent.sequence,
  });
  expect(first.kind).toBe(SpanKind.CONSUMER);
  expect(first.status.code).toBe(SpanStatusCode.UNSET);
  expect(first.attributes).toEqual({
    "messaging.system": "nats",
    "messaging.operation.type": "process",
    "messaging.operation.name": "process",
    "messaging.destination.name": "orders.placed",
    "messaging.consumer.group.name": "trace.first",
    "messaging.message.id": sent.id,
    "messaging.message.body.size": expect.any(Number) as number,
    "godwit.stream": sent.stream,
    "godwit.sequence": sent.sequence,
    "godwit.attempt": 1,
    "godwit.deliveries": 1,
    "godwit.outcome": "completed",
  });
});

test("children are children of their run also where no context manager is registered", async () => {
  const spans = registerSdk(false);
  const system = await stage.connect();
  const Child = actorOf({ name: "trace.child" }, (_, ctx) => ctx.tell("trace.thread", {}));
  await system.work([Child, InThread, actorOf({ name: "trace.leaf" }, nothing)]);
  await system.tell("trace.child", {});
  const leaf = await spans.one("process trace.leaf");
  const told = await spans.one("tell trace.leaf");
  expect(isChild(leaf, told)).toBe(true);
  expect(isChild(told, await spans.one("process trace.thread"))).toBe(true);
  expect(isChild(await spans.one("tell trace.thread"), await spans.one("process trace.child"))).toBe(true);
});

test("a failed run has its error and what becomes of it; the retry is a new span of the same parent", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  await system.work([actorOf({ name: "trace.fails", retry }, fails)]);
  await system.tell("trace.fails", {});
  const runs = await spans.until("process trace.fails", 2);
  const parent = await spans.one("tell trace.fails");
  expect(runs.map((run) => isChild(run, parent))).toEqual([true, true]);
  expect(runs.map(({ attributes }) => attributes["godwit.attempt"])).toEqual([1, 2]);
  expect(runs.map(({ attributes }) => attributes["godwit.deliveries"])).toEqual([1, 2]);
  expect(runs.map(({ attributes }) => attributes["godwit.outcome"])).toEqual(["retry", "dead"]);
  expect(runs.map(({ attributes }) => attributes["godwit.reason"])).toEqual([undefined, "exhausted"]);
  for (const run of runs) {
    expect(run.attributes["error.type"]).toBe("RangeError");
    expect(run.status).toEqual({ code: SpanStatusCode.ERROR, message: "no luck" });
    expect(run.events).toHaveLength(1);
    expect(run.events[0]?.attributes).toMatchObject({
      "exception.type": "RangeError",
      "exception.message": "no luck",
    });
  }
});

test("a message that is put back has not failed", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  await system.work([
    actorOf({ name: "trace.snoozes" }, (_, ctx) => {
      if (ctx.deliveries === 1) throw new Snooze(10);
    }),
  ]);
  await system.tell("trace.snoozes", {});
  const [snoozed] = await spans.until("process trace.snoozes", 2);
  expect(snoozed?.attributes).toMatchObject({ "godwit.outcome": "deferred", "godwit.reason": "snooze" });
  expect(snoozed?.status.code).toBe(SpanStatusCode.UNSET);
  expect(snoozed?.events).toEqual([]);
});

test("a requeued dead letter goes on in the trace of its first life, and onDead in that of its run", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  let mended = false;
  const Dies = actorOf(
    { name: "trace.dies" },
    () => {
      if (!mended) throw new Terminal("not yet");
    },
    { onDead: async (_input, _error, ctx) => void (await ctx.tell("trace.undo", {})) },
  );
  await system.work([Dies, actorOf({ name: "trace.undo" }, nothing)]);
  await system.tell("trace.dies", {});
  const dead = await spans.one("process trace.dies");
  expect(isChild(await spans.one("tell trace.undo"), dead)).toBe(true);
  mended = true;
  for await (const { sequence } of system.dead.list()) await system.dead.requeue(sequence);
  const [, again] = await spans.until("process trace.dies", 2);
  const told = await spans.one("tell trace.dies");
  expect(isChild(again as ReadableSpan, told)).toBe(true);
});

test("an ask is a child of what is active, and ends with its answer; a failed one has the error", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  const Answers = actorOf({ name: "trace.answers" }, (input) => {
    if (input === "die") throw new Terminal("never");
    return input;
  });
  await system.work([Answers]);
  const answer = await trace.getTracer("user").startActiveSpan("request", async (span) => {
    const value = await system.ask(Answers, 7, { id: "q1" });
    expect(spans.names).toContain("ask trace.answers");
    span.end();
    return value;
  });
  expect(answer).toBe(7);
  const ask = await spans.one("ask trace.answers");
  expect(isChild(ask, await spans.one("request"))).toBe(true);
  expect(ask.attributes["messaging.message.id"]).toBe("q1");
  expect(isChild(await spans.one("process trace.answers"), ask)).toBe(true);

  await expect(system.ask(Answers, "die")).rejects.toThrow("never");
  const [, failed] = await spans.until("ask trace.answers", 2);
  expect(failed?.status.code).toBe(SpanStatusCode.ERROR);
  expect(failed?.attributes["error.type"]).toBe("TASK_FAILED");
});

test("tellMany is one span with its count, and each message carries its context", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  await system.work([actorOf({ name: "trace.many" }, nothing)]);
  await system.tellMany("trace.many", [1, 2, () => "not encodable", 4]);
  const batch = await spans.one("tellMany trace.many");
  expect(batch.attributes).toMatchObject({ "messaging.batch.message_count": 4, "godwit.failures": 1 });
  expect(batch.status.code).toBe(SpanStatusCode.ERROR);
  const runs = await spans.until("process trace.many", 3);
  expect(runs.map((run) => isChild(run, batch))).toEqual([true, true, true]);
});

test("a sender's own traceparent is the parent, and a refused send is a failed span", async () => {
  const spans = registerSdk();
  const system = await stage.connect();
  const headers = { traceparent: given, tracestate: "vendor=1" };
  await system.tell("trace.own", {}, { headers });
  const told = await spans.one("tell trace.own");
  expect(told.spanContext().traceId).toBe(given.split("-")[1]);
  expect(told.parentSpanContext?.spanId).toBe(given.split("-")[2]);
  const client = await stage.client();
  const stored = await client.last(stage.names.tasks, stage.names.taskSubject("trace.own", "normal"));
  expect(stored?.header.get("traceparent")).toBe(traceparentOf(told));
  expect(stored?.header.get("tracestate")).toBe("vendor=1");

  await expect(system.tell("no name!", {})).rejects.toThrow(/name/);
  const refused = await spans.one("tell no name!");
  expect(refused.attributes["error.type"]).toBe("INVALID_NAME");
});

test("a handler's log lines say which span they belong to, in a thread too, and so does the line of its failure", async () => {
  const spans = registerSdk();
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const Logs = actorOf({ name: "trace.logs" }, (_, ctx) => {
    ctx.log.info("at work");
    throw new Terminal("no more");
  });
  const worker = await system.work([Logs, InThread]);
  const recorder = record(worker);
  await system.tell("trace.logs", {});
  await system.tell("trace.thread", {});
  const { traceId, spanId } = (await spans.one("process trace.logs")).spanContext();
  const fieldsOf = (message: string) => lines.find((line) => line.message === message)?.fields;
  expect(fieldsOf("at work")).toMatchObject({ trace_id: traceId, span_id: spanId });
  expect(fieldsOf("dead letter")).toMatchObject({ trace_id: traceId, span_id: spanId });
  expect((await recorder.until("dead"))[0]?.data).toMatchObject({ traceId, spanId });
  const inThread = (await spans.one("process trace.thread")).spanContext();
  expect(fieldsOf("in its thread")).toMatchObject({ trace_id: inThread.traceId, span_id: inThread.spanId });
});

describe("off", () => {
  /** What the child of a message was sent with that itself came with trace headers. */
  async function passedOn(options: { tracing?: boolean }): Promise<(string | undefined)[]> {
    const system = await stage.connect(options);
    const worker = await system.work([actorOf({ name: "trace.parent" }, (_, ctx) => ctx.tell("trace.next", {}))]);
    const recorder = record(worker);
    await system.tell("trace.parent", {}, { headers: { traceparent: given, baggage: "k=v" } });
    await recorder.until("completed");
    const client = await stage.client();
    const stored = await client.last(stage.names.tasks, stage.names.taskSubject("trace.next", "normal"));
    await system.tell("trace.bare", {});
    const bare = await client.last(stage.names.tasks, stage.names.taskSubject("trace.bare", "normal"));
    expect(bare?.header.has("traceparent")).toBe(false);
    return ["traceparent", "baggage"].map((name) => stored?.header.get(name));
  }

  test("with tracing: false there are no spans, no headers, and those that came are passed on", async () => {
    const spans = registerSdk();
    expect(await passedOn({ tracing: false })).toEqual([given, "k=v"]);
    expect(spans.names).toEqual([]);
  });

  test("it is off where no tracer provider is registered when the system connects", async () => {
    expect(await passedOn({})).toEqual([given, "k=v"]);
  });

  test("with tracing: true the SDK may register later", async () => {
    const system = await stage.connect({ tracing: true });
    await system.tell("trace.early", {});
    const spans = registerSdk();
    await system.tell("trace.late", {});
    expect(spans.names).toEqual(["tell trace.late"]);
  });
});
