/**
 * Roster: the workers of a system. Of those that have stopped only what they did is kept, added up, so that counts never go back and a service
 * that starts and stops workers for ever does not grow.
 */
import type { Worker } from "../worker/worker.ts";
import type { WorkerFacts } from "./samples.ts";
import { totalsOf } from "./totals.ts";

/** What it reads of a worker. */
export interface RosterWorker extends Pick<Worker, "state"> {
  readonly identity: Pick<Worker["identity"], "id" | "version">;
  readonly stats: Pick<Worker["stats"], "healthy" | "blocked">;
  perActor(): WorkerFacts["perActor"];
}

export class Roster<W extends RosterWorker = Worker> {
  readonly #workers = new Set<W>();
  #past: WorkerFacts | undefined;

  /** Those that have not stopped. */
  get workers(): ReadonlySet<W> {
    return this.#workers;
  }

  add(worker: W): void {
    this.#workers.add(worker);
  }

  /** It has stopped. */
  retire(worker: W): void {
    if (!this.#workers.delete(worker)) return;
    const last = factsOf(worker);
    const before = this.#past;
    this.#past = {
      ...last,
      state: "stopped",
      blocked: Math.max(last.blocked, before?.blocked ?? 0),
      perActor: Object.fromEntries(totalsOf([...(before === undefined ? [] : [before.perActor]), last.perActor])),
    };
  }

  /** Of each worker that there is, and of all that have stopped together. */
  facts(): WorkerFacts[] {
    const now = [...this.#workers].map(factsOf);
    return this.#past === undefined ? now : [...now, this.#past];
  }
}

function factsOf(worker: RosterWorker): WorkerFacts {
  const { identity, state, stats } = worker;
  const { id, version } = identity;
  return { id, version, state, healthy: stats.healthy, blocked: stats.blocked, perActor: worker.perActor() };
}
