/**
 * Bulk: requeues or deletes many dead letters, a few hundred at a time, so that progress can be told.
 * They are named one by one and never by a query: what dies meanwhile, perhaps again, is not what was confirmed.
 */
import type { BulkResult, DeadQuery } from "../../admin/api.ts";
import { api } from "../api-client.ts";

export type BulkAction = "requeue" | "delete";

const chunk = 250;
const pageSize = 500;
/** More than this at once is for `godwit dead`. */
export const mostAtOnce = 10_000;

export interface BulkOutcome {
  done: number;
  failures: BulkResult["failures"];
  /** Why it ended before its time; a sentence. */
  stopped?: string;
}

/** Never rejects: what failed is in the outcome. @param tell is given how many were dealt with so far. */
export async function bulk(
  action: BulkAction,
  sequences: readonly number[],
  tell: (count: number) => void,
): Promise<BulkOutcome> {
  const outcome: BulkOutcome = { done: 0, failures: [] };
  for (let at = 0; at < sequences.length; at += chunk) {
    try {
      const { done, failures } = await api.bulk(action, sequences.slice(at, at + chunk));
      outcome.done += done;
      outcome.failures.push(...failures);
    } catch (error) {
      return { ...outcome, stopped: (error as Error).message };
    }
    tell(Math.min(sequences.length, at + chunk));
  }
  return outcome;
}

/** The sequences of all that match, newest first, at most `mostAtOnce`. */
export async function collect(
  query: DeadQuery,
  tell: (found: number) => void,
): Promise<{ sequences: number[]; cut: boolean }> {
  const sequences: number[] = [];
  let before: number | undefined;
  do {
    const page = await api.deadPage({ ...query, limit: pageSize, ...(before !== undefined && { before }) });
    sequences.push(...page.letters.map(({ sequence }) => sequence));
    before = page.next;
    tell(sequences.length);
  } while (before !== undefined && sequences.length < mostAtOnce);
  return { sequences: sequences.slice(0, mostAtOnce), cut: before !== undefined };
}
