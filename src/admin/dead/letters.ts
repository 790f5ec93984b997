/**
 * Dead letters, looked through for people: pages of the newest, and groups of those alike.
 * 1. There is no index but that by actor, so a look is bounded, and says how many letters it looked at and how many there are.
 * 2. What stands in the stream and was not written by Godwit is passed over.
 */
import type { StoredMessage, StreamReader } from "../../broker/stream-reader.ts";
import { infoOf, type DeadInfo } from "../../lifecycle/dead-letter.ts";
import type { Names } from "../../message/subjects.ts";
import type { DeadGroup, DeadGroups, DeadLetter, DeadPage, DeadQuery } from "../api.ts";
import { errorAlike, fingerprint } from "./fingerprint.ts";
import { newestFirst } from "./newest-first.ts";

export interface DeadParts {
  names: Names;
  reader: StreamReader;
}

/** As a `DeadQuery`, or the one message with an id. */
export interface DeadSelection extends DeadQuery {
  id?: string;
}

export interface Found {
  stored: StoredMessage;
  info: DeadInfo;
}

export interface Look {
  /** Only those with a lower sequence. Default: all. */
  before?: number;
  /** Stops once so many fit. */
  limit: number;
  /** Letters to look at, at most. */
  scan: number;
}

export interface Looked {
  found: Found[];
  /** Where to go on, as `before`; undefined at the oldest. */
  next?: number;
  looked: number;
  of: number;
  /** Sequences of what stands among them and is no dead letter. */
  foreign: number[];
}

/** Letters that one look goes through, at most. */
export const lookLimit = 10_000;
/** Bodies come along, so a look at large ones ends sooner. */
const maxBytes = 64 * 1_048_576;
const maxWant = 1_000;

/** Those that fit, the newest first. */
export async function look(parts: DeadParts, query: DeadSelection, { before, limit, scan }: Look): Promise<Looked> {
  const { names, reader } = parts;
  const filter = query.actor === undefined ? undefined : names.deadFilter(query.actor);
  const state = await reader.state(names.dead);
  const of = filter === undefined ? state?.messages : await reader.count(names.dead, filter);
  const found: Found[] = [];
  const foreign: number[] = [];
  if (state === undefined || of === undefined || of === 0) return { found, foreign, looked: 0, of: 0 };
  let looked = 0;
  let bytes = 0;
  const enough = (): boolean => found.length >= limit || looked >= scan || bytes >= maxBytes;
  const selective = [query.reason, query.group, query.text, query.id].some((one) => one !== undefined);
  const want = Math.min(selective ? Math.min(scan, maxWant) : limit, maxWant);
  const from = { stream: names.dead, filter, before: before ?? Infinity, state, of, want };
  for await (const block of newestFirst(reader, from)) {
    for (const stored of block.messages) {
      if (enough()) return { found, foreign, next: stored.sequence + 1, looked, of };
      looked += 1;
      bytes += stored.body.length;
      const info = infoOf(stored);
      if (info === undefined) foreign.push(stored.sequence);
      else if (fits(info, query)) found.push({ stored, info });
    }
    if (enough()) {
      return { found, foreign, looked, of, ...(block.from > state.firstSequence && { next: block.from }) };
    }
  }
  return { found, foreign, looked, of };
}

/** A page of the newest. */
export async function deadPage(
  parts: DeadParts,
  query: DeadSelection,
  { before, limit, scan = lookLimit }: { before?: number; limit: number; scan?: number },
): Promise<DeadPage> {
  const {
    found,
    foreign: _foreign,
    ...rest
  } = await look(parts, query, {
    limit,
    scan,
    ...(before !== undefined && { before }),
  });
  return { letters: found.map(summary), ...rest };
}

/** How many of the newest are alike. */
export async function deadGroups(parts: DeadParts, query: DeadSelection, scan = lookLimit): Promise<DeadGroups> {
  const { found, looked, of } = await look(parts, query, { limit: scan, scan });
  const groups = new Map<string, DeadGroup>();
  for (const { stored, info } of found) {
    const group = fingerprint(info);
    const known = groups.get(group);
    if (known !== undefined) {
      known.count += 1;
      if (info.diedAt < known.firstAt) known.firstAt = info.diedAt;
      if (info.diedAt > known.lastAt) known.lastAt = info.diedAt;
      continue;
    }
    const { actor, reason, diedAt } = info;
    const { sequence } = stored;
    const error = errorAlike(info);
    groups.set(group, { group, actor, reason, error, count: 1, firstAt: diedAt, lastAt: diedAt, sequence });
  }
  return { groups: [...groups.values()].toSorted((a, b) => b.count - a.count), looked, of };
}

/** What a list shows of it. */
export function summary({ stored, info }: Found): DeadLetter {
  const { id, actor, reason, error, diedAt, attempts, deliveries, stalls } = info;
  return {
    sequence: stored.sequence,
    id,
    actor,
    reason,
    error: { name: error.name, message: error.message },
    diedAt,
    storedAt: info.origin.storedAt,
    attempts,
    deliveries,
    stalls,
    sizeBytes: stored.body.length,
    group: fingerprint(info),
  };
}

function fits(info: DeadInfo, { actor, reason, group, text, id }: DeadSelection): boolean {
  if (actor !== undefined && info.actor !== actor) return false;
  if (reason !== undefined && info.reason !== reason) return false;
  if (id !== undefined && info.id !== id) return false;
  if (text !== undefined && !mentions(info, text.toLowerCase())) return false;
  return group === undefined || fingerprint(info) === group;
}

function mentions({ id, error }: DeadInfo, text: string): boolean {
  return [id, error.name, error.message].some((one) => one.toLowerCase().includes(text));
}
