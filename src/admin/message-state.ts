/** Message state: how one stored message stands with one durable: waits, runs, backs off, or is done with. */
import type { StoredMessage, StreamReader } from "../broker/stream-reader.ts";
import { historyOf, type RunsRecord, type RunsStore } from "../lifecycle/runs.ts";
import { messageId } from "../message/headers.ts";
import type { MessageAnswer } from "../worker/answers.ts";
import type { DeliveryState, HoldUp, Past, WorkerRef } from "./api.ts";
import { filtersOf, isQueue, type ActorDurable } from "./durables.ts";

export interface StateParts {
  reader: StreamReader;
  runs: RunsStore;
  /** What the workers know of a message, of those that answer. */
  ask: (message: StoredMessage) => Promise<MessageAnswer[]>;
  holdUpsOf: (actor: string) => HoldUp[];
  silentOf: (actor: string) => WorkerRef[];
}

/** Everything but dead letters, which the caller looks up first. */
export async function deliveryState(
  parts: StateParts,
  durable: ActorDurable,
  message: StoredMessage,
): Promise<DeliveryState> {
  const { reader, runs } = parts;
  const { sequence } = message;
  const { actor } = durable;
  if (sequence > durable.delivered) {
    const holdUps = parts.holdUpsOf(actor);
    if (durable.source === "foreign") return { state: "waiting", holdUps };
    return { state: "waiting", ahead: await aheadOf(reader, durable, message), holdUps };
  }
  const queue = isQueue(durable);
  const record = await runs.read({ ...message, consumer: durable.durable, id: messageId(message) });
  // A failure that nothing followed, and nothing is to come again.
  const dropped = lastOf(record)?.state === "failed" && record?.fate === undefined;
  if (!queue && dropped && durable.inFlight === 0) return { state: "stranded", mendable: false, ...pastOf(record) };
  if (!queue && sequence <= durable.ackFloor) return { state: "settled" };
  const answers = await parts.ask(message);
  const own = answers.filter((answer) => answer.actor === actor);
  const known = stateOf(record, own, Date.now());
  const suspects = parts.silentOf(actor);
  switch (known?.state) {
    case "running":
    case "held":
      return known;
    case "put-back":
    case "backing-off":
      return { ...known, holdUps: parts.holdUpsOf(actor) };
    case undefined:
      // A queue keeps a message until it is settled, so one that is there and was handed over is in flight.
      if (!queue && record === undefined) return { state: "delivered", suspects };
      return { state: "in-flight", suspects, ackWaitMs: durable.ackWaitMs, ...pastOf(record) };
  }
}

type Known<State> = Omit<Extract<DeliveryState, { state: State }>, "holdUps">;

/**
 * What the workers and the runs record tell; undefined where that is nothing. Pure.
 * Who has it in hand knows best. Else the later of two counts: that it was put back, and that it failed.
 */
export function stateOf(
  record: RunsRecord | undefined,
  answers: readonly MessageAnswer[],
  nowMs: number,
): Known<"running"> | Known<"held"> | Known<"put-back"> | Known<"backing-off"> | undefined {
  const past = pastOf(record);
  const since = (forMs: number): string => new Date(nowMs - forMs).toISOString();
  const inHand =
    answers.find(({ inHand: { phase } }) => phase !== "put-back" && phase !== "held") ?? answers.find(held);
  if (inHand !== undefined) {
    const { worker, inHand: run } = inHand;
    if (run.phase === "running" || run.phase === "settling") {
      return { state: "running", worker, since: since(run.sinceMs), ...past, attempt: run.attempt };
    }
    if (run.phase === "held") {
      return { state: "held", worker, since: since(run.sinceMs), ...(run.by !== undefined && { by: run.by }), ...past };
    }
  }
  const putBack = answers
    .flatMap(({ inHand: one }) => (one.phase === "put-back" ? [one] : []))
    .toSorted((one, other) => other.at.localeCompare(one.at))[0];
  const last = lastOf(record);
  if (putBack !== undefined && (last?.state !== "failed" || Date.parse(putBack.at) >= last.until)) {
    return { state: "put-back", reason: putBack.reason, until: putBack.until, ...past };
  }
  if (last === undefined || last.until === 0) return undefined;
  const until = new Date(last.until).toISOString();
  if (last.state === "failed") return { state: "backing-off", until, ...past };
  return last.state === "interrupted" ? { state: "put-back", until, ...past } : undefined;
}

function held({ inHand }: MessageAnswer): boolean {
  return inHand.phase === "held";
}

function lastOf(record: RunsRecord | undefined): { state: string | undefined; until: number } | undefined {
  if (record === undefined) return undefined;
  return { state: record.runs[lastCount(record)], until: record.until };
}

function lastCount({ runs }: RunsRecord): number {
  return Math.max(0, ...Object.keys(runs).map(Number));
}

/** A run that is under way, or may be, is no stall. */
function pastOf(record: RunsRecord | undefined): Past {
  const last = record && lastCount(record);
  const running = last !== undefined && record?.runs[last] === "started";
  const { attempt, stalls, errors } = historyOf(record, Infinity);
  return { attempt, stalls: running ? stalls - 1 : stalls, errors };
}

async function aheadOf(
  reader: StreamReader,
  durable: ActorDurable,
  message: Pick<StoredMessage, "stream" | "sequence">,
): Promise<number> {
  const counts = await Promise.all(
    filtersOf(durable).map(async (filter) => {
      const [from, to] = await Promise.all([
        reader.count(message.stream, filter, durable.delivered + 1),
        reader.count(message.stream, filter, message.sequence),
      ]);
      return Math.max(0, from - to);
    }),
  );
  return counts.reduce((total, one) => total + one, 0);
}
