/** An actor that keeps 1 MB of each message for ever, and writes down what it ran in the file that LEAK_JOURNAL names. */
import { appendFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Actor, type Context } from "godwit";

const kept: Buffer[] = [];
const journal = process.env["LEAK_JOURNAL"];

export class Leak extends Actor<number> {
  static override readonly config = { name: "leak", concurrency: 4, stalls: 1, retry: { attempts: 1 } };

  override async receive(_input: number, { id, attempt, deliveries }: Context): Promise<void> {
    kept.push(Buffer.alloc(1_000_000, 1));
    await wait(100);
    if (journal !== undefined)
      appendFileSync(journal, `${JSON.stringify({ id, attempt, deliveries, pid: process.pid })}\n`);
  }
}
