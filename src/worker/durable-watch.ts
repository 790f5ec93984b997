/**
 * Durable watch: looks after a worker's durables while it runs: what somebody has changed (edited-durables.ts), and what configs of one actor
 * that differ need of them.
 * 1. A durable waits as long as the longest that a live worker goes by, as the leases say; one of an older version, which does not say, goes
 *    by what the durable has. It is raised before the worker pulls that needs it.
 * 2. It shrinks when the last worker with a longer one has ended: at once where nothing is in flight, else a whole longer ack-wait later, since a
 *    worker that is cut off from the servers has no lease, and holds what it has until then.
 * 3. Each worker goes by its own config: its deadlines are then earlier than the server's, never later.
 * 4. A lane that the common durable still serves gets a durable of its own once nothing of it is in hand; every worker then pulls from it.
 */
import type { ResolvedConfig } from "../actor/config.ts";
import { takeHold } from "../broker/hold.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { setAckWait } from "../broker/durable-topology.ts";
import { described } from "../broker/settings.ts";
import { monotonicMs, within } from "../kernel/clock.ts";
import { holdKey, longestAckWaitMs } from "./declared.ts";
import { bringDurables, durableName, wantedDurables, type ActorDurable } from "./durables.ts";
import { EditedDurables, type EditedDurablesParts } from "./edited-durables.ts";
import type { Intake } from "./intake.ts";
import { readLeases } from "./leases.ts";
import type { Reporter } from "./reporter.ts";

/** How often an actor's durables are looked at, where there are no more than so many actors. */
const lookMs = 5_000;
const mostLooks = 5;
const stopMs = 5_000;

interface Kept {
  config: ResolvedConfig;
  durables: ActorDurable[];
  intake: Pick<Intake, "add">;
  reporter: Pick<Reporter, "problem">;
}

type Place = ReturnType<typeof durableName>;

export interface DurableWatchParts extends EditedDurablesParts {
  reader: EditedDurablesParts["reader"] & Pick<StreamReader, "consumer">;
}

/** Looks after the durables of a worker's actors while it runs: at those of one actor at a time, and at those that were longer than needed. */
export class DurableWatch {
  readonly edited: EditedDurables;
  readonly #parts: DurableWatchParts;
  readonly #kept: Kept[] = [];
  /** Since when no live worker has been known to need what the durable has, monotonic ms; by stream and name. */
  readonly #tooLongSinceMs = new Map<string, number>();
  #turn = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;

  constructor(parts: DurableWatchParts) {
    this.#parts = parts;
    this.edited = new EditedDurables(parts);
  }

  keep(kept: Kept): void {
    this.#kept.push(kept);
  }

  start(): void {
    const everyMs = lookMs / Math.max(1, Math.min(mostLooks, this.#kept.length));
    this.#timer = setInterval(() => {
      // What cannot be asked, or changed, is looked at again.
      this.#looking ??= this.#look()
        .catch(() => undefined)
        .finally(() => (this.#looking = undefined));
    }, everyMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    // What servers without a leader do not answer is asked for long.
    if (this.#looking !== undefined) await within(stopMs, this.#looking);
  }

  async #look(): Promise<void> {
    const { provision } = this.#parts;
    const mayChange = provision === "create" || provision === "keep";
    this.#turn = (this.#turn + 1) % Math.max(1, this.#kept.length);
    const kept = this.#kept[this.#turn];
    if (kept !== undefined) await this.edited.look(kept.config, kept.durables, kept.reporter);
    for (const [at, { config, durables }] of this.#kept.entries()) {
      for (const place of mayChange ? durables.map(durableName) : []) {
        if (at === this.#turn || this.#tooLongSinceMs.has(nameOf(place))) await this.#mend(config, place);
      }
    }
    if (kept !== undefined) await this.#serveLanes(kept, mayChange);
  }

  async #serveLanes({ config, durables, intake }: Kept, mayChange: boolean): Promise<void> {
    const isNew = ({ stream, spec }: ActorDurable): boolean =>
      !durables.some((known) => known.stream === stream && known.spec.durable_name === spec.durable_name);
    let wanted = await wantedDurables(this.#parts, config, mayChange);
    if (mayChange && (wanted.waiting.length > 0 || wanted.durables.some(isNew))) {
      wanted = await bringDurables(this.#parts, config, this.#parts.provision, 0);
    }
    for (const durable of wanted.durables.filter(isNew)) {
      durables.push(durable);
      intake.add(durable);
    }
  }

  async #mend({ name: actor, ackWaitMs }: ResolvedConfig, place: Place): Promise<void> {
    const { reader, connection, workers, log } = this.#parts;
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
        const change = { field: "ack_wait", have: (set < 0 ? found.ackWaitMs : set) * 1e6, want: wanted * 1e6 };
        log.warn({ actor, ...place }, `changed the durable: ${described(change)}`);
        set = wanted;
      }
      this.#tooLongSinceMs.delete(nameOf(place));
    } finally {
      await hold.release();
    }
  }
}

function nameOf({ stream, durable }: Place): string {
  return `${stream} ${durable}`;
}
