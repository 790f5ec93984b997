/** Serves the context of a run to a thread: what its handler calls there is done here. */
import { Actor } from "../../actor/actor.ts";
import type { ActorClass } from "../../actor/actor-class.ts";
import type { ActorConfig } from "../../actor/config.ts";
import type { Context } from "../../actor/context.ts";
import type { Line } from "./line.ts";
import type { RunFacts, Target, ThreadSide, WorkerSide } from "./protocol.ts";

export function factsOf({ id, actor, attempt, deliveries, headers, storedAtMs }: Context): RunFacts {
  return { id, actor, attempt, deliveries, headers: headers.entries(), storedAtMs };
}

/** @param begun is called when the handler begins. */
export function serveContext(ctx: Context, line: () => Line<WorkerSide, ThreadSide>, begun: () => void): WorkerSide {
  const invoke = (fn: number) => (): Promise<unknown> => line().call("invoke", fn);
  return {
    begun,
    progress: (value) => ctx.progress(value),
    log(level, bindings, fields, message) {
      const log = bindings.reduce((parent, more) => parent.child(more), ctx.log);
      if (fields === undefined) log[level](message ?? "");
      else log[level](fields, message);
    },
    tell: ({ name, config }, body, options) =>
      config === undefined ? ctx.tell(name, body, options) : ctx.tell(standIn(name, config), body, options),
    publish: (subject, body, options) => ctx.publish(subject, body, options),
    once: (key, fn, options) => ctx.once(key, invoke(fn), options),
    breaker: (name, settings) => ctx.breaker(name, settings).open,
    async fire(name, settings, fn, fallback) {
      const handle = ctx.breaker(name, settings);
      await (fallback === undefined ? handle.fire(invoke(fn)) : handle.fire(invoke(fn), invoke(fallback)));
    },
    rateLimit: (name) => void ctx.rateLimit(name),
    penalize: (name, delay) => ctx.rateLimit(name).penalize(delay),
  };
}

const standIns = new Map<string, ActorClass>();

/** A class with that name and what senders use of a config: the thread's own class cannot cross. */
function standIn(name: string, config: NonNullable<Target["config"]>): ActorClass {
  const key = JSON.stringify([name, config]);
  let known = standIns.get(key);
  if (known === undefined) {
    const { lane, codec, expiresIn, resultTtl } = config;
    const given = {
      name,
      lane: lane as NonNullable<ActorConfig["lane"]>,
      ...(codec !== undefined && { codec: codec as NonNullable<ActorConfig["codec"]> }),
      ...(expiresIn !== undefined && { expiresIn }),
      ...(resultTtl !== undefined && { result: { ttl: resultTtl } }),
    };
    known = class extends Actor {
      static override readonly config = given;
      override receive(): void {}
    };
    standIns.set(key, known);
  }
  return known;
}
