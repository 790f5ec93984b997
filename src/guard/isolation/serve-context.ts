/** Serves the context of a run to a thread: what its handler calls there is done here. */
import { Actor } from "../../actor/actor.ts";
import type { ActorClass } from "../../actor/actor-class.ts";
import type { ActorConfig } from "../../actor/config.ts";
import type { Context } from "../../actor/context.ts";
import type { PayloadConfig } from "../../actor/payload-config.ts";
import type { Schema } from "../../actor/schema.ts";
import { contentTypes } from "../../message/codec.ts";
import type { Line } from "./line.ts";
import type { Issues, OnceGiven, RunFacts, TargetConfig, ThreadSide, WorkerSide } from "./protocol.ts";
import { readError } from "./wire-error.ts";

/** Stands for a value that cannot leave its thread: it cannot be encoded either, and for the same reason. */
export function unsendable(why: Error): object {
  const thrower = (): never => {
    throw why;
  };
  return Object.defineProperty({}, "value", { enumerable: true, get: thrower });
}

export function factsOf({ id, actor, attempt, deliveries, headers, storedAtMs, ageMs }: Context): RunFacts {
  return { id, actor, attempt, deliveries, headers: headers.entries(), storedAtMs, ageMs };
}

/** @param begun is called when the handler begins. */
export function serveContext(ctx: Context, line: () => Line<WorkerSide, ThreadSide>, begun: () => void): WorkerSide {
  const invoke = (fn: number) => (): Promise<unknown> => line().call("invoke", fn);
  /** A schema that has the thread's own one asked. */
  const askedBy = (check: number | undefined): Schema | undefined => {
    if (check === undefined) return undefined;
    const validate = async (value: unknown) => {
      const issues = (await line().call("invoke", check, value)) as Issues;
      return issues === undefined ? { value } : { issues };
    };
    return { "~standard": { version: 1, vendor: "godwit", validate } };
  };
  return {
    begun,
    progress: (value) => ctx.progress(value),
    log(level, bindings, fields, message) {
      const log = bindings.reduce((parent, more) => parent.child(more), ctx.log);
      if (fields === undefined) log[level](message ?? "");
      else log[level](fields, message);
    },
    tell: (target, body, options, check) =>
      typeof target === "string"
        ? ctx.tell(target, body, options)
        : ctx.tell(standIn(target, askedBy(check)), body, options),
    publish: (subject, body, options, check) => ctx.publish({ subject, schema: askedBy(check) }, body, options),
    async once(key, fn, options) {
      const made = async (): Promise<unknown> => {
        const given = (await invoke(fn)()) as OnceGiven;
        return "refused" in given ? unsendable(readError(given.refused)) : given.value;
      };
      return ctx.once(key, made, options);
    },
    breaker: (name, settings) => ctx.breaker(name, settings).open,
    async fire(name, settings, fn, fallback) {
      const handle = ctx.breaker(name, settings);
      await (fallback === undefined ? handle.fire(invoke(fn)) : handle.fire(invoke(fn), invoke(fallback)));
    },
    rateLimit: (name) => void ctx.rateLimit(name),
    penalize: (name, delay) => ctx.rateLimit(name).penalize(delay),
  };
}

/** A class with what senders use of a config: the thread's own class cannot cross. */
function standIn(target: TargetConfig, input: Schema | undefined): ActorClass {
  const { name, lane, codec, accept, payload, expiresInMs, resultTtlMs } = target;
  return class extends Actor {
    static override readonly config: ActorConfig = {
      name,
      lane,
      payload: payload as PayloadConfig,
      ...(accept !== undefined && { accept: Array.from(accept, (one) => contentTypes[one]) }),
      ...(input !== undefined && { input }),
      ...(codec !== undefined && { codec }),
      ...(expiresInMs !== undefined && { expiresIn: expiresInMs }),
      ...(resultTtlMs !== undefined && { result: { ttl: resultTtlMs } }),
    };
    override receive(): void {}
  };
}
