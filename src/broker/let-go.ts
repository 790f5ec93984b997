/**
 * Letting go: a durable of a work queue stops serving subjects, and others begin to.
 * 1. Nothing that it has handed out changes hands. It is paused, and lets go only of a subject of which nothing is stored that it has handed out:
 *    nothing in hand, nothing that backs off. All that is left of it was handed out to nobody, and is the heir's from the start.
 * 2. It stays paused until every server knows its new filters. A server that goes by the old ones takes what the durable settles beyond a
 *    message for the end of that message too, and deletes it unrun; so it would after a reset of the heir.
 * 3. Its pause ends by itself where its process dies, after the last moment at which that could still have changed anything.
 */
import type { JetStreamManager } from "@nats-io/jetstream";
import { monotonicMs, pause } from "../kernel/clock.ts";
import type { DurableInfo, DurableSpec } from "./durable-topology.ts";
import type { Hold } from "./hold.ts";
import { patiently } from "./patience.ts";
import { absentAsUndefined, explainRefusal } from "./topology-refusal.ts";

/** Longer than a hold can be relied on. */
const pauseMs = 30_000;
/** What is in hand may end in this time. */
const waitMs = 2_000;
/** What is on its way out, or to the disk, or to the other servers, is there by then. */
const stillMs = 200;
const spreadMs = 1_000;
/** A pause's end stays on the durable, and says when the last try was. */
const againMs = 60_000;

/**
 * Whether a try is worth a pause: nothing that the durable has handed out of the subject is stored, or that is changing and the last try was long
 * ago. What takes long, or backs off, is waited for without.
 */
export async function mayLetGo(
  jsm: JetStreamManager,
  stream: string,
  durable: string,
  subject: string,
): Promise<boolean> {
  const look = async (): Promise<{ info: DurableInfo; first: number | undefined }> => {
    const what = `durable ${durable} on ${stream}`;
    const info = await patiently(what, () => jsm.consumers.info(stream, durable));
    return { info, first: await inHand(jsm, stream, subject, info) };
  };
  const { info, first } = await look();
  if (first === undefined) return true;
  if (serverMs(info) - pauseEndMs(info) < againMs) return false;
  await pause(stillMs);
  return first !== (await look()).first;
}

/**
 * Makes those heirs that can take over now.
 * @param serves every subject of the durable, each by itself; it keeps at least one.
 * @param heirs each is for one of them.
 */
export async function letGo(
  { jsm, hold }: { jsm: JetStreamManager; hold: Hold },
  stream: string,
  durable: string,
  serves: readonly string[],
  heirs: readonly DurableSpec[],
): Promise<void> {
  const what = `durable ${durable} on ${stream}`;
  const ask = <T>(request: () => Promise<T>): Promise<T> => {
    hold.mine();
    return patiently(what, () => explainRefusal(what, request()));
  };
  const look = (): Promise<DurableInfo> => ask(() => jsm.consumers.info(stream, durable));
  const serve = (subjects: readonly string[]): Promise<unknown> => {
    const filters = { filter_subject: undefined, filter_subjects: subjects };
    return ask(() => jsm.consumers.update(stream, durable, filters as object));
  };

  const before = await look();
  const byHandMs = before.paused === true ? pauseEndMs(before) : 0;
  const untilMs = Math.max(serverMs(before) + pauseMs, byHandMs);
  /** And has handed out nothing since. Another client may have resumed it; a server that is cut off from the others does not know of the pause. */
  const isStill = (now: DurableInfo, since: DurableInfo): boolean =>
    now.paused === true && pauseEndMs(now) === untilMs && now.delivered.consumer_seq === since.delivered.consumer_seq;
  await ask(() => jsm.consumers.pause(stream, durable, new Date(untilMs)));
  try {
    const deadlineMs = monotonicMs() + waitMs;
    let free: DurableSpec[] = [];
    let last = before;
    do {
      await pause(stillMs);
      const now = await look();
      const held = heirs.map(({ filter_subjects: [subject = ""] }) => inHand(jsm, stream, subject, now));
      const sequences = await Promise.all(held);
      free = isStill(now, last) ? heirs.filter((_, at) => sequences[at] === undefined) : [];
      last = now;
    } while (free.length < heirs.length && monotonicMs() < deadlineMs);
    if (free.length === 0) return;
    const given = free.flatMap(({ filter_subjects: subjects }) => subjects);
    await serve(serves.filter((subject) => !given.includes(subject)));
    await pause(spreadMs);
    if (!isStill(await look(), last)) return void (await serve(serves));
    const paused = byHandMs > 0 ? { pause_until: new Date(byHandMs).toISOString() } : {};
    for (const heir of free) await ask(() => jsm.consumers.add(stream, { ...heir, ...paused }));
  } finally {
    // Another client may have paused it, or resumed it, meanwhile.
    const now = await patiently(what, () => jsm.consumers.info(stream, durable));
    if (pauseEndMs(now) === untilMs) {
      const endMs = byHandMs || serverMs(now);
      await patiently(what, () => jsm.consumers.pause(stream, durable, new Date(endMs)));
    }
  }
}

/** 0 where it never was paused. */
function pauseEndMs({ config }: DurableInfo): number {
  return Date.parse(config.pause_until ?? "") || 0;
}

function serverMs({ ts }: DurableInfo): number {
  return Date.parse(ts ?? "");
}

/** The first stored message of the subject that the durable has handed out. */
async function inHand(
  jsm: JetStreamManager,
  stream: string,
  subject: string,
  { delivered }: DurableInfo,
): Promise<number | undefined> {
  const query = { seq: 1, next_by_subj: subject };
  const oldest = await patiently(`stream ${stream}`, () =>
    explainRefusal(`durables on ${stream}`, absentAsUndefined(jsm.streams.getMessage(stream, query))),
  );
  return oldest && oldest.seq <= delivered.stream_seq ? oldest.seq : undefined;
}
