/** An actor in a thread that sends, for traces. */
import { Actor, config, type Context } from "../../../src/index.ts";

export class InThread extends Actor {
  static override readonly config = config({
    name: "trace.thread",
    isolate: "thread",
    module: import.meta.url,
    concurrency: 1,
  });
  override async receive(_input: unknown, ctx: Context): Promise<void> {
    ctx.log.info("in its thread");
    await ctx.tell("trace.leaf", {});
  }
}
