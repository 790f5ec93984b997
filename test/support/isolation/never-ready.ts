/** An actor in threads, whose start() or stop() there never ends. */
import { isMainThread } from "node:worker_threads";
import { Actor, config } from "../../../src/index.ts";

const never = (): Promise<void> => new Promise(() => undefined);

export class NeverReady extends Actor {
  static override readonly config = config({
    name: "iso.never-ready",
    isolate: "thread",
    module: import.meta.url,
    concurrency: 1,
  });
  override async start(): Promise<void> {
    if (!isMainThread) await never();
  }
  override receive(): void {}
}

export class NeverStops extends Actor {
  static override readonly config = config({
    name: "iso.never-stops",
    isolate: "thread",
    module: import.meta.url,
    concurrency: 1,
  });
  override stop(): Promise<void> {
    return isMainThread ? Promise.resolve() : never();
  }
  override receive(): void {}
}
