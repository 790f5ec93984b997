/**
 * Absences: streams that are deleted under a running system: a bucket is made again where this system may, any other is named.
 * 1. Whoever gets no answer for a stream has it looked for, at most once a second; a system with workers looks at all in turn.
 * 2. Nothing but the missing bucket is made: an operator may be about to restore the streams with work.
 * 3. Only what the server denies is gone. Where it gives no answer, or may not be asked, nothing is known, and it is tried on.
 */
import { monotonicMs } from "../kernel/clock.ts";
import { NotAuthorizedError, TopologyMismatchError } from "../kernel/errors.ts";
import type { Logger } from "../kernel/logger.ts";
import type { Names } from "../message/subjects.ts";
import { violationOf, type Connection } from "./connection.ts";
import { streamNames } from "./stream-specs.ts";
import { absentAsUndefined, missing } from "./topology-refusal.ts";
import type { Provision, Topology } from "./topology.ts";

const lookEveryMs = 1_000;
/** One stream after the other. */
const watchEveryMs = 1_000;

export interface AbsencesOptions {
  names: Names;
  connection: Pick<Connection, "jsm" | "up">;
  topology: Pick<Topology, "reconcile">;
  provision: Provision;
  log: Logger;
}

export class Absences {
  readonly #options: AbsencesOptions;
  readonly #looks = new Map<string, { untilMs: number; answer: Promise<Error | undefined> }>();
  /** Streams that are gone and cannot be made again here, and why. */
  readonly #gone = new Map<string, Error>();
  /** The credential may not look. */
  readonly #hidden = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: AbsencesOptions) {
    this.#options = options;
  }

  /** Why streams that are gone cannot be used. Each is looked for again meanwhile. */
  get reasons(): Error[] {
    for (const stream of this.#gone.keys()) void this.look(stream);
    return [...this.#gone.values()];
  }

  /** Why nothing can be written to a stream, as far as that is known. Senders are given the time in which one with work may be restored. */
  refusal(stream: string): Error | undefined {
    const { tasks, schedule, events } = this.#options.names;
    return [tasks, schedule, events].includes(stream) ? undefined : this.#gone.get(stream);
  }

  /** @returns why a stream cannot be used; undefined where it can, perhaps made again just now, or where nobody can tell. */
  look(stream: string): Promise<Error | undefined> {
    const known = this.#looks.get(stream);
    if (known !== undefined && monotonicMs() < known.untilMs) return known.answer;
    const look = { untilMs: Infinity, answer: this.#lookFor(stream) };
    this.#looks.set(stream, look);
    void look.answer.finally(() => (look.untilMs = monotonicMs() + lookEveryMs));
    return look.answer;
  }

  /** Looks also at those that nobody has needed, until stop(). */
  watch(): void {
    const streams = streamNames(this.#options.names);
    let at = Math.floor(Math.random() * streams.length);
    this.#timer ??= setInterval(() => {
      if (this.#options.connection.up) void this.look(streams[at++ % streams.length] as string);
    }, watchEveryMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #lookFor(stream: string): Promise<Error | undefined> {
    const { connection, log } = this.#options;
    if (this.#hidden.has(stream)) return undefined;
    try {
      const found = await absentAsUndefined(connection.jsm.streams.info(stream));
      if (found === undefined) await this.#makeAgain(stream);
    } catch (thrown) {
      if (violationOf(thrown) !== undefined && !(thrown instanceof TopologyMismatchError)) this.#hidden.add(stream);
      if (!(thrown instanceof TopologyMismatchError)) return undefined;
      if (!this.#gone.has(stream)) {
        log.error({ stream, err: thrown.message }, "a stream is gone; what needs it waits or fails");
      }
      this.#gone.set(stream, thrown);
      return thrown;
    }
    if (this.#gone.delete(stream)) log.info({ stream }, "the stream is there again");
    return undefined;
  }

  /** @throws TopologyMismatchError where it is not made. */
  async #makeAgain(stream: string): Promise<void> {
    const { provision, topology, log } = this.#options;
    const before = this.#gone.get(stream);
    // What was refused for want of a right will be again.
    if (before?.cause instanceof NotAuthorizedError) throw before;
    const what = `stream ${stream}`;
    if (provision === "check" || provision === "use") throw missing(what, provision);
    if (!stream.startsWith("KV_")) throw missing(what, "start");
    if (before === undefined) log.warn({ stream }, "the bucket is gone, and is made again; all that it held is lost");
    try {
      await topology.reconcile({ only: stream });
    } catch (thrown) {
      throw thrown instanceof NotAuthorizedError ? missing(what, "start", thrown) : thrown;
    }
  }
}
