/**
 * Sighting: what was seen of a durable, since when nothing comes through it although messages wait, and what is to be done about that. Pure.
 * 1. What is restrained, moves, or cannot be told is no trouble. Only messages that wait for open room are, and a durable that is gone.
 * 2. Only for messages that wait the puller is begun anew; a durable that is gone may have been retired, and nobody but a person knows.
 */

/** What was seen of one durable at one time. */
export type Sighting =
  /** Something came since the last look; every handler is taken; a guard holds the actor back; nothing waits. */
  | { kind: "arrived" | "busy" | "guard" | "empty" }
  | { kind: "paused"; untilMs: number }
  /** Messages wait, handlers are free, and nothing came since the last look. */
  | { kind: "pending"; messages: number }
  /** There is no such durable any more. */
  | { kind: "gone" }
  /** `why`: as the end of a sentence. */
  | { kind: "unknown"; why: string };

/** How often its puller was begun anew. */
export interface Rebuilds {
  /** Since the worker began. */
  total: number;
  /** Of these, the ones that nothing has come after yet. */
  inVain: number;
  /** The last one, monotonic ms. */
  atMs: number;
}

/** A puller that was begun anew. */
export interface Rebuilt {
  stream: string;
  durable: string;
  /** How many waited. */
  messages: number;
  /** For how long every look had seen that, ms. */
  silentMs: number;
  /** How often in a row by now, nothing having come in between. */
  times: number;
}

/** What is known of one durable. */
export interface Watched {
  stream: string;
  durable: string;
  sighting: Sighting;
  /** When it was seen, monotonic ms. */
  atMs: number;
  /** Since when every look has seen trouble; undefined where the last one did not. */
  troubleSinceMs: number | undefined;
  /** Undefined where that never was needed. */
  rebuilds: Rebuilds | undefined;
  /** Messages that are stored, and that the actor's durables on the stream will never hand out. */
  stranded: number;
}

/**
 * Trouble counts from the first of the looks that saw it.
 * @param maxGapMs a longer time between two looks says nothing of what was in between: the process stood still.
 */
export function look(
  before: Watched | undefined,
  { stream, durable }: Pick<Watched, "stream" | "durable">,
  sighting: Sighting,
  nowMs: number,
  maxGapMs: number,
): Watched {
  const trouble = sighting.kind === "pending" || sighting.kind === "gone";
  const goesOn = before?.troubleSinceMs !== undefined && nowMs - before.atMs <= maxGapMs;
  const troubleSinceMs = trouble ? (goesOn ? before.troubleSinceMs : nowMs) : undefined;
  const rebuilds = before?.rebuilds && { ...before.rebuilds };
  if (sighting.kind === "arrived" && rebuilds !== undefined) rebuilds.inVain = 0;
  return { stream, durable, sighting, atMs: nowMs, troubleSinceMs, rebuilds, stranded: before?.stranded ?? 0 };
}

/** What did not help is repeated, after twice as long each time, up to so many times the bound. */
const longestWait = 8;

/**
 * Whether the puller is to be begun anew.
 * @param afterMs how long messages may wait for open room.
 */
export function isRebuildDue({ sighting, atMs, troubleSinceMs, rebuilds }: Watched, afterMs: number): boolean {
  if (sighting.kind !== "pending" || troubleSinceMs === undefined) return false;
  const { inVain, atMs: rebuiltAtMs } = rebuilds ?? { inVain: 0, atMs: 0 };
  const waitMs = afterMs * Math.min(longestWait, 2 ** inVain);
  return atMs - Math.max(troubleSinceMs, rebuiltAtMs) >= waitMs;
}

/** What is to be remembered once its puller has been begun anew. */
export function rebuildsAfter({ rebuilds, atMs }: Pick<Watched, "rebuilds" | "atMs">): Rebuilds {
  const { total, inVain } = rebuilds ?? { total: 0, inVain: 0 };
  return { total: total + 1, inVain: inVain + 1, atMs };
}

/** In trouble there is a question in each quarter of the patience, at the next beat after it. */
const looksInTrouble = 4;
const longestBeatMs = 1_000;
/** Of the workers that wait at a durable, so many share in asking about it: what one of them misses comes to another. */
const mostSharers = 3;

/** How long from one look at what has arrived to the next. */
export function beatMsOf(patienceMs: number): number {
  return Math.min(longestBeatMs, patienceMs / looksInTrouble);
}

/** How far apart two looks in trouble may be, as `look()` needs it. */
export function maxGapMsOf(patienceMs: number): number {
  return (2.5 * patienceMs) / looksInTrouble + 2 * beatMsOf(patienceMs);
}

/**
 * How long until the server is asked about the durable again.
 * @param patienceMs what trouble is to be told within.
 * @param openPulls those that wait at the durable, of all workers.
 */
export function nextQuestionMs(
  { troubleSinceMs }: Pick<Watched, "troubleSinceMs">,
  patienceMs: number,
  openPulls: number,
): number {
  if (troubleSinceMs !== undefined) return patienceMs / looksInTrouble;
  return patienceMs * Math.min(mostSharers, Math.max(1, openPulls));
}
