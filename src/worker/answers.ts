/** Answers: what workers say of themselves, checked by those who asked: anyone may publish. */
import * as z from "zod";
import { timeBoundsMs, type HistogramSnapshot } from "../kernel/histogram.ts";
import type { ActorSnapshot, WorkerFigures, WorkerIdentity, WorkerLease, WorkerSnapshot } from "./snapshot.ts";

/** What a worker knows of a message. */
export type InHand =
  /** It arrived, and its handler has not begun. `by`: the guard that it waits for. */
  | { phase: "held"; sinceMs: number; by?: string }
  /** Its handler runs, or its outcome is being carried out. `sinceMs`: for how long. */
  | { phase: "running" | "settling"; sinceMs: number; attempt: number }
  /** It was put back without an attempt. ISO times. */
  | { phase: "put-back"; reason: string; at: string; until: string };

export interface MessageAnswer {
  worker: Pick<WorkerIdentity, "id" | "host" | "pid">;
  actor: string;
  inHand: InHand;
}

const text = z.string();
const number = z.number();
const time = text.refine((value) => !Number.isNaN(Date.parse(value)));

/** An actor may be called `constructor`: what is looked up by name must not find what every object has. */
const byName = <T>(value: z.ZodType<T>) =>
  z.record(text, value).transform((found): Record<string, T> => Object.assign(Object.create(null) as object, found));

const identity = {
  v: z.literal(1),
  id: text,
  host: text,
  pid: number,
  version: text,
  node: text,
  startedAt: time,
  group: text.exactOptional(),
};

const figures: z.ZodType<WorkerFigures> = z.object({
  state: z.enum(["starting", "running", "draining"]),
  at: time,
  running: number,
  inHand: number,
  rssBytes: number,
  loopP99Ms: number,
});

/** Anyone may write a lease: none may keep a durable waiting for years. */
const declared = byName(z.object({ ackWaitMs: number.min(1).max(86_400_000), filters: z.array(text) }));

/**
 * What a worker leaves in the workers bucket. A version adds to it and takes nothing away: what this one does not know is left out, and where it
 * finds no figures, or none that it understands, it still knows who is there.
 */
export const leaseShape: z.ZodType<WorkerLease> = z
  .object({ ...identity, actors: z.array(text), figures: z.unknown().optional(), declared: z.unknown().optional() })
  .transform(({ figures: said, declared: told, ...rest }): WorkerLease => {
    const known = figures.safeParse(said).data;
    const goesBy = declared.safeParse(told).data;
    return {
      ...rest,
      ...(known !== undefined && { figures: known }),
      ...(goesBy !== undefined && { declared: goesBy }),
    };
  });

const histogram: z.ZodType<HistogramSnapshot> = z.object({
  buckets: z.array(z.tuple([z.int().min(0).max(timeBoundsMs.length), number])),
  sum: number,
});
const counts = byName(number);

/** What this version does not know is left out. */
const actor: z.ZodType<ActorSnapshot> = z.object({
  outcomes: z.object({
    completed: number,
    retry: number,
    deferred: number,
    interrupted: number,
    dead: number,
    lost: number,
  }),
  deferred: counts,
  dead: counts,
  lost: counts,
  stalls: number,
  overdue: number,
  abandoned: number,
  resultsLost: number,
  // Those of an older version do not tell it.
  rebuilt: number.default(0),
  handlerMs: histogram,
  queuedMs: histogram,
  bodyBytes: histogram,
  concurrency: number,
  running: number,
  inHand: number,
  ackWaitMs: number,
  hardLimitMs: number.exactOptional(),
  retryHorizonMs: number,
  breaker: text.exactOptional(),
  rateLimit: text.exactOptional(),
  concurrencyLimit: text.exactOptional(),
  concurrencyKeyed: z.literal(true).exactOptional(),
});

export const snapshotShape: z.ZodType<WorkerSnapshot> = z.object({
  ...identity,
  actors: z.array(text),
  state: z.enum(["running", "draining"]),
  at: time,
  ageMs: number,
  concurrency: number,
  running: number,
  memory: z.object({ rssBytes: number, heapUsedBytes: number, heapLimitBytes: number }),
  loop: z.object({ p50Ms: number, p99Ms: number, maxMs: number }),
  blocked: number,
  healthy: z.boolean(),
  unhealthyReasons: z.array(text),
  perActor: byName(actor),
});

/** Such a time ago is a time that a calendar has. */
const ago = number.min(0).max(8e15 / 2);

export const messageShape: z.ZodType<MessageAnswer[]> = z.array(
  z.object({
    worker: z.object({ id: text, host: text, pid: number }),
    actor: text,
    inHand: z.discriminatedUnion("phase", [
      z.object({ phase: z.literal("held"), sinceMs: ago, by: text.exactOptional() }),
      z.object({ phase: z.enum(["running", "settling"]), sinceMs: ago, attempt: number }),
      z.object({ phase: z.literal("put-back"), reason: text, at: time, until: time }),
    ]),
  }),
);
