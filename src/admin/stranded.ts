/**
 * Stranded messages of a queue: which they are, and the mend that has them handed out again: each is sent once more under its own subject, then
 * deleted where it lies.
 * 1. Only what is certainly stranded is moved. Where nothing of an actor's is in flight, everything is that was handed out and is still stored,
 *    and what its durables have passed over; else what no worker and no runs record knows of, if that is as much as is missing. The rest is left, and told.
 * 2. The copy is stored before the original is deleted, and has a dedup id of its own: a mend that breaks off, or runs twice at once, loses
 *    nothing, and stores no second copy within the dedup window.
 * 3. The copy keeps id, body, expiry and the asker's address; its attempts begin again.
 */
import { Bucket } from "../broker/bucket.ts";
import { Pipeline } from "../broker/pipeline.ts";
import { Publisher } from "../broker/publisher.ts";
import { countStranded, figuresOf } from "../broker/stranded.ts";
import { StreamReader } from "../broker/stream-reader.ts";
import { toError } from "../kernel/errors.ts";
import { RunsStore, type Remembered } from "../lifecycle/runs.ts";
import { header, isControlHeader, messageId, type HeaderFields } from "../message/headers.ts";
import type { MessagePlace } from "../message/place.ts";
import type { Names } from "../message/subjects.ts";
import { askWorkers } from "../worker/questions.ts";
import type { DoctorServices } from "./doctor/facts.ts";
import { filtersOf, groupsOf, listDurables, type ActorDurable } from "./durables.ts";
import { inBatches } from "./live/in-batches.ts";
import { stateOf } from "./message-state.ts";
import { answerMs, listWorkers } from "./workers.ts";

/** What became of the stranded messages of one actor on one stream. */
export interface Mended {
  actor: string;
  stream: string;
  /** Will be handed out from now on. */
  sentAgain: number;
  /** Stranded, and left as they are. */
  left: number;
  /** Why some were left; one sentence. */
  why?: string;
}

interface FindParts {
  names: Names;
  reader: StreamReader;
  runs: Pick<RunsStore, "read">;
  bus: DoctorServices["bus"];
}

type Place = Omit<Remembered, "consumer">;

/** More are not looked through one by one. */
const mostInFlight = 10_000;

/**
 * Sends every stranded message of the namespace again, and touches nothing that is in flight.
 * @throws what the server says of rights, and that it does not answer. A message that it does not take is left, and told.
 */
export async function mendStranded({ names, connection, bus }: DoctorServices): Promise<Mended[]> {
  const reader = new StreamReader(connection);
  const pipeline = new Pipeline(connection);
  const publisher = new Publisher(connection, pipeline);
  const runs = new RunsStore(names, new Bucket(names.runsBucket, pipeline, publisher));
  const mended: Mended[] = [];
  try {
    for (const group of groupsOf(await listDurables(names, reader))) {
      const [{ actor, stream } = { actor: "", stream: "" }] = group;
      const failures: Error[] = [];
      const { count, certain, why } = await findStranded({ names, reader, runs, bus }, group);
      if (count === 0) continue;
      await inBatches(certain, (place) =>
        sendAgain(reader, publisher, place).catch((thrown: unknown) => void failures.push(toError(thrown))),
      );
      const sentAgain = certain.length - failures.length;
      const reason = failures[0]?.message ?? why;
      mended.push({ actor, stream, sentAgain, left: Math.max(0, count - sentAgain), ...(reason && { why: reason }) });
    }
    return mended;
  } finally {
    pipeline.close();
  }
}

