/** The actor of the fault tests: does what each message says, and writes down that it ran. */
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { Actor, config, Snooze, Terminal } from "godwit";
import type { ActorSystem, Context, MessageRef, SystemOptions, Worker } from "godwit";
import type { Entry, Journal } from "./journal.ts";

/**
 * What a message asks of its handler. `work`: take `ms`. `block`: after `afterMs`, take `ms` of the event loop. `kill`: after `ms`, SIGKILL the own worker.
 * `obey`: take `ms` unless the signal aborts. `fail`, `terminal`, `snooze`: take `ms`, then throw an error, Terminal, a Snooze of `ms`.
 * Each error of `fail` has another message.
 */
export interface Step {
  do: "work" | "block" | "kill" | "obey" | "fail" | "terminal" | "snooze";
  ms?: number;
  /** Default 20. */
  afterMs?: number;
  /** First notes an `effect` under this key of `ctx.once`. */
  once?: string;
  /** SIGKILLs the own worker in the function of `once`. */
  dieInOnce?: boolean;
}

export interface Job extends Step {
  /** What it asks of certain workers instead. */
  at?: Record<string, Step>;
  /** What a concurrency limit counts it under. */
  key?: string;
}

export interface WorkerSetup {
  servers: string | readonly string[];
  durability: NonNullable<SystemOptions["durability"]>;
  namespace: string;
  /** A name for it in the journal. */
  worker: string;
  ackWaitMs: number;
  concurrency: number;
  attempts?: number;
  stalls?: number;
  resultTtlMs?: number;
  /** What onDead does: end the process as `kill -9` would, or never return. */
  onDead?: "kill" | "hang";
  graceMs?: number;
  /** No handler takes longer. */
  atMostMs?: number;
  /** Handlers at once, of each key or in all, over the fleet. */
  concurrencyLimit?: { limit: number; keyed: boolean };
}

export const workName = "faults.work";

/** Starts a worker of the actor in this process, and writes its events down. */
export async function startWork(system: ActorSystem, setup: WorkerSetup, journal: Journal): Promise<Worker> {
  const entry = (
    what: string,
    { id, attempt, deliveries }: Pick<MessageRef, "id" | "attempt" | "deliveries">,
  ): Entry => ({
    what,
    at: Date.now(),
    pid: process.pid,
    worker: setup.worker,
    id,
    attempt,
    deliveries,
    ns: Number(process.hrtime.bigint()),
  });

  const { concurrencyLimit: limit } = setup;

  class Work extends Actor<Job, unknown> {
    static override readonly config = config({
      name: workName,
      concurrency: setup.concurrency,
      ackWait: setup.ackWaitMs,
      stalls: setup.stalls ?? 3,
      retry: { attempts: setup.attempts ?? 5, base: 100, max: 1_000, jitter: "none", backoff: "fixed" },
      ...(limit !== undefined && {
        concurrencyLimit: {
          name: "faults.limit",
          limit: limit.limit,
          ...(limit.keyed && { key: (job: Job) => job.key ?? "" }),
        },
      }),
      ...(setup.resultTtlMs !== undefined && { result: { ttl: setup.resultTtlMs } }),
    });

    override async receive(job: Job, ctx: Context): Promise<unknown> {
      journal.write({ ...entry("run", ctx), ...(job.key !== undefined && { key: job.key }) });
      const step = job.at?.[setup.worker] ?? job;
      if (step.once !== undefined) {
        await ctx.once(step.once, async () => {
          journal.write(entry("effect", ctx));
          if (step.dieInOnce === true) await killOwnProcess();
        });
      }
      const ms = Math.min(step.ms ?? 0, setup.atMostMs ?? Infinity);
      await perform({ ...step, ms }, ctx, () => journal.write(entry("blocks", ctx)));
      journal.write(entry(ctx.signal.aborted ? "aborted" : "done", ctx));
      return { by: setup.worker };
    }

    override async onDead(_job: Job, error: Error): Promise<void> {
      journal.write({ ...entry("buried", { id: "", attempt: 0, deliveries: 0 }), error: error.message });
      if (setup.onDead === "kill") await killOwnProcess();
      if (setup.onDead === "hang") await new Promise(() => undefined);
    }
  }

  const worker = await system.work([Work]);
  worker.on("completed", (e) => journal.write(entry("completed", e)));
  worker.on("interrupted", (e) => journal.write(entry("interrupted", e)));
  worker.on("deferred", (e) => journal.write({ ...entry("deferred", e), reason: e.reason }));
  worker.on("lost", (e) => journal.write({ ...entry("lost", e), reason: e.reason }));
  worker.on("retry", (e) => journal.write({ ...entry("retry", e), error: e.error.message }));
  worker.on("dead", (e) => journal.write({ ...entry("dead", e), reason: e.reason, error: e.error.message }));
  worker.on("stalled", (e) => journal.write({ ...entry("stalled", e), stalls: e.stalls }));
  worker.on("resultLost", (e) => journal.write({ ...entry("resultLost", e), error: e.error.message }));
  worker.on("blocked", (e) =>
    journal.write({
      ...entry("blocked", { id: "", attempt: 0, deliveries: 0 }),
      reason: e.actors.join(),
    }),
  );
  worker.on("problem", (e) =>
    journal.write({ ...entry("problem", { id: "", attempt: 0, deliveries: 0 }), error: e.error.message }),
  );
  return worker;
}

async function perform(
  { do: what, ms, afterMs = 20 }: Step & { ms: number },
  ctx: Context,
  blocks: () => void,
): Promise<void> {
  switch (what) {
    case "work":
      if (ms > 0) await wait(ms);
      return;
    case "obey":
      await wait(ms, undefined, { signal: ctx.signal }).catch(() => undefined);
      return;
    case "block":
      // In the timers' part of the loop's turn, where other timers come before the socket.
      await wait(afterMs);
      blocks();
      for (const endMs = performance.now() + ms; performance.now() < endMs;);
      return;
    case "kill":
      await wait(ms);
      return killOwnProcess();
    case "snooze":
      await wait(ms);
      throw new Snooze(ms);
    case "fail":
      await wait(ms);
      throw new Error(`as the message asked: ${randomUUID()}`);
    case "terminal":
      await wait(ms);
      throw new Terminal("as the message asked");
  }
}

function killOwnProcess(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
}
