/**
 * Concurrency record: who holds how many permits of one key, and who waits for one. Pure: a process's claim against what KV has.
 * 1. The permits of holders whose lease is not over never exceed the limit.
 * 2. Permits go to those who wait in the order in which they came. Nobody holds a place that he no longer waits in.
 * 3. Where processes have different limits, the smaller one holds while both are in use.
 */
import * as z from "zod";

/** Far longer than a lease, or than anybody waits for a permit. */
const longestMs = 5 * 60_000;

const shape = z.object({
  v: z.literal(1),
  limit: z.number().min(1),
  /** By process; one that uses the limit and holds none at the moment has 0. Server time. */
  holders: z.record(z.string(), z.object({ permits: z.int().min(0), untilMs: z.number() })),
  /** Who waits for a permit, the first one first, and how long he will wait. Server time. */
  waiting: z.array(z.object({ holder: z.string(), untilMs: z.number() })),
});

export type ConcurrencyRecord = z.output<typeof shape>;

/** Undefined for what is none of ours, or of a version that this one cannot read. */
export function readRecord(value: unknown): ConcurrencyRecord | undefined {
  return shape.safeParse(value).data;
}

/** What one process would have. */
export interface Claim {
  holder: string;
  limit: number;
  /** How many of its permits it keeps. */
  keep: number;
  /** How many more it could use now. */
  want: number;
  /** How long it waits for them, server time. */
  wantUntilMs: number;
  /** It uses the limit, and stays in the record with no permit. */
  pinned: boolean;
  leaseMs: number;
}

export interface Settled {
  record: ConcurrencyRecord;
  /** How many of `keep` it has indeed; below that, the rest was lost. */
  kept: number;
  granted: number;
  /** The record differs from what KV has in what others must know, or its lease is to be renewed. */
  write: boolean;
}

/** The server's time, and how far off that may be. */
export interface Now {
  atMs: number;
  errorMs: number;
}

/** What becomes of a claim. */
export function settleClaim(found: ConcurrencyRecord | undefined, claim: Claim, now: Now): Settled {
  const { holder, keep, want, pinned, leaseMs } = claim;
  const record = current(found, claim, now);
  const own = record.holders[holder];
  const kept = Math.min(keep, own?.permits ?? 0);
  const place = record.waiting.findIndex((one) => one.holder === holder);
  const before = place < 0 ? record.waiting.length : place;
  const others = takenByOthers(record, holder);
  const granted = Math.max(0, Math.min(want, record.limit - others - kept - before));

  const permits = kept + granted;
  const holders = { ...record.holders };
  if (permits > 0 || pinned) holders[holder] = { permits, untilMs: now.atMs + leaseMs };
  else delete holders[holder];

  // Where nobody else has one or waits, its own come free here, and nobody need know.
  const stays = granted < want && (others > 0 || before > 0);
  const waiting = record.waiting.filter((one) => one.holder !== holder || (stays && granted === 0));
  const spot = waiting.find((one) => one.holder === holder);
  if (stays && spot === undefined) waiting.push({ holder, untilMs: claim.wantUntilMs });
  // Prolonged in good time, and not for each that comes.
  const lasts = spot === undefined || spot.untilMs - now.atMs >= (claim.wantUntilMs - now.atMs) / 2;
  if (spot !== undefined) spot.untilMs = Math.max(spot.untilMs, claim.wantUntilMs);

  const due = own !== undefined && own.untilMs - now.atMs < 0.7 * leaseMs;
  const write =
    due || (own?.permits ?? -1) !== (holders[holder]?.permits ?? -1) || stays !== place >= 0 || !lasts || granted > 0;
  return { record: { ...record, holders, waiting }, kept, granted, write };
}

/** The limit that others use, where they are in the record and it is another one. */
export function clashOf(
  found: ConcurrencyRecord | undefined,
  holder: string,
  limit: number,
  now: Now,
): number | undefined {
  if (found === undefined || found.limit === limit) return undefined;
  const others = Object.keys(live(found, now).holders).some((one) => one !== holder);
  return others ? found.limit : undefined;
}

/** How many permits nobody has. */
export function freePermits(found: ConcurrencyRecord | undefined, limit: number, now: Now): number {
  if (found === undefined) return limit;
  return Math.max(0, limit - usageOf(found, now).inUse);
}

/** How many permits somebody has, and how many processes wait for one. */
export function usageOf(record: ConcurrencyRecord, now: Now): { inUse: number; waiting: number } {
  const { holders, waiting } = live(record, now);
  const inUse = Object.values(holders).reduce((sum, { permits }) => sum + permits, 0);
  return { inUse, waiting: waiting.length };
}

/** True where somebody else waits for a permit. */
export function othersWait(found: ConcurrencyRecord | undefined, holder: string, now: Now): boolean {
  return found?.waiting.some((one) => one.holder !== holder && one.untilMs >= now.atMs && !isFar(one, now)) ?? false;
}

/** When the next lease of another holder ends, if it is not renewed: server time, `Infinity` where there is none. */
export function nextExpiryMs(found: ConcurrencyRecord | undefined, holder: string): number {
  const others = Object.entries(found?.holders ?? {}).filter(([one, { permits }]) => one !== holder && permits > 0);
  return Math.min(Infinity, ...others.map(([, { untilMs }]) => untilMs));
}

function current(found: ConcurrencyRecord | undefined, { holder, limit }: Claim, now: Now): ConcurrencyRecord {
  if (found === undefined) return { v: 1, limit, holders: {}, waiting: [] };
  const record = live(found, now);
  const clash = clashOf(record, holder, limit, now);
  return { ...record, limit: clash === undefined ? limit : Math.min(limit, clash) };
}

/** Without those whose lease or wait is over. A lease is over only when it is so for certain. */
function live(found: ConcurrencyRecord, now: Now): ConcurrencyRecord {
  const earliestMs = now.atMs - now.errorMs;
  const holders = Object.entries(found.holders).filter(([, one]) => one.untilMs >= earliestMs && !isFar(one, now));
  const waiting = found.waiting.filter((one) => one.untilMs >= now.atMs && !isFar(one, now));
  return { ...found, holders: Object.fromEntries(holders), waiting: waiting.map((one) => ({ ...one })) };
}

/** One that says that it lasts longer than any does is nobody's. */
function isFar({ untilMs }: { untilMs: number }, { atMs, errorMs }: Now): boolean {
  return untilMs - atMs - errorMs > longestMs;
}

function takenByOthers({ holders }: ConcurrencyRecord, holder: string): number {
  return Object.entries(holders).reduce((sum, [one, { permits }]) => (one === holder ? sum : sum + permits), 0);
}
