/**
 * Suspects: messages whose earlier run died with its worker. At most one of them runs in a worker at a time, so that the next death
 * has one culprit and those that were merely beside it are cleared.
 */
import type { Run } from "./run.ts";

export class Suspects {
  #running: Run | undefined;

  /** False where another suspect is running; one that is no suspect always may. */
  enter(run: Run): boolean {
    if (run.history.stalls === 0) return true;
    if (this.#running !== undefined && this.#running !== run) return false;
    this.#running = run;
    return true;
  }

  leave(run: Run): void {
    if (this.#running === run) this.#running = undefined;
  }
}
