/**
 * Many dead letters, sent again or deleted.
 * 1. Many are under way at once. One that fails stays where it is, and does not stop the others.
 * 2. One call takes so many and no more; it says where to go on. What dies again meanwhile is newer than that, so that going on ends.
 */
import type { StoredMessage } from "../../broker/stream-reader.ts";
import { toError } from "../../kernel/errors.ts";
import type { Redrive } from "../../lifecycle/redrive.ts";
import type { BulkResult } from "../api.ts";
import { look, lookLimit, type DeadParts, type DeadSelection } from "./letters.ts";

export interface ManyParts extends DeadParts {
  dead: Redrive;
}

/** Which ones: those named, or the newest that fit, below a sequence. */
export type Selection = { sequences: readonly number[] } | { query: DeadSelection; before?: number };

export interface ManyHooks {
  /** Sent again: where the task is now. */
  onRequeued?: (letter: { sequence: number; id: string; task: number }) => void;
  onDeleted?: (sequence: number) => void;
  onFailed?: (failure: BulkResult["failures"][number]) => void;
}

/** Letters that one call takes, at most. */
export const bulkLimit = 1_000;
const atOnce = 64;

/** Sends them again, each as a task of its actor, and removes them. */
export function requeueMany(parts: ManyParts, selection: Selection, hooks: ManyHooks = {}): Promise<BulkResult> {
  return forMany(parts, selection, hooks, async (stored) => {
    const { id, sequence: task } = await parts.dead.requeueStored(stored);
    hooks.onRequeued?.({ sequence: stored.sequence, id, task });
  });
}

/** Deletes them for good. */
export function deleteMany(parts: ManyParts, selection: Selection, hooks: ManyHooks = {}): Promise<BulkResult> {
  return forMany(parts, selection, hooks, async (stored) => {
    await parts.dead.purgeStored(stored);
    hooks.onDeleted?.(stored.sequence);
  });
}

async function forMany(
  parts: ManyParts,
  selection: Selection,
  hooks: ManyHooks,
  act: (stored: StoredMessage) => Promise<void>,
): Promise<BulkResult> {
  const { letters, next } = await select(parts, selection);
  const failures: BulkResult["failures"] = [];
  let done = 0;
  const one = async ({ sequence, stored }: Selected): Promise<void> => {
    try {
      await act(stored ?? (await parts.dead.read(sequence)));
      done += 1;
    } catch (thrown) {
      const error = toError(thrown) as Error & { code?: unknown };
      const code = typeof error.code === "string" ? error.code : "UNEXPECTED";
      const failure = { sequence, code, message: error.message };
      failures.push(failure);
      hooks.onFailed?.(failure);
    }
  };
  const left = letters.values();
  const lane = async (): Promise<void> => {
    for (const letter of left) await one(letter);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, letters.length) }, lane));
  return { done, failures, more: next !== undefined, ...(next !== undefined && { next }) };
}

interface Selected {
  sequence: number;
  /** Absent where it has not been read yet. */
  stored?: StoredMessage;
}

async function select(parts: ManyParts, selection: Selection): Promise<{ letters: Selected[]; next?: number }> {
  if ("sequences" in selection) return { letters: [...new Set(selection.sequences)].map((sequence) => ({ sequence })) };
  const { query, before } = selection;
  const options = { limit: bulkLimit, scan: lookLimit, ...(before !== undefined && { before }) };
  const { found, next } = await look(parts, query, options);
  const letters = found.map(({ stored }) => ({ sequence: stored.sequence, stored }));
  return { letters, ...(next !== undefined && { next }) };
}
