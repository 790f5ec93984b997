/**
 * Protocol: what a supervisor and its worker processes say to each other over the channel between them. A deploy puts newer workers
 * under a supervisor that goes on, so each side takes what it does not know for nothing.
 */
import * as z from "zod";

const sample = z.object({
  metricName: z.string().exactOptional(),
  labels: z.record(z.string(), z.union([z.string(), z.number()])),
  value: z.number(),
});
const metric = z.object({
  name: z.string(),
  help: z.string(),
  type: z.string(),
  aggregator: z.enum(["sum", "max", "min"]),
  values: z.array(sample),
});

const actorLoad = z.object({
  concurrency: z.number(),
  running: z.number(),
  handled: z.number(),
  handledMs: z.number(),
  deferred: z.number(),
  guarded: z.boolean(),
  durables: z.array(z.object({ stream: z.string(), durable: z.string() })),
});

const fromWorker = z.discriminatedUnion("say", [
  /** Its actors have started, and it pulls. */
  z.object({ say: z.literal("ready"), actors: z.array(z.string()) }),
  /** A few times a second. */
  z.object({
    say: z.literal("report"),
    load: z.object({
      pid: z.number(),
      ceiling: z.number(),
      cpuMs: z.number(),
      rssBytes: z.number(),
      actors: z.record(z.string(), actorLoad),
    }),
    /** Why the process should be replaced, one sentence each. */
    unhealthyReasons: z.array(z.string()),
  }),
  /** The answer to a `look`, and the last word before it ends (without an id). */
  z.object({ say: z.literal("metrics"), id: z.number().optional(), metrics: z.array(metric) }),
]);

export type FromWorker = z.output<typeof fromWorker>;
export type Report = Extract<FromWorker, { say: "report" }>;

const toWorker = z.discriminatedUnion("say", [
  /** Why it is about to be asked to end, in its user's words. */
  z.object({ say: z.literal("stop"), why: z.string() }),
  /** Tell your metrics. */
  z.object({ say: z.literal("look"), id: z.number() }),
]);

export type ToWorker = z.output<typeof toWorker>;

/** Undefined for what is none: code of an actor can send to the channel too. */
export function readFromWorker(message: unknown): FromWorker | undefined {
  return fromWorker.safeParse(message).data;
}

/** Undefined for what is none. */
export function readToWorker(message: unknown): ToWorker | undefined {
  return toWorker.safeParse(message).data;
}
