/** What a worker is given: its options, from whoever starts it, and what it needs of its system. */
import * as z from "zod";
import type { Sender } from "../actor/context.ts";
import type { Acknowledger } from "../broker/acknowledger.ts";
import type { Bucket } from "../broker/bucket.ts";
import type { Bus } from "../broker/bus.ts";
import type { Connection } from "../broker/connection.ts";
import type { Payloads } from "../broker/payloads.ts";
import type { ServerClock } from "../broker/server-clock.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Provision } from "../broker/topology.ts";
import type { GuardRegistry } from "../guard/registry.ts";
import type { Duration } from "../kernel/duration.ts";
import type { Logger } from "../kernel/logger.ts";
import { callable, durationMs } from "../kernel/options.ts";
import type { DeadLetters } from "../lifecycle/dead-letter.ts";
import type { RunsStore } from "../lifecycle/runs.ts";
import type { PayloadSettings } from "../message/limits.ts";
import type { Names } from "../message/subjects.ts";
import type { Results } from "../result/results.ts";
import type { Middleware } from "./executor.ts";
import type { RunTracer } from "./run-tracer.ts";
import type { Suspects } from "./suspects.ts";

export interface WorkOptions {
  /** Handlers that run at once in this worker, over all its actors. Default: the sum of the actors' own. */
  concurrency?: number;
  /** A standstill of the event loop that is reported as `blocked`. At least 50 ms. Default 500 ms. */
  blockedAfter?: Duration;
  /**
   * What pulls for an actor is begun anew once messages have waited for so long, handlers were free, and nothing came. Well above what a
   * delivery ordinarily takes; at least 100 ms. Default 10 s.
   */
  rebuildAfter?: Duration;
  /** How long each actor's `start()` may take. Default 5 min. */
  startTimeout?: Duration;
  /** Wraps every run, the first outermost: `(input, ctx, next) => next(input)`. */
  use?: readonly Middleware[];
}

export const workOptions = z.strictObject({
  concurrency: z.int({ message: "must be a whole number" }).min(1, "must be at least 1").optional(),
  blockedAfter: durationMs(50).default(500),
  rebuildAfter: durationMs(100).default(10_000),
  startTimeout: durationMs(1).default(300_000),
  use: z.array(callable<Middleware>()).default([]),
});

/** What a worker needs of its system. */
export interface WorkerServices {
  names: Names;
  connection: Connection;
  acknowledger: Acknowledger;
  bus: Bus;
  /** Where workers make themselves known. */
  workers: Bucket;
  /** Of the supervisor that runs this process, where there is one. */
  group: string | undefined;
  reader: Pick<StreamReader, "consumer" | "holds" | "queued" | "subjects" | "last">;
  /** The shortest time within which `/healthz` is to tell of trouble; undefined while nobody is told. */
  healthWindowMs: () => number | undefined;
  sender: Sender;
  payloads: Payloads;
  /** Limits of bodies, unless an actor has its own. */
  payload: PayloadSettings;
  runs: RunsStore;
  results: Results;
  deadLetters: DeadLetters;
  provision: Provision;
  log: Logger;
  /** Keeps histograms of times and sizes. */
  timed: boolean;
  /** One for the process: a death takes all its workers. */
  suspects: Suspects;
  guards: GuardRegistry;
  /** By which it is decided what has expired. */
  clock: ServerClock;
  /** The worker has stopped, or could not start. */
  onStopped: () => void;
  /** Undefined where nobody traces. */
  tracer?: RunTracer | undefined;
}
