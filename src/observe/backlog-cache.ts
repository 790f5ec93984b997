/**
 * Backlog cache: what waits for the actors of this process, read no more often than the server should be asked, whoever wants to know.
 * 1. One read at a time; those who ask meanwhile get the same.
 * 2. A read is good for 5 s, and for twenty times as long as it took, at most a minute: a slow server is left in peace. One slow read is no
 *    sign of one, as after a server that stood still: the shorter of the last two counts. One that failed in part is good for 5 s.
 * 3. Nobody waits for longer than 2 s: what comes later is there for the next one.
 * 4. Where stored messages may not be read, only the durables are asked, and the right is tried again after 10 minutes: the server's log and
 *    this process's have a line for each refusal.
 * 5. While there is no connection there is nothing to tell; what was true before may no longer be.
 */
import { violationOf, type Connection } from "../broker/connection.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { monotonicMs, pause } from "../kernel/clock.ts";
import type { Names } from "../message/subjects.ts";
import { durableName, type ActorDurable } from "../worker/durables.ts";
import { readBacklog, readQueue, type Backlog, type Queue } from "./backlog.ts";

const leastAgeMs = 5_000;
const mostAgeMs = 60_000;
const patienceMs = 2_000;
const refusedForMs = 600_000;

export interface BacklogSources {
  names: Names;
  reader: StreamReader;
  connection: Pick<Connection, "up" | "unfit">;
  /** The durables of each actor that this process runs. */
  durables: () => ReadonlyMap<string, readonly ActorDurable[]>;
}

/** What was read, by actor; what could not be is left out. */
export interface Waits {
  readonly backlogs: ReadonlyMap<string, Backlog>;
  /** Of each actor in `backlogs`, and of those of whom there is no right to know more. */
  readonly queues: ReadonlyMap<string, Queue>;
}

const nothing: Waits = { backlogs: new Map(), queues: new Map() };

export class BacklogCache {
  readonly #sources: BacklogSources;
  #reading: Promise<void> | undefined;
  /** How long the last read took; before the first nobody knows what is usual. */
  #lastTookMs = 0;
  #read: { waits: Waits; untilMs: number } | undefined;
  #refusedUntilMs = 0;

  constructor(sources: BacklogSources) {
    this.#sources = sources;
  }

  /** Never rejects. */
  async get(): Promise<Waits> {
    const { connection } = this.#sources;
    if (!connection.up) {
      this.#read = undefined;
      return nothing;
    }
    if (this.#read === undefined || monotonicMs() >= this.#read.untilMs) {
      this.#reading ??= this.#readOnce().finally(() => (this.#reading = undefined));
      const waited = new AbortController();
      await Promise.race([this.#reading, pause(patienceMs, waited.signal)]);
      waited.abort();
    }
    const fresh = this.#read !== undefined && monotonicMs() < this.#read.untilMs;
    return fresh && connection.up ? (this.#read?.waits ?? nothing) : nothing;
  }

  async #readOnce(): Promise<void> {
    const { reader, durables } = this.#sources;
    const startedMs = monotonicMs();
    const backlogs = new Map<string, Backlog>();
    const queues = new Map<string, Queue>();
    const read = async ([actor, own]: [string, readonly ActorDurable[]]): Promise<void> => {
      const backlog = await this.#backlogOf(actor, own);
      if (backlog !== undefined) backlogs.set(actor, backlog);
      queues.set(actor, backlog ?? (await readQueue(reader, own.map(durableName))));
    };
    const reads = await Promise.allSettled([...durables()].map(read));
    const endedMs = monotonicMs();
    const tookMs = endedMs - startedMs;
    const failed = reads.some(({ status }) => status === "rejected");
    const usualMs = failed ? 0 : Math.min(tookMs, this.#lastTookMs);
    this.#lastTookMs = tookMs;
    this.#read = {
      waits: { backlogs, queues },
      untilMs: endedMs + Math.min(mostAgeMs, Math.max(leastAgeMs, 20 * usualMs)),
    };
  }

  /** Undefined where it may not be read. */
  async #backlogOf(actor: string, durables: readonly ActorDurable[]): Promise<Backlog | undefined> {
    if (monotonicMs() < this.#refusedUntilMs) return undefined;
    try {
      return await readBacklog(this.#sources.names, this.#sources.reader, actor, durables);
    } catch (thrown) {
      if (violationOf(thrown) === undefined) throw thrown;
      this.#refusedUntilMs = monotonicMs() + refusedForMs;
      return undefined;
    }
  }
}
