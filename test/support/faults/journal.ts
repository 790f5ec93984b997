/**
 * Journal: what happened to which message, one JSON line each, in a file that every process of a test appends to.
 * It goes around Godwit and the server, so that a run counts although its worker is killed in it.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** `run`, `done` and `aborted` come from handlers, `buried` from onDead, the rest are events of a worker under their own names. */
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
}

export class Journal {
  readonly path: string;
  readonly #file: number;
  readonly #entries: Entry[] = [];
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
    const chunk = Buffer.alloc(1 << 20);
    for (;;) {
      const size = readSync(this.#file, chunk, 0, chunk.length, this.#offset);
      if (size === 0) return this.#entries;
      this.#offset += size;
      const lines = (this.#rest + chunk.toString("latin1", 0, size)).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#entries.push(JSON.parse(line) as Entry);
    }
  }

  /** The entries of one kind, of one message where an id is given. */
  of(what: string, id?: string): Entry[] {
    return this.entries.filter((entry) => entry.what === what && (id === undefined || entry.id === id));
  }

  /** How many messages have an entry of this kind, and how many of them more than one. */
  count(what: string): { messages: number; repeated: number; entries: number } {
    const times = new Map<string, number>();
    for (const entry of this.of(what)) times.set(entry.id, (times.get(entry.id) ?? 0) + 1);
    const repeated = [...times.values()].filter((count) => count > 1).length;
    return { messages: times.size, repeated, entries: [...times.values()].reduce((sum, count) => sum + count, 0) };
  }

  close(): void {
    closeSync(this.#file);
  }
}
