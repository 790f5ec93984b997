/**
 * Stranded: what a work queue stores although the durables that serve it will never hand it out: dropped after `max_deliver`, or forgotten with
 * a state of a durable or a stream that was lost or restored.
 * 1. Durables owe what they have not handed out and what is out. What is stored beyond that is stranded.
 * 2. The durables of one actor on one stream are counted together: one that has let go of a lane still has out what it handed out of it.
 * 3. The numbers come one after the other, so they count only where the durables say the same before and after; what was settled just now may
 *    still be stored, so what is found counts only once it was found again a moment later.
 */
import { pause } from "../kernel/clock.ts";
import type { ConsumerState, StreamReader } from "./stream-reader.ts";

/** A durable by the stream that it is on. */
export interface DurableOnStream {
  stream: string;
  durable: string;
}

type Reader = Pick<StreamReader, "consumer" | "queued">;

const mostLooks = 10;
const lookAgainMs = 300;

/**
 * How many stored messages no durable will ever hand out; fewer while much moves.
 * @param durables of one actor on one stream.
 */
export async function countStranded(reader: Reader, durables: readonly DurableOnStream[]): Promise<number> {
  let fewest = Infinity;
  let still = 0;
  for (let looks = 0; looks < mostLooks && still < 2; looks++) {
    if (looks > 0) await pause(lookAgainMs);
    const { found, moved } = await look(reader, durables);
    fewest = Math.min(fewest, found);
    if (fewest === 0) return 0;
    if (!moved) still += 1;
  }
  return fewest;
}

async function look(reader: Reader, durables: readonly DurableOnStream[]): Promise<{ found: number; moved: boolean }> {
  const before = await statesOf(reader, durables);
  if (before === undefined) return { found: 0, moved: false };
  let stored = 0;
  for (const [at, { filters }] of before.entries()) {
    const { stream } = durables[at] as DurableOnStream;
    const queued = await reader.queued(stream, filters.length > 0 ? filters : [">"]);
    if (queued === undefined) return { found: 0, moved: false };
    stored += queued;
  }
  if (stored <= owedBy(before)) return { found: 0, moved: false };
  const after = await statesOf(reader, durables);
  if (after === undefined) return { found: 0, moved: false };
  const found = Math.max(0, stored - Math.max(owedBy(before), owedBy(after)));
  return { found, moved: figuresOf(before) !== figuresOf(after) };
}

/** Undefined where one of them is gone. */
async function statesOf(reader: Reader, durables: readonly DurableOnStream[]): Promise<ConsumerState[] | undefined> {
  const states = await Promise.all(durables.map(({ stream, durable }) => reader.consumer(stream, durable)));
  const there = states.filter((state) => state !== undefined);
  return there.length === states.length && there.length > 0 ? there : undefined;
}

function owedBy(states: readonly Pick<ConsumerState, "pending" | "inFlight">[]): number {
  return states.reduce((sum, { pending, inFlight }) => sum + pending + inFlight, 0);
}

/** They change with whatever the durables hand out or hear of. */
export function figuresOf(states: readonly ConsumerState[]): string {
  return states
    .map(({ deliveries, pending, inFlight, ackFloor }) => [deliveries, pending, inFlight, ackFloor].join())
    .join(" ");
}
