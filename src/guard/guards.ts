/** Guards: those of one actor in one worker, as one. In the order given: the later ones are the more urgent to be used once granted. */
import type { Deferral, Guard, GuardedRun, Handler } from "./guard.ts";

export class Guards {
  readonly #guards: readonly Guard[];
  #waiting = 0;

  /** @param guards at least one. */
  constructor(guards: readonly Guard[]) {
    this.#guards = guards;
  }

  /** Resolves once each knows what the fleet knows. */
  async start(onChange: () => void): Promise<void> {
    await Promise.all(this.#guards.map((guard) => guard.start(onChange)));
  }

  /** How many messages more may be asked for. @see Guard.room */
  room(demand: number): number {
    let room = Infinity;
    for (const guard of this.#guards) room = Math.min(room, guard.room(demand));
    return room - this.#waiting;
  }

  /** Undefined lets the run pass. What entered some guards and is refused by another has left them. */
  enter(run: GuardedRun, input: unknown): Deferral | undefined | Promise<Deferral | undefined> {
    return this.#enterFrom(0, run, input);
  }

  #enterFrom(first: number, run: GuardedRun, input: unknown): Deferral | undefined | Promise<Deferral | undefined> {
    for (let at = first; at < this.#guards.length; at++) {
      let answer: ReturnType<Guard["enter"]>;
      try {
        answer = (this.#guards[at] as Guard).enter(run, input);
      } catch (error) {
        this.leave(run);
        throw error;
      }
      if (answer instanceof Promise) return this.#wait(answer, at, run, input);
      if (answer !== undefined) return this.#refuse(answer, run);
    }
    return undefined;
  }

  async #wait(
    answer: Promise<Deferral | undefined>,
    at: number,
    run: GuardedRun,
    input: unknown,
  ): Promise<Deferral | undefined> {
    this.#waiting += 1;
    run.waitsFor = this.#guards[at]?.label;
    let deferral: Deferral | undefined;
    try {
      deferral = await answer;
    } catch (error) {
      this.leave(run);
      throw error;
    } finally {
      this.#waiting -= 1;
      run.waitsFor = undefined;
    }
    return deferral === undefined ? this.#enterFrom(at + 1, run, input) : this.#refuse(deferral, run);
  }

  #refuse(deferral: Deferral, run: GuardedRun): Deferral {
    this.leave(run);
    return deferral;
  }

  /** False where the run is to enter again, since it was held up. */
  holds(run: GuardedRun): boolean {
    return this.#guards.every((guard) => guard.holds?.(run) ?? true);
  }

  /** The run that entered is over, or does not run after all. */
  leave(run: GuardedRun): void {
    for (const guard of this.#guards) guard.leave(run);
  }

  around(handler: Handler, limited: (handler: Handler) => Handler): Handler {
    return this.#guards.reduceRight((inner, guard) => guard.around?.(inner, limited) ?? inner, handler);
  }

  drain(): void {
    for (const guard of this.#guards) guard.drain();
  }

  close(): void {
    for (const guard of this.#guards) guard.close();
  }
}
