/**
 * Autoscaler: looks at the fleet at intervals and has the supervisor run as many processes as are needed.
 * 1. One look at a time; the next one begins an interval after the last one ended.
 * 2. Where something cannot be read, the number of processes stays; it is reported once, until a look succeeds again.
 */
import { monotonicMs, pause } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import type { DurableName, Queue } from "../observe/backlog.ts";
import { defaultDemand } from "../observe/demand.ts";
import { DemandWatch } from "../observe/demand-watch.ts";
import type { ProcessLoad } from "../observe/load.ts";
import { beginAutoscale, decide, defaultAutoscale, type AutoscaleOptions, type AutoscaleState } from "./autoscale.ts";
import { factsOf, type Gathered } from "./fleet-facts.ts";
import { HostUseWatch, type HostUse } from "./host-use.ts";

export interface AutoscalerParts {
  /** What each process that takes work says of itself; one that does not answer is left out. */
  loads: () => readonly ProcessLoad[] | Promise<readonly ProcessLoad[]>;
  /** The queues of these actors: `readQueues`. */
  queues: (durables: ReadonlyMap<string, readonly DurableName[]>) => Promise<ReadonlyMap<string, Queue>>;
  /** How many processes take work. */
  processes: () => number;
  /** How many hosts share the work alike, this one included. */
  hosts: () => number | Promise<number>;
  /** Called when the number changes. @param why one short sentence. */
  resize: (processes: number, why: string) => void;
  /** Called when the number stays for another reason than at the look before. @param why one short sentence. */
  onKept: (processes: number, why: string) => void;
  onProblem: (error: Error) => void;
  /** Default: of this host. */
  host?: { look(): HostUse };
}

/** Defaults as in `defaultAutoscale`; of `shrinkAfterMs` the drain target, where that is longer. */
export interface AutoscalerOptions
  extends Pick<AutoscaleOptions, "min" | "max">, Partial<Omit<AutoscaleOptions, "min" | "max">> {
  /** Between two looks. Default 5 s. */
  everyMs?: number;
  /** In which what waits is to be worked off. Default 1 minute. */
  drainTargetMs?: number;
  /** The share of the memory that stays free, 0 to 1. Default 0.1. */
  memoryReserve?: number;
}

export class Autoscaler {
  readonly #parts: AutoscalerParts;
  readonly #rules: AutoscaleOptions;
  readonly #everyMs: number;
  readonly #memoryReserve: number;
  readonly #demand: DemandWatch;
  readonly #host: { look(): HostUse };
  readonly #stopping = new AbortController();
  #state: AutoscaleState;
  #before: Gathered | undefined;
  #why = "";
  #troubled = false;
  #running: Promise<void> | undefined;

  /** @param begin how many processes the supervisor has begun with. */
  constructor(parts: AutoscalerParts, options: AutoscalerOptions, begin = options.min) {
    this.#parts = parts;
    const { everyMs = 5_000, memoryReserve = 0.1, drainTargetMs = defaultDemand.drainTargetMs } = options;
    const shrinkAfterMs = Math.max(defaultAutoscale.shrinkAfterMs, drainTargetMs);
    this.#rules = { ...defaultAutoscale, shrinkAfterMs, ...options };
    this.#everyMs = everyMs;
    this.#memoryReserve = memoryReserve;
    this.#demand = new DemandWatch({ ...defaultDemand, drainTargetMs });
    this.#host = parts.host ?? new HostUseWatch();
    this.#state = beginAutoscale(begin);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Resolves once no look is under way; nothing is resized from the call on. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#round();
        this.#troubled = false;
      } catch (thrown) {
        if (!this.#troubled && !signal.aborted) this.#parts.onProblem(toError(thrown));
        this.#troubled = true;
      }
      await pause(this.#everyMs, signal);
    }
  }

  async #round(): Promise<void> {
    const { loads: loadsOf, queues: queuesOf, processes, hosts: hostsOf, resize, onKept } = this.#parts;
    const [loads, hosts] = await Promise.all([loadsOf(), hostsOf()]);
    const durables = new Map(
      loads.flatMap(({ actors }) => Object.entries(actors).map(([name, its]) => [name, its.durables])),
    );
    const queues = await queuesOf(durables);
    if (this.#stopping.signal.aborted) return;
    const atMs = monotonicMs();
    const demand = this.#demand.look(loads, queues, atMs);
    const now = { atMs, need: demand?.need, hosts, ready: processes(), loads, queues, host: this.#host.look() };
    const facts = factsOf(now, this.#before, this.#memoryReserve);
    this.#before = now;
    const { target, why, state } = decide(facts, this.#state, this.#rules);
    const changed = target !== this.#state.target;
    this.#state = state;
    if (changed) resize(target, why);
    else if (why !== this.#why) onKept(target, why);
    this.#why = why;
  }
}
