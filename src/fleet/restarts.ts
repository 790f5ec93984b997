/**
 * Restarts of a group, one after the other: each replaces every process that began before it.
 * One whose first replacement does not start, or during which a new process ends soon after it, is given up: what runs goes on.
 */
import type { Logger } from "../kernel/logger.ts";
import type { Member } from "./member.ts";
import type { Seat } from "./seat.ts";

export interface Restarted {
  /** Processes that were replaced. */
  replaced: number;
  /** Why the rest was not; undefined where there is none. */
  failure?: string;
}

export interface RestartsOptions {
  /** Those of the group, as they are at the moment. */
  seats: readonly Seat[];
  log: Logger;
  /** One has begun: there are processes to be replaced. */
  onBegun: () => void;
}

export class Restarts {
  readonly #options: RestartsOptions;
  #generation = 0;
  #last: Promise<Restarted> = Promise.resolve({ replaced: 0 });
  /** Ends the one under way. */
  #end: ((how: Restarted) => void) | undefined;
  /** By the one under way. */
  #replaced = 0;
  #stopped = false;

  constructor(options: RestartsOptions) {
    this.#options = options;
  }

  /** That of a process that starts now: how many restarts have begun. */
  get generation(): number {
    return this.#generation;
  }

  get underWay(): boolean {
    return this.#end !== undefined;
  }

  /** Begins one after those that were asked for before. */
  add(): Promise<Restarted> {
    this.#last = this.#last.then(() => this.#begin());
    return this.#last;
  }

  /** True where the restart under way is to replace it. */
  concerns(member: Member): boolean {
    return this.underWay && member.generation < this.#generation;
  }

  /** It was replaced, for whatever reason. */
  replaced(member: Member): void {
    if (this.concerns(member)) this.#replaced += 1;
  }

  /** @param said what became of the process that was to replace another. */
  giveUp({ pid }: Member, said: string): void {
    const { seats, log } = this.#options;
    const left = seats.filter(({ serving }) => serving !== undefined && this.concerns(serving)).length;
    const failure = `${said}; ${left} of ${seats.length} processes go on with the code that they have`;
    log.error({ process: pid }, `the restart was given up: ${failure}`);
    this.#end?.({ replaced: this.#replaced, failure });
  }

  /** Ends the one under way where all have been replaced. */
  settle(): void {
    const settled = this.#options.seats.every(
      ({ kind, serving }) => kind === "serving" && (serving?.generation ?? 0) >= this.#generation,
    );
    if (settled) this.#end?.({ replaced: this.#replaced });
  }

  /** Gives up the one under way, and whatever is asked for later. */
  stop(): void {
    this.#stopped = true;
    this.#end?.({ replaced: this.#replaced, failure: "the group is being stopped" });
  }

  #begin(): Promise<Restarted> {
    return new Promise((resolve) => {
      this.#generation += 1;
      this.#replaced = 0;
      this.#end = (how) => {
        this.#end = undefined;
        resolve(how);
      };
      if (this.#stopped) return this.stop();
      // What they wait for may be the code that is to be replaced.
      for (const seat of this.#options.seats) seat.hurry();
      this.#options.onBegun();
    });
  }
}
