/** Reporter: turns what happens to runs into the worker's events and its tally. */
import type { EventEmitter } from "node:events";
import { toError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import type { OwnContexts } from "../kernel/own-contexts.ts";
import { isPromise } from "../kernel/options.ts";
import type { WorkerEvents } from "./events.ts";
import type { Outcome } from "./outcome.ts";
import type { Run } from "./run.ts";
import type { Rebuilt } from "./sighting.ts";
import { Tally } from "./tally.ts";

export class Reporter {
  readonly tally: Tally;
  readonly #emitter: EventEmitter<WorkerEvents>;
  readonly #actor: string;
  readonly #log: Logger;
  readonly #contexts: OwnContexts;

  /** @param timed keeps histograms of times and sizes. */
  constructor(emitter: EventEmitter<WorkerEvents>, actor: string, log: Logger, contexts: OwnContexts, timed: boolean) {
    this.tally = new Tally(timed);
    this.#emitter = emitter;
    this.#actor = actor;
    this.#log = log;
    this.#contexts = contexts;
  }

  started(run: Run): void {
    if (this.tally.timed) this.tally.began(run.deliveries === 1 ? run.ageMs : undefined, run.body.length);
    if (this.#heard("started")) this.#emit("started", run.ref);
  }

  /** A handler has ended, or is no longer waited for. */
  handled(run: Run): void {
    this.tally.handled(run.handledMs);
  }

  stalled(run: Run): void {
    if (this.#heard("stalled")) this.#emit("stalled", { ...run.ref, stalls: run.history.stalls });
  }

  progress(run: Run, value: unknown): void {
    if (this.#heard("progress")) this.#emit("progress", { ...run.ref, value });
  }

  overdueBy(run: Run, limitMs: number): void {
    this.tally.overdue += 1;
    if (this.#heard("overdue")) this.#emit("overdue", { ...run.ref, limitMs });
  }

  abandonedAt(run: Run, ms: number): void {
    this.tally.abandoned += 1;
    this.tally.adrift += 1;
    if (this.#heard("abandoned")) this.#emit("abandoned", { ...run.ref, ms });
  }

  /** An abandoned handler has ended after all. */
  lateEnd(): void {
    this.tally.adrift -= 1;
  }

  resultLost(run: Run, error: Error): void {
    this.tally.resultsLost += 1;
    run.log.error({ err: error }, "the result could not be stored; the message counts as completed");
    if (this.#heard("resultLost")) this.#emit("resultLost", { ...run.ref, error });
  }

  problem(error: Error): void {
    if (this.#heard("problem")) this.#emit("problem", { actor: this.#actor, error });
  }

  rebuilt(rebuilt: Rebuilt): void {
    this.tally.rebuilt += 1;
    if (this.#heard("rebuilt")) this.#emit("rebuilt", { ...rebuilt, actor: this.#actor });
  }

  /** A delivery ended, its settlement confirmed or lost. */
  ended(run: Run, outcome: Outcome): void {
    this.tally.ended(outcome);
    // Each once, by who ends the message: counted as they were found, they went with the workers that died later.
    if (outcome.kind === "completed" || outcome.kind === "dead") this.tally.stalls += run.history.stalls;
    if (!this.#heard(outcome.kind)) return;
    switch (outcome.kind) {
      case "completed":
        this.#emit("completed", { ...run.ref, ms: run.handledMs });
        break;
      case "retry":
        this.#emit("retry", { ...run.ref, error: outcome.error, delayMs: outcome.delayMs });
        break;
      case "deferred":
        this.#emit("deferred", { ...run.ref, reason: outcome.reason, delayMs: outcome.delayMs });
        break;
      case "interrupted":
        this.#emit("interrupted", run.ref);
        break;
      case "dead":
        this.#emit("dead", { ...run.ref, reason: outcome.reason, error: outcome.error });
        break;
      case "lost":
        this.#emit("lost", { ...run.ref, reason: outcome.reason });
        break;
    }
  }

  #emit<E extends keyof WorkerEvents>(event: E, ...data: WorkerEvents[E]): void {
    tellListeners(this.#emitter, this.#log, this.#contexts, event, data);
  }

  /** Building an event costs more than counting; nobody may be listening. */
  #heard(event: keyof WorkerEvents): boolean {
    return this.#emitter.listenerCount(event) > 0;
  }
}

/**
 * A listener that throws, or whose promise is rejected, is a bug of its owner's: the message, the other listeners and the process must
 * not pay for it. Each has an async context of its own.
 */
export function tellListeners<E extends keyof WorkerEvents>(
  emitter: EventEmitter<WorkerEvents>,
  log: Logger,
  contexts: OwnContexts,
  event: E,
  data: WorkerEvents[E],
): void {
  const failed = (thrown: unknown): void => {
    const { actor } = data[0] as { actor?: string };
    log.error({ ...(actor !== undefined && { actor }), err: toError(thrown) }, `a listener of "${event}" threw`);
  };
  for (const listener of emitter.rawListeners(event)) {
    try {
      const answer: unknown = contexts.next().runInAsyncScope(listener as () => unknown, emitter, ...data);
      if (isPromise(answer)) answer.then(undefined, failed);
    } catch (thrown) {
      failed(thrown);
    }
  }
}