/** @param group the durables of one actor on one stream. */
export async function findStranded(
  parts: FindParts,
  group: readonly ActorDurable[],
): Promise<{ count: number; certain: MessagePlace[]; why?: string }> {
  const { reader } = parts;
  const count = await countStranded(reader, group);
  if (count === 0) return { count, certain: [] };
  const states = await Promise.all(group.map(({ stream, durable }) => reader.consumer(stream, durable)));
  const inFlight = states.reduce((sum, state) => sum + (state?.inFlight ?? 0), 0);
  const unclear = (of: number): { count: number; certain: MessagePlace[]; why: string } => ({
    count,
    certain: [],
    why: `${inFlight} of its messages are in flight, and which ${count} of ${of} are stranded cannot be told; run it again when fewer are.`,
  });
  if (inFlight > mostInFlight) return unclear(inFlight + count);
  const handedOut: Place[] = [];
  for (const [at, { stream, ...durable }] of group.entries()) {
    const delivered = states[at]?.delivered ?? 0;
    for (const filter of filtersOf(durable)) {
      for await (const message of reader.scan(stream, filter)) {
        const { sequence, storedAtMs } = message;
        if (sequence > delivered) break;
        handedOut.push({ stream, sequence, storedAtMs, id: messageId(message) });
      }
    }
  }
  if (inFlight === 0) {
    const certain = handedOut.length < count ? await passedOver(reader, group) : undefined;
    return { count, certain: certain ?? handedOut };
  }
  const unknown: Place[] = [];
  const enough = (await listWorkers(parts)).filter(({ snapshot }) => snapshot !== undefined).length;
  await inBatches(handedOut, async (place) => {
    if (!(await isKnown(parts, group, place, enough))) unknown.push(place);
  });
  // The numbers and what the workers say are of different moments, unless nothing has changed between.
  if (unknown.length !== count || (await countStranded(reader, group)) !== count) return unclear(unknown.length);
  return { count, certain: unknown };
}

/**
 * What lies before the first message that a durable still owes, where nothing is in flight: it was handed out, or passed over while the filters
 * were others. Undefined where something has moved meanwhile.
 */
async function passedOver(reader: StreamReader, group: readonly ActorDurable[]): Promise<MessagePlace[] | undefined> {
  const found: MessagePlace[] = [];
  for (const { stream, ...durable } of group) {
    const before = await reader.consumer(stream, durable.durable);
    const filters = filtersOf(durable);
    const stored = (await reader.queued(stream, filters)) ?? 0;
    const count = stored - (before?.pending ?? 0);
    const oldest: MessagePlace[] = [];
    for (const filter of filters) {
      let left = count;
      for await (const { sequence, storedAtMs } of reader.scan(stream, filter)) {
        if (left-- <= 0) break;
        oldest.push({ stream, sequence, storedAtMs });
      }
    }
    const after = await reader.consumer(stream, durable.durable);
    if (before === undefined || after === undefined || before.inFlight > 0) return undefined;
    if (figuresOf([before]) !== figuresOf([after])) return undefined;
    found.push(...oldest.toSorted((a, b) => a.sequence - b.sequence).slice(0, Math.max(0, count)));
  }
  return found;
}

/** A worker has it in hand, or it was put back for later. */
async function isKnown(
  { names, bus, runs }: FindParts,
  group: readonly ActorDurable[],
  place: Place,
  enough: number,
): Promise<boolean> {
  const { stream, sequence, storedAtMs } = place;
  const question = { ask: "message", stream, sequence, storedAtMs } as const;
  const answers = await askWorkers({ names, bus }, question, { waitMs: answerMs, enough });
  const own = answers.flat().filter((answer) => answer.actor === group[0]?.actor);
  for (const { durable } of group) {
    const known = stateOf(await runs.read({ ...place, consumer: durable }), own, Date.now());
    if (known !== undefined && (!("until" in known) || Date.parse(known.until) > Date.now())) return true;
  }
  return false;
}

async function sendAgain(
  reader: StreamReader,
  publisher: Publisher,
  { stream, sequence, storedAtMs }: MessagePlace,
): Promise<void> {
  // As the stream's leader has it: what was listed may be settled by now, or have lost its place to another.
  const message = await reader.get(stream, sequence);
  if (message?.storedAtMs !== storedAtMs) return;
  const { subject, headers, body } = message;
  const fields: HeaderFields = {};
  for (const [name, [value]] of headers.entries()) {
    if (value !== undefined && (!isControlHeader(name) || name === header.ttl)) fields[name] = value;
  }
  // Handlers use the id as an idempotency key, also one that the message had without saying so.
  fields[header.id] = messageId(message);
  fields[header.msgId] = `stranded|${sequence}|${storedAtMs}`;
  await publisher.publish({ stream, subject, headers: fields, body });
  await reader.deleteMessage(stream, sequence);
}
