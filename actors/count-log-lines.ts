/**
 * accesslog.count: counts a piece of an access log.
 * What it teaches: how numbers stay exact although a message may run twice. The handler adds to nothing. It returns what its own piece
 * holds, and the result is stored under the message's id: a run that is retried, redelivered or killed overwrites it with the same.
 * Whoever sent the pieces takes each id's result once.
 *
 * The message carries the lines and not the name of a file, so that any worker on any host can count them. The price is that the bytes
 * go over the wire; pieces of 128 KB stay well below NATS's limit of 1 MiB, and so do their tallies.
 */
import { Actor, config } from "godwit";
import { LogChunk, type LogTally } from "../schemas/access-log.ts";
import { tallyLines } from "./access-log-tally.ts";

export class CountLogLines extends Actor<LogChunk, LogTally> {
  static override readonly config = config({
    name: "accesslog.count",
    input: LogChunk,
    // Counting is computing: more at once in one process would only wait for each other.
    concurrency: 4,
    // Milliseconds of work: a piece whose worker was killed is with another one this much later.
    ackWait: "5s",
    retry: { attempts: 5, base: "200ms", max: "10s" },
    result: { ttl: "15m" },
  });

  override receive({ lines }: LogChunk): LogTally {
    // Bytes that are no UTF-8 become U+FFFD; a line that holds some is a line like any other.
    return tallyLines(typeof lines === "string" ? lines : Buffer.from(lines).toString("utf8"));
  }
}
