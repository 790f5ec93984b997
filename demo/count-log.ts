/**
 * Counts an access log of any size with the workers of a system: cut into pieces, sent as tasks, their results added up.
 * 1. Each piece has an id, and its result is stored under that id however often it runs; it is taken once. So the numbers are exact.
 * 2. At most `inFlight` pieces are in memory and on the server at once.
 */
import { randomUUID } from "node:crypto";
import type { ActorSystem, Outcome } from "godwit";
import { tallyLines } from "../actors/access-log-tally.ts";
import { CountLogLines } from "../actors/count-log-lines.ts";
import type { LogTally } from "../schemas/access-log.ts";
import { Chunker } from "./chunker.ts";
import { ReportBuilder, type LogReport } from "./report.ts";

export interface CountOptions {
  /** Bytes of a piece, at most. Default 128 KiB. A tally may be three times as large, where every byte becomes U+FFFD. */
  chunkBytes?: number;
  /** Default 16. */
  inFlight?: number;
  /** Ends the count; it then throws the signal's reason. */
  signal?: AbortSignal;
  /** Called with the bytes that are counted so far. */
  onProgress?: (countedBytes: number) => void;
}

/** @throws Error for a piece that became a dead letter, and what `source` or the system throws. */
export async function countLog(
  system: ActorSystem,
  source: AsyncIterable<Buffer>,
  options: CountOptions = {},
): Promise<LogReport> {
  const { chunkBytes = 128 * 1024, inFlight = 16, onProgress } = options;
  const stop = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
  const total = new ReportBuilder();
  const runId = randomUUID();
  const pieces = cut(source, chunkBytes);
  let [sent, counted] = [0, 0];
  // Any number of loops may share one generator: each piece goes to one of them.
  const loop = async (): Promise<void> => {
    try {
      for await (const piece of pieces) {
        signal.throwIfAborted();
        // One line alone that is too long for a message is counted here; the numbers are the same wherever that happens.
        const tooLong = piece.length > chunkBytes;
        total.add(
          tooLong ? tallyLines(piece.toString("utf8")) : await tally(system, `${runId}-${++sent}`, piece, signal),
        );
        onProgress?.((counted += piece.length));
      }
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  };
  const loops = Promise.allSettled(Array.from({ length: inFlight }, loop));
  // Not only the loops: one that waits for a pipe to be written to would not notice. The first failure aborts too.
  await Promise.race([loops, aborted(signal)]);
  signal.throwIfAborted();
  return total.report();
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

async function* cut(source: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  const chunker = new Chunker({ maxBytes });
  for await (const block of source) yield* chunker.push(block);
  yield* chunker.end();
}

async function tally(system: ActorSystem, id: string, lines: Uint8Array, signal: AbortSignal): Promise<LogTally> {
  const send = (): Promise<unknown> => system.tell(CountLogLines, { lines }, { id });
  await send();
  for (;;) {
    const outcome = await look(system, id);
    signal.throwIfAborted();
    switch (outcome?.state) {
      case undefined:
        // Its time to live passed before we looked, as after a night's sleep of this machine: count it again, under the same id.
        await send();
        break;
      case "pending":
        break;
      case "failed":
        throw new Error(`A piece of the log could not be counted: ${outcome.error.message}`, { cause: outcome.error });
      case "completed":
        if (outcome.error) throw new Error(`The tally of a piece is lost: ${outcome.error.message}`);
        return outcome.value;
    }
  }
}

async function look(system: ActorSystem, id: string): Promise<Outcome<LogTally> | undefined> {
  try {
    return await system.result(CountLogLines, id, { wait: "2s" });
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new Error(`The nats-server did not tell what became of a piece (${reason}); is it still running?`, { cause });
  }
}
