/** An actor that uses all of its context, in a thread and without one. */
import { isMainThread } from "node:worker_threads";
import * as z from "zod";
import { Actor, config, event, type Context } from "../../../src/index.ts";

export const Child = z.object({ n: z.number() });
export const Happened = event("iso.happened", Child);

/** Its senders use what its config says. */
export class ChildActor extends Actor<z.output<typeof Child>> {
  static override readonly config = config({
    name: "iso.child",
    input: Child,
    lane: "low",
    expiresIn: "1h",
    codec: "json",
    result: { ttl: "1m" },
  });
  override receive(): void {}
}

async function useAll(_input: unknown, ctx: Context): Promise<object> {
  ctx.progress({ percent: 50 });
  ctx.log.info({ step: 1, odd: () => 1 }, "with fields");
  ctx.log.child({ part: "deep" }).warn("from a child");
  const refused = await ctx
    .tell(ChildActor, { n: "one" as never })
    .catch((error: unknown) => (error as { code: string }).code);
  const sent = [
    await ctx.tell("iso.child", { n: 1 }),
    await ctx.tell(ChildActor, { n: 2 }),
    await ctx.tell(ChildActor, { n: 3 }, { id: "given", lane: "high" }),
    await ctx.publish(Happened, { n: 4 }),
    await ctx.publish("iso.other", { n: 5 }),
  ];
  const { id, actor, attempt, deliveries, storedAtMs, ageMs, headers, signal } = ctx;
  return {
    isMainThread,
    sent,
    refused,
    facts: { id, actor, attempt, deliveries, storedAtMs, young: ageMs >= 0 && ageMs < 60_000, aborted: signal.aborted },
    header: headers.get("X-Tenant"),
    missing: headers.get("X-None") ?? "none",
    headers: headers.entries().filter(([name]) => name.startsWith("X-")),
  };
}

const name = "iso.everything";

export class InThread extends Actor<unknown, object> {
  static override readonly config = config({ name, isolate: "thread", module: import.meta.url, concurrency: 1 });
  override receive(input: unknown, ctx: Context): Promise<object> {
    return useAll(input, ctx);
  }
}

export class AtHome extends Actor<unknown, object> {
  static override readonly config = config({ name });
  override receive(input: unknown, ctx: Context): Promise<object> {
    return useAll(input, ctx);
  }
}

class Refused extends Error {}

/** Asks the guards. */
export class Guarded extends Actor<unknown, object> {
  static override readonly config = config({
    name: "iso.guarded",
    isolate: "thread",
    module: import.meta.url,
    concurrency: 1,
  });
  override async receive(_input: unknown, ctx: Context): Promise<object> {
    const breaker = ctx.breaker("api", { volume: 3 });
    const tried = await breaker
      .fire(() => {
        throw new Refused("by the API");
      })
      .catch((error: unknown) => error instanceof Refused);
    const uncloneable = await breaker.fire(() => ({ read: () => "read" }));
    let unknownLimit: unknown;
    try {
      ctx.rateLimit("nobody's");
    } catch (error) {
      unknownLimit = (error as { code: unknown }).code;
    }
    await ctx.rateLimit("api").penalize("30s");
    const shut = ctx.breaker("shut");
    let runs = 0;
    const count = async (): Promise<number> => (runs += 1);
    return {
      open: breaker.open,
      shutIsOpen: shut.open,
      fallback: await shut.fire(
        () => "never",
        () => "instead",
      ),
      refused: await shut.fire(() => "never").catch((error: Error) => error.message),
      tried,
      read: uncloneable.read(),
      unknownLimit,
      once: [await ctx.once("k", count), await ctx.once("k", count), runs],
    };
  }
}
