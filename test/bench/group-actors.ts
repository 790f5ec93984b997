/** Actors for processes of their own: one that takes a millisecond of the processor, one that keeps 1 MB of each message for ever. */
import { setTimeout as wait } from "node:timers/promises";
import { Actor } from "godwit";

export const burnMs = 1;
export const leakMs = 100;
export const leakConcurrency = 4;

export class Burn extends Actor<number> {
  static override readonly config = { name: "burn", concurrency: 10 };

  override async receive(): Promise<void> {
    // Of this thread's own time: on a busy machine the wall clock would let it off.
    const beganUs = process.cpuUsage();
    for (;;) {
      const { user, system } = process.cpuUsage(beganUs);
      if (user + system >= burnMs * 1_000) return;
    }
  }
}

const kept: Buffer[] = [];

export class Leak extends Actor<number> {
  static override readonly config = { name: "leak", concurrency: leakConcurrency };

  override async receive(): Promise<void> {
    kept.push(Buffer.alloc(1_000_000, 1));
    await wait(leakMs);
  }
}
