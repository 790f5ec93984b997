/** Progress on standard error: one line that is rewritten on a terminal, now and then a line of its own elsewhere. */
import { performance } from "node:perf_hooks";

const terminalEveryMs = 100;
const plainEveryMs = 2_000;

export class Progress {
  readonly #out: NodeJS.WriteStream;
  readonly #totalBytes: number;
  readonly #startedMs = performance.now();
  #countedBytes = 0;
  #lastMs = performance.now();

  /** @param totalBytes 0 where the size is not known, as of a pipe. */
  constructor(out: NodeJS.WriteStream, totalBytes: number) {
    this.#out = out;
    this.#totalBytes = totalBytes;
  }

  update(countedBytes: number): void {
    this.#countedBytes = countedBytes;
    const nowMs = performance.now();
    if (nowMs - this.#lastMs < (this.#out.isTTY ? terminalEveryMs : plainEveryMs)) return;
    this.#lastMs = nowMs;
    this.#out.write(this.#out.isTTY ? `\r\u001b[K${this.#text()}` : `${this.#text()}\n`);
  }

  /** The last word: how much was counted, and in which time. */
  end(): void {
    const seconds = ((performance.now() - this.#startedMs) / 1_000).toFixed(1);
    this.#out.write(`${this.#out.isTTY ? "\r\u001b[K" : ""}${this.#text()} in ${seconds} s\n`);
  }

  #text(): string {
    const counted = `counted ${megabytes(this.#countedBytes)}`;
    if (this.#totalBytes === 0) return counted;
    // A file that grows while it is read is never more than all of it.
    const percent = Math.min(100, Math.floor((100 * this.#countedBytes) / this.#totalBytes));
    return `${counted} of ${megabytes(this.#totalBytes)} (${percent} %)`;
  }
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
