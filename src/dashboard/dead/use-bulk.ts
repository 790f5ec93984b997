/** Asks, requeues or deletes, and tells progress and what came of it. */
import { plural, whole } from "../format.ts";
import { useAsk } from "../parts/confirm.tsx";
import { useNotify } from "../parts/notices.tsx";
import { bulk, type BulkAction, type BulkOutcome } from "./bulk.ts";

const told = {
  requeue: {
    title: (what: string) => `Requeue ${what}?`,
    text: "They are sent to their actors again, with the ids they had, and leave the dead letters.",
    action: (what: string) => `Requeue ${what}`,
    doing: "Requeuing",
    done: "Requeued",
  },
  delete: {
    title: (what: string) => `Delete ${what}?`,
    text: "Their bodies, headers and history are gone for good. Nothing brings them back.",
    action: (what: string) => `Delete ${what} for good`,
    doing: "Deleting",
    done: "Deleted",
  },
} as const;

/** @returns undefined where the answer was no. */
export function useBulk(): (action: BulkAction, sequences: readonly number[]) => Promise<BulkOutcome | undefined> {
  const ask = useAsk();
  const notify = useNotify();
  return async (action, sequences) => {
    const words = told[action];
    const what = plural(sequences.length, "dead letter");
    const question = { title: words.title(what), text: words.text, action: words.action(what) };
    if (!(await ask({ ...question, final: action === "delete" }))) return undefined;
    const key = `dead/${action}`;
    const progress = (count: number): void =>
      notify({ key, kind: "progress", text: `${words.doing}: ${whole(count)} of ${whole(sequences.length)}.` });
    progress(0);
    const outcome = await bulk(action, sequences, progress);
    const { done, failures, stopped } = outcome;
    if (failures.length === 0 && stopped === undefined) {
      notify({ key, kind: "done", text: `${words.done} ${plural(done, "dead letter")}.` });
    } else {
      notify({
        key,
        kind: "failed",
        text: `${words.done} ${whole(done)} of ${whole(sequences.length)}; the others are where they were.`,
        details: [
          ...(stopped === undefined ? [] : [stopped]),
          ...failures.slice(0, 50).map(({ sequence, message }) => `${sequence}: ${message}`),
        ],
      });
    }
    return outcome;
  };
}
