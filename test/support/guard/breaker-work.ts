/** The actor of the breaker tests: calls a dependency that is down while a file exists, and writes every call down. */
import { existsSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Actor, config } from "godwit";
import type { ActorSystem, Context, MessageRef, Worker } from "godwit";
import type { Entry, Journal } from "../faults/journal.ts";
import type { WorkerSetup } from "../faults/work.ts";

export interface BreakerSetup extends Partial<WorkerSetup> {
  /** The dependency fails while this file is there. */
  downFile: string;
  volume?: number;
  resetAfterMs: number;
  /** Between attempts. Default 100. */
  retryAfterMs?: number;
  /** How long a call takes. */
  callMs?: number;
  /** Its process is killed by its first probe. */
  dieInProbe?: boolean;
  /** Asks the breaker inside the handler, and has none in the config. */
  inside?: boolean;
  withFallback?: boolean;
}

export const breakerWork = "guard.breaker";

/** Starts a worker of the actor in this process. `call` in the journal is the start of a call, `ok` and `failed` its end. */
export async function startBreakerWork(system: ActorSystem, setup: BreakerSetup, journal: Journal): Promise<Worker> {
  const { downFile, resetAfterMs, callMs = 20 } = setup;
  const settings = { errorThreshold: 0.5, volume: setup.volume ?? 5, window: "10s", resetAfter: resetAfterMs } as const;
  const write = (what: string, ref: Partial<MessageRef>, more: Partial<Entry> = {}): void => {
    const { id = "", attempt = 0, deliveries = 0 } = ref;
    const worker = setup.worker ?? "worker";
    journal.write({ what, at: Date.now(), pid: process.pid, worker, id, attempt, deliveries, ...more });
  };

  let probing = false;

  async function dependency(ctx: Context): Promise<void> {
    write("call", ctx);
    const down = existsSync(downFile);
    if (probing && setup.dieInProbe === true) process.kill(process.pid, "SIGKILL");
    await wait(callMs);
    write(down ? "failed" : "ok", ctx);
    if (down) throw new Error("the dependency is down");
  }

  class Work extends Actor<unknown, unknown> {
    static override readonly config = config({
      name: breakerWork,
      concurrency: setup.concurrency ?? 10,
      ackWait: setup.ackWaitMs ?? 5_000,
      retry: { attempts: setup.attempts ?? 2, base: setup.retryAfterMs ?? 100, backoff: "fixed", jitter: "none" },
      ...(setup.inside !== true && {
        breaker: {
          name: "api",
          ...settings,
          ...(setup.withFallback === true && { fallback: (_input: unknown, ctx: Context) => write("fallback", ctx) }),
        },
      }),
    });

    override async receive(_input: unknown, ctx: Context): Promise<void> {
      write("run", ctx);
      if (setup.inside === true) await ctx.breaker("api", settings).fire(() => dependency(ctx));
      else await dependency(ctx);
    }
  }

  const worker = await system.work([Work]);
  worker.on("completed", (e) => write("completed", e));
  worker.on("deferred", (e) => write("deferred", e, { reason: e.reason }));
  worker.on("retry", (e) => write("retry", e, { error: e.error.message }));
  worker.on("dead", (e) => write("dead", e, { reason: e.reason, error: e.error.message }));
  worker.on("lost", (e) => write("lost", e, { reason: e.reason }));
  worker.on("problem", (e) => write("problem", {}, { error: e.error.message }));
  worker.on("breaker", (e) => {
    probing = e.state === "half-open";
    write("breaker", {}, { reason: `${e.state}${e.shared ? "" : ", alone"}` });
  });
  return worker;
}
