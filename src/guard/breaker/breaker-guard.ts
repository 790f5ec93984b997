/** Breaker guard: what an actor's `breaker` does to its messages: none runs while the circuit is open, or its fallback does. */
import type { Context } from "../../actor/context.ts";
import type { Breaker } from "./breaker.ts";
import { toError } from "../../kernel/errors.ts";
import { judge } from "./record.ts";
import type { Deferral, Guard, GuardedRun, Handler } from "../guard.ts";
import type { Probe } from "./probe.ts";

export interface BreakerGuardOptions {
  breaker: Breaker;
  /** False for an error that says nothing against the dependency. */
  counts: (error: Error) => boolean;
  fallback: ((input: unknown, ctx: Context) => unknown) | undefined;
  onProblem: (error: Error) => void;
  onClose: () => void;
}

export class BreakerGuard implements Guard {
  /** Decides who probes. Comes after the guards that let a run wait for longer than a probe may, or no probe would ever be made. */
  readonly prober: Guard;
  readonly label: string;
  readonly #options: BreakerGuardOptions;
  /** Runs, also as the contexts of their handlers, that are to probe. */
  readonly #probes = new Map<object, Probe>();
  #endings: (() => void)[];
  #draining = false;

  constructor(options: BreakerGuardOptions) {
    this.#options = options;
    this.label = `breaker ${options.breaker.name}`;
    this.prober = {
      label: this.label,
      start: () => Promise.resolve(),
      room: () => Infinity,
      enter: (run) => this.#enterLate(run),
      leave: () => undefined,
      drain: () => undefined,
      close: () => undefined,
    };
    this.#endings = [options.onClose];
  }

  start(onChange: () => void): Promise<void> {
    const { breaker, onProblem } = this.#options;
    this.#endings.push(breaker.onChange(onChange), breaker.onProblem(onProblem));
    return breaker.start();
  }

  room(): number {
    const { breaker, fallback } = this.#options;
    if (fallback !== undefined) return Infinity;
    const { phase } = breaker;
    if (phase === "closed") return Infinity;
    return phase === "half-open" ? 1 : 0;
  }

  /** Half-open, it is for `prober` to say. */
  enter(run: GuardedRun): Deferral | undefined {
    const { phase } = this.#options.breaker;
    if (phase === "closed" || this.#probes.has(run)) return undefined;
    return phase === "half-open" && !this.#draining ? undefined : this.#refuse();
  }

  #enterLate(run: GuardedRun): Deferral | undefined | Promise<Deferral | undefined> {
    const { breaker } = this.#options;
    const probe = this.#probes.get(run);
    if (probe !== undefined) return probe.current ? undefined : this.#refuse();
    const { phase } = breaker;
    if (phase === "closed") return undefined;
    return phase === "half-open" && !this.#draining ? this.#tryToProbe(run) : this.#refuse();
  }

  async #tryToProbe(run: GuardedRun): Promise<Deferral | undefined> {
    const { breaker } = this.#options;
    const probe = await breaker.probe();
    if (probe !== undefined) {
      this.#probes.set(run, probe);
      // Its Guards tell it to leave, and it gives the probe back.
      return this.#draining ? breaker.deferral() : undefined;
    }
    return breaker.phase === "closed" ? undefined : this.#refuse();
  }

  #refuse(): Deferral | undefined {
    const { breaker, fallback } = this.#options;
    return fallback === undefined ? breaker.deferral() : undefined;
  }

  leave(run: GuardedRun): void {
    const probe = this.#probes.get(run);
    if (probe === undefined) return;
    this.#probes.delete(run);
    probe.giveBack();
  }

  around(handler: Handler, limited: (handler: Handler) => Handler): Handler {
    const { breaker, counts } = this.#options;
    const fallback = this.#options.fallback && limited(this.#options.fallback);
    return async (input, ctx) => {
      const call = async (): Promise<unknown> => handler(input, ctx);
      // A run that was given up failed by that.
      const verdict = (error: unknown) => (ctx.open ? judge(toError(error), counts) : "nothing");
      const probe = this.#probes.get(ctx);
      if (probe === undefined) {
        // It may have opened since the run entered.
        if (breaker.phase !== "closed" && fallback !== undefined) return fallback(input, ctx);
        return breaker.run(call, verdict);
      }
      try {
        return await breaker.asProbe(ctx, () => probe.run(call, verdict));
      } catch (error) {
        if (probe.failed && fallback !== undefined) return fallback(input, ctx);
        throw error;
      }
    };
  }

  drain(): void {
    this.#draining = true;
  }

  close(): void {
    for (const end of this.#endings) end();
    this.#endings = [];
  }
}
