/**
 * Chunker: blocks of a file in, pieces of whole lines out, in order and without a byte lost.
 * 1. A piece is at most `maxBytes`, but for a piece that is one single longer line.
 * 2. A line beyond `maxLineBytes` is not held in memory: an empty line takes its place, which is rejected like it.
 */

export interface ChunkerLimits {
  maxBytes: number;
  /** Default 64 MiB. */
  maxLineBytes?: number;
}

const newline = 0x0a;
const emptyLine = Buffer.from("\n");

export class Chunker {
  readonly #maxBytes: number;
  readonly #maxLineBytes: number;
  /** Whole lines, not yet a full piece. */
  #lines: Buffer[] = [];
  #linesBytes = 0;
  /** The beginning of a line whose end has not come. */
  #tail: Buffer[] = [];
  #tailBytes = 0;

  constructor({ maxBytes, maxLineBytes = 64 * 1024 * 1024 }: ChunkerLimits) {
    this.#maxBytes = maxBytes;
    this.#maxLineBytes = maxLineBytes;
  }

  /** @param block bytes of the file; they must not change afterwards. */
  *push(block: Buffer): Generator<Buffer> {
    for (let at = 0; at < block.length; at += this.#maxBytes)
      yield* this.#take(block.subarray(at, at + this.#maxBytes));
  }

  /** The rest, once the file has ended. */
  *end(): Generator<Buffer> {
    if (this.#tailBytes > 0) yield* this.#add(this.#cutTail());
    yield* this.#flush();
  }

  *#take(block: Buffer): Generator<Buffer> {
    const first = block.indexOf(newline) + 1;
    const last = block.lastIndexOf(newline) + 1;
    this.#extendTail(block.subarray(0, first === 0 ? block.length : first));
    if (first === 0) return;
    yield* this.#add(this.#cutTail());
    yield* this.#add(block.subarray(first, last));
    this.#extendTail(block.subarray(last));
  }

  #extendTail(bytes: Buffer): void {
    this.#tailBytes += bytes.length;
    if (this.#tailBytes > this.#maxLineBytes) this.#tail = [];
    else if (bytes.length > 0) this.#tail.push(bytes);
  }

  #cutTail(): Buffer {
    const line = this.#tailBytes > this.#maxLineBytes ? emptyLine : Buffer.concat(this.#tail);
    this.#tail = [];
    this.#tailBytes = 0;
    return line;
  }

  *#add(lines: Buffer): Generator<Buffer> {
    if (this.#linesBytes + lines.length > this.#maxBytes) yield* this.#flush();
    if (lines.length === 0) return;
    this.#lines.push(lines);
    this.#linesBytes += lines.length;
  }

  *#flush(): Generator<Buffer> {
    if (this.#linesBytes > 0) yield Buffer.concat(this.#lines);
    this.#lines = [];
    this.#linesBytes = 0;
  }
}
