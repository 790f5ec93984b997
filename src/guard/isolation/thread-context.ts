/** Context in a thread: what a handler is handed there. What it does is done in the worker's own thread, in the order of its calls. */
import { inspect } from "node:util";
import type { ActorClass } from "../../actor/actor-class.ts";
import type { Context, PublishOptions, Sent, TellOptions } from "../../actor/context.ts";
import type { EventType } from "../../actor/event.ts";
import type { BreakerHandle, BreakerSettings, OnceOptions, RateLimitHandle } from "../../actor/guard-handles.ts";
import { configOf } from "../../actor/registry.ts";
import type { Schema } from "../../actor/schema.ts";
import { monotonicMs } from "../../kernel/clock.ts";
import { isError } from "../../kernel/errors.ts";
import type { Logger } from "../../kernel/logger.ts";
import type { ReceivedHeaders } from "../../message/headers.ts";
import { checkCrossing, withBuffers } from "../../message/value-check.ts";
import type { Line } from "./line.ts";
import type { Issues, LogLevel, OnceGiven, RunFacts, ThreadSide, WorkerSide } from "./protocol.ts";
import { writeError } from "./wire-error.ts";

type Fn = (value?: unknown) => unknown;

export class ThreadContext implements Context {
  readonly id: string;
  readonly actor: string;
  readonly attempt: number;
  readonly deliveries: number;
  readonly storedAtMs: number;
  readonly headers: ReceivedHeaders;
  readonly log: Logger;
  readonly #line: Line<ThreadSide, WorkerSide>;
  /** When the handler was called in the thread. */
  readonly #ageMs: number;
  readonly #sinceMs = monotonicMs();
  readonly #controller = new AbortController();
  /** What the worker may call, by number. */
  readonly #functions: Fn[] = [];

  constructor(facts: RunFacts, line: Line<ThreadSide, WorkerSide>) {
    this.id = facts.id;
    this.actor = facts.actor;
    this.attempt = facts.attempt;
    this.deliveries = facts.deliveries;
    this.storedAtMs = facts.storedAtMs;
    this.#ageMs = facts.ageMs;
    this.headers = new ThreadHeaders(facts.headers);
    this.log = new ThreadLogger(line, []);
    this.#line = line;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  get ageMs(): number {
    return this.#ageMs + monotonicMs() - this.#sinceMs;
  }

  abort(reason: Error): void {
    this.#controller.abort(reason);
  }

  /** @param fn by the number that it got when it was passed. */
  async invoke(fn: number, value?: unknown): Promise<unknown> {
    return this.#functions[fn]?.(value);
  }

  #number(fn: Fn): number {
    return this.#functions.push(fn) - 1;
  }

  progress(value: unknown): void {
    checkCrossing(value);
    this.#line.send("progress", value);
  }

  async tell(actor: ActorClass | string, body: unknown, options?: TellOptions): Promise<Sent> {
    checkCrossing(body);
    if (typeof actor === "string") return this.#line.call("tell", actor, body, options, undefined);
    const { name, input, isolate, lane, codec, accept, payload, expiresInMs, resultTtlMs } = configOf(actor);
    const target = { name, lane, codec, accept, payload, expiresInMs, resultTtlMs };
    return this.#line.call("tell", target, body, options, this.#check(input, isolate));
  }

  async publish(event: EventType | string, body: unknown, options?: PublishOptions): Promise<Sent> {
    checkCrossing(body);
    if (typeof event === "string") return this.#line.call("publish", event, body, options, undefined);
    const check = this.#check(event.schema as Schema | undefined);
    return this.#line.call("publish", event.subject, body, options, check);
  }

  /** A schema cannot cross, so the worker has it asked here, when its turn comes. */
  #check(schema: Schema | undefined, isolate?: "thread"): number | undefined {
    return schema && this.#number((body) => issuesOf(schema, withBuffers(body), isolate));
  }

  async once<T>(key: string, fn: () => T | Promise<T>, options?: OnceOptions): Promise<T> {
    // A call that fails may be made again; this one has been made.
    const made = async (): Promise<OnceGiven> => {
      const value = await fn();
      try {
        checkCrossing(value);
        structuredClone(value);
        return { value };
      } catch (thrown) {
        return { refused: writeError(thrown) };
      }
    };
    const run = typeof fn === "function" ? made : fn;
    return withBuffers(await this.#line.call("once", key, this.#number(run), options)) as T;
  }

  breaker(name: string, settings?: BreakerSettings): BreakerHandle {
    const line = this.#line;
    // Refuses what the worker refuses, at once.
    line.callSync("breaker", name, settings);
    const number = (fn: Fn): number => this.#number(fn);
    return {
      get open() {
        return line.callSync("breaker", name, settings);
      },
      async fire<T>(fn: () => T | Promise<T>, fallback?: () => T | Promise<T>): Promise<T> {
        let value: T | undefined;
        // The value stays here: it may be what cannot cross, such as an answer that is still read from.
        const keep = (from: () => T | Promise<T>) => async (): Promise<void> => void (value = await from());
        await line.call("fire", name, settings, number(keep(fn)), fallback && number(keep(fallback)));
        return value as T;
      },
    };
  }

  rateLimit(name: string): RateLimitHandle {
    this.#line.callSync("rateLimit", name);
    return { penalize: (delay) => this.#line.call("penalize", name, delay) };
  }
}

class ThreadHeaders implements ReceivedHeaders {
  readonly #entries: [name: string, values: string[]][];

  constructor(entries: [name: string, values: string[]][]) {
    this.#entries = entries;
  }

  get(name: string): string | undefined {
    return this.#entries.find(([one]) => one === name)?.[1][0] || undefined;
  }

  entries(): [name: string, values: string[]][] {
    return this.#entries.map(([name, values]) => [name, [...values]]);
  }
}

class ThreadLogger implements Logger {
  readonly #line: Line<ThreadSide, WorkerSide>;
  readonly #bindings: Record<string, unknown>[];

  constructor(line: Line<ThreadSide, WorkerSide>, bindings: Record<string, unknown>[]) {
    this.#line = line;
    this.#bindings = bindings;
  }

  debug(first: string | object, message?: string): void {
    this.#write("debug", first, message);
  }

  info(first: string | object, message?: string): void {
    this.#write("info", first, message);
  }

  warn(first: string | object, message?: string): void {
    this.#write("warn", first, message);
  }

  error(first: string | object, message?: string): void {
    this.#write("error", first, message);
  }

  child(fields: Record<string, unknown>): Logger {
    return new ThreadLogger(this.#line, [...this.#bindings, cloneable(fields)]);
  }

  #write(level: LogLevel, first: string | object, message: string | undefined): void {
    const fields = typeof first === "string" ? undefined : cloneable(first);
    this.#line.send("log", level, this.#bindings, fields, typeof first === "string" ? first : message);
  }
}

async function issuesOf(schema: Schema, body: unknown, isolate: "thread" | undefined): Promise<Issues> {
  const result = await schema["~standard"].validate(body);
  if (result.issues === undefined && isolate !== undefined) checkCrossing(result.value);
  return result.issues?.map(({ message, path = [] }) => ({
    message,
    path: path.map((part) => String(typeof part === "object" ? part.key : part)),
  }));
}

/** Fields as they can cross: errors as structured clone knows them, and as text what it does not take. */
function cloneable(fields: object): Record<string, unknown> {
  if (isError(fields)) return { err: fields };
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, copied(value)]));
}

function copied(value: unknown): unknown {
  try {
    return structuredClone<unknown>(value);
  } catch {
    return inspect(value);
  }
}
