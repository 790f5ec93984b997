/**
 * Demand watch: makes rates out of one look at the fleet and the next, whoever looks and however often.
 * 1. Rates are those between now and the newest look that is as old as the drain target, or the oldest that there is: over any shorter time a burst
 *    would pass for what always comes. A window, and not a moving average, because it forgets the burst when it is over.
 * 2. What a look brought stays the same for all who have the same queues, so that a second scraper does not halve the first one's time.
 * 3. Where the queue of an actor is not known, neither is the demand.
 * 4. Counts that went back, of a process or of a durable that was made anew, begin anew.
 */
import { monotonicMs } from "../kernel/clock.ts";
import type { Queue } from "./backlog.ts";
import { demandOf, type ActorFacts, type Demand, type DemandOptions } from "./demand.ts";
import type { ActorLoad, ProcessLoad } from "./load.ts";

/** What was done since the watch began, and before that by the processes that it met. */
interface Done {
  handled: number;
  handledMs: number;
  deferred: number;
}

interface Look extends Queue, Done {
  atMs: number;
}

interface History {
  /** The oldest first. */
  looks: Look[];
  serviceMs: number | undefined;
  runShare: number;
}

/** Slots that are busier than this are what is short, whatever a guard says: a wide rate limit too makes wait for moments. */
const mostlyBusy = 0.6;

type Queues = ReadonlyMap<string, Queue>;
const nothing: Done = Object.freeze({ handled: 0, handledMs: 0, deferred: 0 });

export class DemandWatch {
  readonly #options: DemandOptions;
  readonly #actors = new Map<string, History>();
  /** By process and actor, as it last said. */
  readonly #reports = new Map<string, Done & { atMs: number }>();
  #last: { queues: Queues; demand: Demand | undefined } | undefined;

  constructor(options: DemandOptions) {
    this.#options = options;
  }

  /**
   * @param queues at least of each actor in `loads`; not older than they.
   * @param nowMs monotonic.
   * @returns undefined where no actor runs, or the queue of one is not known.
   */
  look(loads: readonly ProcessLoad[], queues: Queues, nowMs = monotonicMs()): Demand | undefined {
    if (this.#last?.queues === queues) return this.#last.demand;
    const demand = this.#look(loads, queues, nowMs);
    this.#last = { queues, demand };
    return demand;
  }

  #look(loads: readonly ProcessLoad[], queues: Queues, nowMs: number): Demand | undefined {
    const names = new Set(loads.flatMap(({ actors }) => Object.keys(actors)));
    if (names.size === 0 || [...names].some((actor) => !queues.has(actor))) return undefined;
    const facts = new Map<string, ActorFacts>();
    for (const actor of names) {
      const own = loads.flatMap(({ pid, actors }) =>
        actors[actor] === undefined ? [] : [{ pid, load: actors[actor] }],
      );
      const history = this.#actors.get(actor) ?? { looks: [], serviceMs: undefined, runShare: 1 };
      this.#actors.set(actor, history);
      const done = own.map(({ pid, load }) => this.#since(`${pid} ${actor}`, load, nowMs));
      facts.set(
        actor,
        this.#factsOf(
          history,
          own.map(({ load }) => load),
          done,
          queues.get(actor) as Queue,
          nowMs,
        ),
      );
    }
    for (const [key, { atMs }] of this.#reports)
      if (nowMs - atMs > this.#options.drainTargetMs) this.#reports.delete(key);
    return demandOf(facts, Math.max(...loads.map(({ ceiling }) => ceiling)), this.#options);
  }

  /** What a process has done since it last said; all that it ever did where it is new. */
  #since(key: string, { handled, handledMs, deferred }: ActorLoad, atMs: number): Done {
    const before = this.#reports.get(key);
    this.#reports.set(key, { handled, handledMs, deferred, atMs });
    const anew =
      before === undefined || handled < before.handled || handledMs < before.handledMs || deferred < before.deferred;
    return minus({ handled, handledMs, deferred }, anew ? nothing : before);
  }

  #factsOf(
    history: History,
    loads: readonly ActorLoad[],
    done: readonly Done[],
    queue: Queue,
    atMs: number,
  ): ActorFacts {
    const last = history.looks.at(-1);
    const look: Look = { ...queue, ...[last ?? nothing, ...done].reduce(plus, nothing), atMs };
    if (last !== undefined && queue.deliveries < last.deliveries) history.looks = [];
    history.looks.push(look);
    const { looks } = history;
    const { drainTargetMs } = this.#options;
    const begin = Math.max(
      0,
      looks.findLastIndex((one) => atMs - one.atMs >= drainTargetMs),
    );
    looks.splice(0, begin);
    const first = looks[0] as Look;
    const ran = minus(look, looks.length > 1 ? first : nothing);
    if (ran.handled > 0) history.serviceMs = ran.handledMs / ran.handled;
    if (ran.handled + ran.deferred > 0) history.runShare = ran.handled / (ran.handled + ran.deferred);
    const isGuarded = loads.some(({ guarded }) => guarded);
    const busy = busyShare(loads, done, last && atMs - last.atMs, history.serviceMs);
    // Over less than the drain target nobody can tell a rate from a burst.
    const spanS = Math.max(atMs - first.atMs, drainTargetMs) / 1_000;
    const delivered = look.deliveries - first.deliveries;
    return {
      concurrency: Math.max(...loads.map(({ concurrency }) => concurrency)),
      running: loads.reduce((sum, { running }) => sum + running, 0),
      pending: look.pending,
      oldPending: Math.min(first.pending, look.pending),
      // Less than nothing where somebody purged what waited.
      arrivalsPerS: Math.max(0, delivered + look.pending - first.pending) / spanS,
      deliveriesPerS: delivered / spanS,
      serviceMs: history.serviceMs,
      runShare: history.runShare,
      held: queue.paused || (isGuarded && look.pending > 0 && busy < mostlyBusy),
    };
  }
}

/** The share of the slots that were busy since the last look; that are busy now where runs are longer than that, and end too seldom to tell. */
function busyShare(
  loads: readonly ActorLoad[],
  done: readonly Done[],
  spanMs: number | undefined,
  serviceMs: number | undefined,
): number {
  const slots = loads.reduce((sum, { concurrency }) => sum + concurrency, 0);
  if (spanMs === undefined || serviceMs === undefined || serviceMs >= spanMs) {
    return loads.reduce((sum, { running }) => sum + running, 0) / slots;
  }
  return done.reduce((sum, { handledMs }) => sum + handledMs, 0) / spanMs / slots;
}

function plus(a: Done, b: Done): Done {
  return {
    handled: a.handled + b.handled,
    handledMs: a.handledMs + b.handledMs,
    deferred: a.deferred + b.deferred,
  };
}

function minus(a: Done, b: Done): Done {
  return {
    handled: a.handled - b.handled,
    handledMs: a.handledMs - b.handledMs,
    deferred: a.deferred - b.deferred,
  };
}
