/**
 * Checker: accounts for every message of a test, from the journal and from what the server still has. Pure.
 * 1. Accepted is what its publisher was told that JetStream has. Whatever else happened to its id is looked up in the journal.
 * 2. Completed is what ran to its end and was not dropped then; the server's word for the ack may have been lost with its worker.
 * 3. Lost is what was accepted and is neither completed, nor dead, nor still there.
 */
import type { Entry } from "../../support/faults/journal.ts";

export interface Evidence {
  /** In the order in which it was written: `accepted` of publishers, and what workers wrote. */
  entries: Iterable<Entry>;
  /** Ids of dead letters. */
  dead: Iterable<string>;
  /** Ids of messages that are still in their stream. */
  waiting: Iterable<string>;
}

export interface Account {
  accepted: number;
  completed: number;
  dead: number;
  waiting: number;
  /** Ran to their end more than once. */
  duplicated: string[];
  /** A run began after the server had confirmed the ack of an earlier one. */
  afterAck: string[];
  /** Completed and dead. */
  both: string[];
  lost: string[];
  /** Ran or died, and no publisher was told that it was accepted: its PubAck was lost with the publisher or its patience. */
  unasked: string[];
}

export function account({ entries, dead, waiting }: Evidence): Account {
  const accepted = new Set<string>();
  const ends = new Map<string, number>();
  const ran = new Set<string>();
  const acked = new Set<string>();
  const afterAck = new Set<string>();
  for (const { what, id } of entries) {
    switch (what) {
      case "accepted":
        accepted.add(id);
        break;
      case "run":
        ran.add(id);
        if (acked.has(id)) afterAck.add(id);
        break;
      case "done":
        ends.set(id, (ends.get(id) ?? 0) + 1);
        break;
      case "completed":
        acked.add(id);
        break;
      default:
    }
  }
  const buried = new Set(dead);
  const there = new Set(waiting);
  const known = (id: string): boolean => ends.has(id) || buried.has(id) || there.has(id);
  return {
    accepted: accepted.size,
    completed: count(accepted, (id) => ends.has(id)),
    dead: count(accepted, (id) => buried.has(id)),
    waiting: count(accepted, (id) => there.has(id) && !ends.has(id)),
    duplicated: [...ends].filter(([, times]) => times > 1).map(([id]) => id),
    afterAck: [...afterAck],
    both: [...buried].filter((id) => acked.has(id)),
    lost: [...accepted].filter((id) => !known(id)),
    unasked: [...new Set([...ran, ...buried])].filter((id) => !accepted.has(id)),
  };
}

/** The account in one line. */
export function inWords(one: Account): string {
  const few = (ids: readonly string[]): string =>
    ids.length === 0 ? "0" : `${ids.length} (${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ", …" : ""})`;
  return (
    `${one.accepted} accepted: ${one.completed} completed, ${one.dead} dead, ${one.waiting} still there, ${few(one.lost)} lost; ` +
    `${few(one.duplicated)} duplicated, ${few(one.afterAck)} run after their ack, ${few(one.both)} completed and dead, ${few(one.unasked)} never said to be accepted`
  );
}

function count(ids: Iterable<string>, matches: (id: string) => boolean): number {
  let found = 0;
  for (const id of ids) if (matches(id)) found += 1;
  return found;
}
