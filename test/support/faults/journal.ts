/**
 * Journal: what happened to which message, one JSON line each, in a file that every process of a test appends to.
 * It goes around Godwit and the server, so that a run counts although its worker is killed in it.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** `run`, `effect`, `done` and `aborted` come from handlers, `buried` from onDead, the rest are events of a worker under their own names. */
export interface Entry {
  what: string;
  /** Wall-clock ms. */
  at: number;
  pid: number;
  /** Tells workers apart, also those in one process. */
  worker: string;
  id: string;
  attempt: number;
  deliveries: number;
  reason?: string;
  error?: string;
  stalls?: number;
  /** The machine's monotonic clock, the same for all its processes. */
  ns?: number;
  key?: string;
  /** When what is noted began, wall-clock ms. */
  sinceAt?: number;
}

export class Journal {
  readonly path: string;
  readonly #file: number;
  readonly #entries: Entry[] = [];
  readonly #byKind = new Map<string, Entry[]>();
  readonly #chunk = Buffer.alloc(1 << 18);
  #offset = 0;
  #rest = "";

  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, "a+");
  }

  /** Written when it returns; lines of several processes do not mix, because the file is only ever appended to. */
  write(entry: Entry): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
  }

  /** Everything so far, in the order in which it was written. */
  get entries(): readonly Entry[] {
    const chunk = this.#chunk;
    for (;;) {
      const size = readSync(this.#file, chunk, 0, chunk.length, this.#offset);
      if (size === 0) return this.#entries;
      this.#offset += size;
      const lines = (this.#rest + chunk.toString("latin1", 0, size)).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line) as Entry);
    }
  }

  /** The entries of one kind, of one message where an id is given. */
  of(what: string, id?: string): readonly Entry[] {
    if (this.entries.length === 0) return [];
    const entries = this.#byKind.get(what) ?? [];
    return id === undefined ? entries : entries.filter((entry) => entry.id === id);
  }

  /** How many messages have an entry of this kind, and how many of them more than one. */
  count(what: string): { messages: number; repeated: number; entries: number } {
    const times = new Map<string, number>();
    for (const entry of this.of(what)) times.set(entry.id, (times.get(entry.id) ?? 0) + 1);
    const repeated = [...times.values()].filter((count) => count > 1).length;
    return { messages: times.size, repeated, entries: [...times.values()].reduce((sum, count) => sum + count, 0) };
  }

  #take(entry: Entry): void {
    this.#entries.push(entry);
    const same = this.#byKind.get(entry.what);
    if (same === undefined) this.#byKind.set(entry.what, [entry]);
    else same.push(entry);
  }

  close(): void {
    closeSync(this.#file);
  }
}
