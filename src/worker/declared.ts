/** Declared: what live workers go by, as their leases say, where configs of one actor differ, as during a deploy. */
import type { ResolvedConfig } from "../actor/config.ts";
import { key, subjectMatches } from "../message/names.ts";
import type { Names } from "../message/subjects.ts";
import type { Declared, WorkerLease } from "./snapshot.ts";

/** Under which a process changes the durables of an actor: an update sends back all that was read before. */
export function holdKey(actor: string): string {
  return `durables.${key(actor)}`;
}

/** What a worker declares of an actor. */
export function declaredOf(names: Names, { ackWaitMs, subscriptions }: ResolvedConfig): Declared {
  const filters = subscriptions.map(({ stream, subject }) =>
    stream === undefined ? names.eventSubject(subject) : subject,
  );
  return { ackWaitMs, filters };
}

/** The longest that a live worker goes by. @param standsAtMs what the durable has: one of an older version may go by it. */
export function longestAckWaitMs(
  leases: readonly WorkerLease[],
  actor: string,
  ownMs: number,
  standsAtMs: number,
): number {
  return Math.max(ownMs, ...liveOf(leases, actor).map((declared) => declared?.ackWaitMs ?? standsAtMs));
}

/** A worker's own filters, and those of the `more` that its durable has which a live worker declares. What another one covers is left out. */
export function filtersBeside(leases: readonly WorkerLease[], actor: string, own: string[], more: string[]): string[] {
  const live = liveOf(leases, actor);
  const needed = more.filter((filter) => live.some((declared) => declared?.filters.includes(filter) ?? true));
  const all = [...own, ...needed];
  return all.filter((one) => !all.some((other) => other !== one && covers(other, one)));
}

function liveOf(leases: readonly WorkerLease[], actor: string): (Declared | undefined)[] {
  return leases.filter(({ actors }) => actors.includes(actor)).map(({ declared }) => declared?.[actor]);
}

/** Whether all that the second pattern matches is matched by the first. */
export function covers(pattern: string, other: string): boolean {
  // A last ">" of the other stands for any number of parts.
  return subjectMatches(pattern, other) && (pattern.endsWith(">") || !other.endsWith(">"));
}
