/**
 * Health watch: looks at the workers of this process from time to time, whether what waits for them arrives.
 * 1. Whatever has arrived, or is restrained for a reason, needs no question: the server is asked only of a durable that has been silent.
 * 2. One round of questions at a time, all at once: one after the other, hundreds of durables or one silent stream would make a round so long
 *    that it looks as if the process had stood still.
 */
import type { Connection } from "../broker/connection.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { monotonicMs } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import type { IntakeLook } from "../worker/intake.ts";
import type { Worker } from "../worker/worker.ts";
import { health, judge, look, type HealthReport, type Sighting, type Verdict, type Watched } from "./health.ts";

/** What it sees of a worker. */
export interface WatchedWorker {
  readonly identity: Pick<Worker["identity"], "id">;
  readonly state: Worker["state"];
  readonly stats: Pick<Worker["stats"], "unhealthyReasons">;
  /** By actor. */
  looks(): ReadonlyMap<string, WatchedActor>;
}

interface WatchedActor extends Pick<IntakeLook, "restraint"> {
  readonly durables: readonly Durable[];
}

interface Durable {
  readonly stream: string;
  readonly spec: { readonly durable_name: string };
  /** Messages that have come through it, ever. */
  readonly arrived: number;
}

export interface HealthWatchOptions {
  /** For so long nothing may arrive of what waits. */
  windowMs: number;
  workers: () => Iterable<WatchedWorker>;
  reader: Pick<StreamReader, "consumer">;
  connection: Pick<Connection, "up">;
}

const looksPerWindow = 4;

export class HealthWatch {
  readonly #options: HealthWatchOptions;
  readonly #everyMs: number;
  /** By worker, actor, and place among its durables; `arrived`: how many messages had come by then. */
  #seen = new Map<string, Watched & { arrived: number }>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(options: HealthWatchOptions) {
    this.#options = options;
    this.#everyMs = options.windowMs / looksPerWindow;
  }

  start(): void {
    const begin = (): void => {
      this.#looking ??= this.#lookAround().finally(() => (this.#looking = undefined));
    };
    begin();
    this.#timer ??= setInterval(begin, this.#everyMs).unref();
  }

  /** Resolves once nothing is asked any more. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  report(): HealthReport {
    const { windowMs, connection } = this.#options;
    const actors = new Map<string, Verdict>();
    const reasons: string[] = [];
    for (const worker of this.#running()) {
      reasons.push(...worker.stats.unhealthyReasons);
      for (const [actor, { durables }] of worker.looks()) {
        const watched = durables.flatMap((_, at) => this.#seen.get(placeOf(worker, actor, at)) ?? []);
        const verdict = judge(watched, windowMs);
        // Of several workers with the actor in one process the worst is told.
        if (actors.get(actor)?.healthy !== false) actors.set(actor, verdict);
      }
    }
    return health(actors, reasons, connection.up);
  }

  #running(): WatchedWorker[] {
    return [...this.#options.workers()].filter(({ state }) => state === "running");
  }

  async #lookAround(): Promise<void> {
    const before = this.#seen;
    const seen: typeof before = new Map();
    const lookAt = async (worker: WatchedWorker, actor: string, at: number, { restraint, durables }: WatchedActor) => {
      const durable = durables[at] as Durable;
      const place = placeOf(worker, actor, at);
      const last = before.get(place);
      const arrived = (): number => worker.looks().get(actor)?.durables[at]?.arrived ?? 0;
      const sighting = await this.#look(durable, restraint, last?.arrived, arrived);
      const which = { stream: durable.stream, durable: durable.spec.durable_name };
      const watched = look(last, which, sighting, monotonicMs(), 2.5 * this.#everyMs);
      seen.set(place, { ...watched, arrived: arrived() });
    };
    await Promise.all(
      this.#running().flatMap((worker) =>
        [...worker.looks()].flatMap(([actor, own]) => own.durables.map((_, at) => lookAt(worker, actor, at, own))),
      ),
    );
    this.#seen = seen;
  }

  async #look(
    { stream, spec, arrived }: Durable,
    restraint: IntakeLook["restraint"],
    lastArrived: number | undefined,
    arrivedNow: () => number,
  ): Promise<Sighting> {
    const { reader, connection } = this.#options;
    if (arrived > (lastArrived ?? 0)) return { kind: "arrived" };
    if (restraint !== undefined) return { kind: restraint };
    if (!connection.up) return { kind: "unknown", why: "there is no connection to the server" };
    try {
      const state = await reader.consumer(stream, spec.durable_name);
      if (state === undefined) return { kind: "gone" };
      if (state.pausedUntilMs !== undefined) return { kind: "paused", untilMs: state.pausedUntilMs };
      if (state.pending === 0) return { kind: "empty" };
      return arrivedNow() > arrived ? { kind: "arrived" } : { kind: "pending", messages: state.pending };
    } catch (thrown) {
      return { kind: "unknown", why: toError(thrown).message };
    }
  }
}

function placeOf({ identity }: WatchedWorker, actor: string, at: number): string {
  return `${identity.id} ${actor} ${at}`;
}
