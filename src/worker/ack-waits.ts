/**
 * Ack-waits: how long the server waits for a word of a message before it hands it out again, where configs of one actor differ.
 * 1. A durable waits as long as the longest that a live worker goes by, as the leases say; one of an older version, which does not say, goes
 *    by what the durable has. It is raised before the worker pulls that needs it.
 * 2. It shrinks when the last worker with a longer one has ended: at once where nothing is in flight, else a whole longer ack-wait later, since a
 *    worker that is cut off from the servers has no lease, and holds what it has until then.
 * 3. Each worker goes by its own config: its deadlines are then earlier than the server's, never later.
 */
import type { Bucket } from "../broker/bucket.ts";
import type { Connection } from "../broker/connection.ts";
import { takeHold } from "../broker/hold.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { setAckWait } from "../broker/durable-topology.ts";
import type { Provision } from "../broker/topology.ts";
import { monotonicMs } from "../kernel/clock.ts";
import { holdKey, longestAckWaitMs } from "./declared.ts";
import { readLeases, type LeaseParts } from "./leases.ts";

const lookMs = 5_000;

interface Kept {
  actor: string;
  ackWaitMs: number;
  durables: readonly { stream: string; durable: string }[];
}

export interface AckWaitParts extends LeaseParts {
  connection: Connection;
  workers: Bucket;
  provision: Provision;
  reader: LeaseParts["reader"] & Pick<StreamReader, "consumer">;
}

/** Looks after the durables of a worker's actors while it runs: at those of one actor at a time, and at those that were longer than needed. */
export class AckWaits {
  readonly #parts: AckWaitParts;
  readonly #kept: Kept[] = [];
  /** Since when no live worker has been known to need what the durable has, monotonic ms; by stream and name. */
  readonly #tooLongSinceMs = new Map<string, number>();
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(parts: AckWaitParts) {
    this.#parts = parts;
  }

  keep(kept: Kept): void {
    this.#kept.push(kept);
  }

  /** Where it may not change durables it does nothing. */
  start(): void {
    if (this.#parts.provision !== "create" && this.#parts.provision !== "keep") return;
    this.#timer = setInterval(() => {
      // What cannot be asked, or changed, is looked at again.
      this.#looking ??= this.#look()
        .catch(() => undefined)
        .finally(() => (this.#looking = undefined));
    }, lookMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    this.#turn = (this.#turn + 1) % Math.max(1, this.#kept.length);
    for (const [at, kept] of this.#kept.entries()) {
      for (const place of kept.durables) {
        if (at === this.#turn || this.#tooLongSinceMs.has(nameOf(place))) await this.#mend(kept, place);
      }
    }
  }

  async #mend({ actor, ackWaitMs }: Kept, place: Kept["durables"][number]): Promise<void> {
    const { reader, connection, workers } = this.#parts;
    const found = await reader.consumer(place.stream, place.durable);
    if (found === undefined || found.ackWaitMs === ackWaitMs) return void this.#tooLongSinceMs.delete(nameOf(place));
    const needed = async (): Promise<number> =>
      longestAckWaitMs(await readLeases(this.#parts), actor, ackWaitMs, found.ackWaitMs);
    let wanted = await needed();
    if (wanted === found.ackWaitMs) return void this.#tooLongSinceMs.delete(nameOf(place));
    if (wanted < found.ackWaitMs) {
      const sinceMs = this.#tooLongSinceMs.get(nameOf(place)) ?? monotonicMs();
      this.#tooLongSinceMs.set(nameOf(place), sinceMs);
      if (found.inFlight > 0 && monotonicMs() - sinceMs < found.ackWaitMs) return;
    }
    const hold = await takeHold(workers, holdKey(actor));
    if (hold === undefined) return;
    try {
      // One that came in between has left word before it looked at the durable.
      for (let set = -1; wanted !== set; wanted = await needed()) {
        hold.mine();
        await setAckWait(connection.jsm, place.stream, place.durable, wanted);
        set = wanted;
      }
      this.#tooLongSinceMs.delete(nameOf(place));
    } finally {
      await hold.release();
    }
  }
}

function nameOf({ stream, durable }: Kept["durables"][number]): string {
  return `${stream} ${durable}`;
}
