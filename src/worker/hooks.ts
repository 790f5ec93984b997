/** Hooks: an actor's start() and stop(), each within its bound; one that is overdue is named in the log, and no longer waited for. */
import type { RegisteredActor } from "../actor/registry.ts";
import { monotonicMs, within } from "../kernel/clock.ts";
import { ActorStartError, ClosedError, toError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";

/** A start() that takes longer is worth a word. */
const slowStartMs = 30_000;
/** Each stop() has so long, also where no grace is left. */
const leastStopMs = 1_000;
/** For what started after all. */
const lateStopMs = 30_000;

export class ActorHooks {
  readonly #log: Logger;
  readonly startTimeoutMs: number;
  #waiting = new AbortController();
  #givenUp = false;

  constructor(log: Logger, startTimeoutMs: number) {
    this.#log = log;
    this.startTimeoutMs = startTimeoutMs;
  }

  /** @throws ActorStartError; ClosedError where it was given up. */
  async start(actor: RegisteredActor): Promise<void> {
    const { config, instance } = actor;
    const limitMs = this.startTimeoutMs;
    const slow = setTimeout(() => {
      this.#log.warn({ actor: config.name, limitMs }, "an actor's start() has not ended after 30 s, and is waited for");
    }, slowStartMs).unref();
    const starting = Promise.resolve().then(() => instance.start());
    this.#waiting = new AbortController();
    try {
      if (!this.#givenUp && (await within(limitMs, starting, this.#waiting))) return;
    } catch (thrown) {
      // Threads say themselves what was wrong.
      throw config.isolate === undefined ? new ActorStartError(config.name, toError(thrown)) : thrown;
    } finally {
      clearTimeout(slow);
    }
    // What it opens after all is to be closed; threads are ended at once, since one that hangs would hold the process.
    const stop = (): Promise<void> => this.#stop(actor, lateStopMs);
    if (config.isolate === undefined) starting.then(stop, () => undefined);
    else void stop();
    const error = new ActorStartError(config.name, limitMs);
    if (!this.#givenUp) throw error;
    this.#log.error({ actor: config.name }, "an actor's start() has not ended, and is no longer waited for");
    throw new ClosedError("worker");
  }

  /** No start() is waited for any longer. */
  giveUp(): void {
    this.#givenUp = true;
    this.#waiting.abort();
  }

  /** Calls stop() of one after the other. They have the grace together, and at least a second each. Never rejects. */
  async stop(actors: readonly RegisteredActor[], graceMs: number): Promise<void> {
    const endMs = monotonicMs() + graceMs;
    for (const actor of actors) await this.#stop(actor, Math.max(leastStopMs, endMs - monotonicMs()));
  }

  async #stop({ config, instance }: RegisteredActor, limitMs: number): Promise<void> {
    const actor = config.name;
    try {
      const stopping = Promise.resolve().then(() => instance.stop());
      if (await within(limitMs, stopping)) return;
      const ms = Math.round(limitMs);
      this.#log.error({ actor, ms }, "an actor's stop() has not ended in time, and is no longer waited for");
    } catch (thrown) {
      this.#log.error({ actor, err: toError(thrown) }, "an actor's stop() failed");
    }
  }
}
