/**
 * Backlog cache: what waits for the actors of this process, read no more often than the server should be asked, whoever wants to know.
 * 1. One read at a time; those who ask meanwhile get the same.
 * 2. A read is good for 5 s, and for twenty times as long as it took, at most a minute: a slow server is left in peace. One slow read is no
 *    sign of one, as after a server that stood still: the shorter of the last two counts. One that failed in part is good for 5 s.
 * 3. Nobody waits for longer than 2 s: what comes later is there for the next one.
 * 4. While there is no connection there is nothing to tell; what was true before may no longer be.
 */
import type { Connection } from "../broker/connection.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { monotonicMs, pause } from "../kernel/clock.ts";
import type { Names } from "../message/subjects.ts";
import type { ActorDurable } from "../worker/durables.ts";
import { readBacklog, type Backlog } from "./backlog.ts";

const leastAgeMs = 5_000;
const mostAgeMs = 60_000;
const patienceMs = 2_000;

export interface BacklogSources {
  names: Names;
  reader: StreamReader;
  connection: Pick<Connection, "up">;
  /** The durables of each actor that this process runs. */
  durables: () => ReadonlyMap<string, readonly ActorDurable[]>;
}

type Backlogs = ReadonlyMap<string, Backlog>;
const nothing: Backlogs = new Map();

export class BacklogCache {
  readonly #sources: BacklogSources;
  #reading: Promise<void> | undefined;
  /** How long the last read took; before the first nobody knows what is usual. */
  #lastTookMs = 0;
  #read: { backlogs: Backlogs; untilMs: number } | undefined;

  constructor(sources: BacklogSources) {
    this.#sources = sources;
  }

  /** By actor. What could not be read is left out. Never rejects. */
  async get(): Promise<Backlogs> {
    const { connection } = this.#sources;
    if (!connection.up) this.#read = undefined;
    if (!connection.up) return nothing;
    if (this.#read === undefined || monotonicMs() >= this.#read.untilMs) {
      this.#reading ??= this.#readOnce().finally(() => (this.#reading = undefined));
      const waited = new AbortController();
      await Promise.race([this.#reading, pause(patienceMs, waited.signal)]);
      waited.abort();
    }
    const fresh = this.#read !== undefined && monotonicMs() < this.#read.untilMs;
    return fresh && connection.up ? (this.#read?.backlogs ?? nothing) : nothing;
  }

  async #readOnce(): Promise<void> {
    const { names, reader, durables } = this.#sources;
    const startedMs = monotonicMs();
    const backlogs = new Map<string, Backlog>();
    const read = async ([actor, own]: [string, readonly ActorDurable[]]): Promise<void> => {
      backlogs.set(actor, await readBacklog(names, reader, actor, own));
    };
    const reads = await Promise.allSettled([...durables()].map(read));
    const endedMs = monotonicMs();
    const tookMs = endedMs - startedMs;
    const failed = reads.some(({ status }) => status === "rejected");
    const usualMs = failed ? 0 : Math.min(tookMs, this.#lastTookMs);
    this.#lastTookMs = tookMs;
    this.#read = { backlogs, untilMs: endedMs + Math.min(mostAgeMs, Math.max(leastAgeMs, 20 * usualMs)) };
  }
}
