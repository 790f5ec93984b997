/** Actors that run in threads: found there by their names, in this module. */
import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { isMainThread, parentPort, threadId } from "node:worker_threads";
import * as z from "zod";
import { Actor, config, ConfigError, RetryAfter, Snooze, Terminal, type Context } from "../../../src/index.ts";

/** What a message asks of its handler. */
export type Job =
  | { do: "answer"; value?: unknown }
  | { do: "spin" }
  | { do: "spin-for"; ms: number }
  | { do: "wait"; ms: number }
  | { do: "obey" }
  | { do: "obey-stop" }
  | { do: "exit"; code: number }
  | { do: "throw-later" }
  | { do: "post"; message: unknown }
  | { do: "answer-function" }
  | { do: "once-function" }
  | { do: "throw"; what: "error" | "terminal" | "retry-after" | "snooze" | "config" | "string" };

const module = import.meta.url;
const base = { isolate: "thread", module } as const;
const retry = { attempts: 2, base: 10, max: 10, jitter: "none" } as const;

export class CardDeclined extends Error {
  readonly code = "CARD_DECLINED";
  readonly card = { last: "4242" };
}

async function perform(job: Job, ctx: Context): Promise<unknown> {
  switch (job.do) {
    case "answer":
      return { value: job.value, thread: threadId, main: isMainThread };
    case "spin":
      for (;;);
    case "spin-for":
      for (const endMs = performance.now() + job.ms; performance.now() < endMs;);
      return { thread: threadId };
    case "wait":
      await wait(job.ms);
      return { thread: threadId };
    case "obey":
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
      return { reason: String(ctx.signal.reason) };
    case "obey-stop":
      if (ctx.deliveries > 1) return { again: ctx.deliveries };
      ctx.progress("begun");
      await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve, { once: true }));
      return ctx.progress(String(ctx.signal.reason));
    case "exit":
      return process.exit(job.code);
    case "post":
      parentPort?.postMessage(job.message);
      await wait(50);
      return { posted: true };
    case "throw-later":
      setTimeout(() => {
        throw new Error("nobody caught this");
      }, 1);
      return new Promise(() => undefined);
    case "answer-function":
      return { f: () => 1 };
    case "once-function":
      return ctx.once("effect", () => {
        ctx.progress("effect");
        return { f: () => 1 };
      });
    case "throw":
      throw thrown(job.what);
  }
}

function thrown(what: (Job & { do: "throw" })["what"]): unknown {
  const cause = new RangeError("the deeper reason");
  switch (what) {
    case "error":
      return new CardDeclined("no funds", { cause });
    case "terminal":
      return new Terminal("never", { cause });
    case "retry-after":
      return new RetryAfter(40, "not so fast");
    case "snooze":
      return new Snooze(30);
    case "config":
      return new ConfigError("as it is");
    case "string":
      return "only text";
  }
}

export class Hard extends Actor<Job, unknown> {
  static override readonly config = config({
    ...base,
    name: "iso.hard",
    concurrency: 2,
    timeLimit: { hard: 1_500 },
    retry: { attempts: 1 },
  });
  override receive(job: Job, ctx: Context): Promise<unknown> {
    return perform(job, ctx);
  }
}

export class Soft extends Actor<Job, unknown> {
  static override readonly config = config({
    ...base,
    name: "iso.soft",
    concurrency: 1,
    timeLimit: { soft: 200, hard: "1m" },
  });
  override receive(job: Job, ctx: Context): Promise<unknown> {
    return perform(job, ctx);
  }
}

export class Plain extends Actor<Job, unknown> {
  static override readonly config = config({ ...base, name: "iso.plain", concurrency: 1, ackWait: 1_000, retry });
  override receive(job: Job, ctx: Context): Promise<unknown> {
    return perform(job, ctx);
  }
}

/** Where Counting says that it stops, and in which thread. */
export const stopsChannel = "godwit-test-stops";

/** Knows how often it was started in its thread, and whether runs overlap there. */
export class Counting extends Actor<unknown, unknown> {
  static override readonly config = config({ ...base, name: "iso.counting", concurrency: 2 });
  #started = 0;
  #runs = 0;
  #running = 0;
  #overlaps = 0;

  override async start(): Promise<void> {
    this.#started += 1;
  }

  override async receive(): Promise<unknown> {
    this.#runs += 1;
    this.#running += 1;
    if (this.#running > 1) this.#overlaps += 1;
    await wait(20);
    this.#running -= 1;
    return { thread: threadId, started: this.#started, runs: this.#runs, overlaps: this.#overlaps };
  }

  override async stop(): Promise<void> {
    await wait(20);
    const channel = new BroadcastChannel(stopsChannel);
    channel.postMessage(threadId);
    channel.close();
  }
}

export const Shape = z.object({ n: z.number(), at: z.date().default(new Date(0)) });

/** Refuses to retry what only its class tells. */
export class Choosy extends Actor<Job, unknown> {
  static override readonly config = config({
    ...base,
    name: "iso.choosy",
    concurrency: 1,
    retry: { ...retry, when: (error) => !(error instanceof CardDeclined) },
  });
  override receive(job: Job, ctx: Context): Promise<unknown> {
    return perform(job, ctx);
  }
}

/** Called with what its schema gives. */
export class Shaped extends Actor<z.output<typeof Shape>, unknown> {
  static override readonly config = config({ ...base, name: "iso.shaped", concurrency: 1, input: Shape });
  override async receive(input: z.output<typeof Shape>): Promise<unknown> {
    return { isDate: input.at instanceof Date, n: input.n };
  }
}

export class NoModule extends Actor {
  static override readonly config = config({ name: "iso.no-module", isolate: "thread" });
  override receive(): void {}
}

class Hidden extends Actor {
  static override readonly config = config({ ...base, name: "iso.hidden", concurrency: 1 });
  override receive(): void {}
}
/** Not the class itself, which the thread looks for. */
export const hidden = (): Actor => new Hidden();

export class Demanding extends Actor {
  static override readonly config = config({ ...base, name: "iso.demanding", concurrency: 1 });
  readonly #api: object;
  constructor(api: object) {
    super();
    this.#api = api;
  }
  override receive(): void {
    void this.#api;
  }
}

export class BadStart extends Actor {
  static override readonly config = config({ ...base, name: "iso.bad-start", concurrency: 1 });
  override async start(): Promise<void> {
    throw new Error("no licence");
  }
  override receive(): void {}
}

/** The environment variable with the file that says how Moody starts: "throw" or well. */
export const moodVariable = "GODWIT_TEST_MOOD";

export class Moody extends Actor<Job, unknown> {
  static override readonly config = config({ ...base, name: "iso.moody", concurrency: 1, retry: { attempts: 1 } });
  override async start(): Promise<void> {
    const mood = readFileSync(process.env[moodVariable] ?? "", "utf8");
    if (mood === "throw") throw new Error("db down");
  }
  override receive(job: Job, ctx: Context): Promise<unknown> {
    return perform(job, ctx);
  }
}

/** Compensates with what start() made. */
export class Compensating extends Actor {
  static override readonly config = config({ ...base, name: "iso.compensating", concurrency: 1 });
  static readonly compensations: unknown[] = [];
  #api: { undo(what: unknown): void } | undefined;
  override async start(): Promise<void> {
    this.#api = { undo: (what) => void Compensating.compensations.push(what) };
  }
  override receive(): void {
    throw new Terminal("as always");
  }
  override async onDead(input: unknown, error: Error): Promise<void> {
    this.#api?.undo({ input, main: isMainThread, error: error.name });
  }
}
