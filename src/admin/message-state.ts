/** Message state: how one stored message stands with one durable: waits, runs, backs off, or is done with. */
import type { StoredMessage, StreamReader } from "../broker/stream-reader.ts";
import { historyOf, type RunError, type RunsRecord, type RunsStore } from "../lifecycle/runs.ts";
import type { Names } from "../message/subjects.ts";
import type { ActorDurable } from "./durables.ts";

/** What earlier runs left. */
export interface Past {
  /** The attempt that is running or comes next, 1 for the first. */
  attempt: number;
  /** Runs whose worker died. */
  stalls: number;
  /** The errors of earlier runs, oldest first. */
  errors: readonly RunError[];
}

export type DeliveryState =
  /** No worker has been handed it yet; `ahead` messages of its durable come first, which streams made by others do not tell. */
  | { state: "waiting"; ahead?: number }
  /** Handed over and not settled: its handler runs, or it was put back without counting an attempt (snooze, shutdown). */
  | ({ state: "running" } & Past)
  /** It failed, and comes back no earlier than at `until` (ISO). A time in the past: it waits for a worker with room. */
  | ({ state: "backing-off"; until: string } & Past)
  /** Of an event: settled, or older than the subscription. */
  | { state: "settled" }
  /** Of an event: handed over; whether it runs or is done leaves no trace. */
  | { state: "delivered" };

/** Everything but dead letters, which the caller looks up first. */
export async function deliveryState(
  { names, reader, runs }: { names: Names; reader: StreamReader; runs: RunsStore },
  durable: ActorDurable,
  message: Pick<StoredMessage, "stream" | "sequence">,
): Promise<DeliveryState> {
  const { stream, sequence } = message;
  if (sequence > durable.delivered) {
    if (durable.source === "foreign") return { state: "waiting" };
    return { state: "waiting", ahead: await aheadOf(reader, durable, message) };
  }
  const queue = durable.source === "task" || durable.source === "due";
  if (!queue && sequence <= durable.ackFloor) return { state: "settled" };
  const record = await runs.read(names.runsKey(stream, sequence, durable.durable));
  // A queue keeps a message until it is settled, so one that is there and was handed over is in flight.
  if (record === undefined)
    return queue ? { state: "running", attempt: 1, stalls: 0, errors: [] } : { state: "delivered" };
  return stateOfRecord(record);
}

/** The state that a runs record tells of. Pure but for the clock. */
function stateOfRecord(record: RunsRecord): DeliveryState {
  const last = Math.max(0, ...Object.keys(record.runs).map(Number));
  const running = record.runs[last] === "started";
  // A run under way is no stall.
  const { attempt, stalls, errors } = historyOf(record, running ? last : Infinity);
  const past = { attempt, stalls, errors };
  if (running || record.runs[last] === "interrupted" || record.until === 0) return { state: "running", ...past };
  return { state: "backing-off", until: new Date(record.until).toISOString(), ...past };
}

async function aheadOf(
  reader: StreamReader,
  durable: ActorDurable,
  message: Pick<StoredMessage, "stream" | "sequence">,
): Promise<number> {
  const filters = durable.filters.length === 0 ? [">"] : durable.filters;
  const counts = await Promise.all(
    filters.map(async (filter) => {
      const [from, to] = await Promise.all([
        reader.count(message.stream, filter, durable.delivered + 1),
        reader.count(message.stream, filter, message.sequence),
      ]);
      return Math.max(0, from - to);
    }),
  );
  return counts.reduce((total, one) => total + one, 0);
}
