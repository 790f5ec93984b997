/** An actor that waits 20 ms for each message, and notes how many it has run in the file that WAIT_JOURNAL names. */
import { appendFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { Actor, type Context } from "godwit";

const journal = process.env["WAIT_JOURNAL"] ?? "";
let ids: string[] = [];

/** In one write for many: 50,000 are to be told apart afterwards. */
function flush(): void {
  if (ids.length > 0) appendFileSync(journal, `${ids.join("\n")}\n`);
  ids = [];
}

export class Wait extends Actor<number> {
  static override readonly config = { name: "wait", concurrency: 5 };

  override async receive(_input: number, { id }: Context): Promise<void> {
    await wait(20);
    ids.push(id);
    if (ids.length >= 100) flush();
  }

  override async stop(): Promise<void> {
    flush();
  }
}
