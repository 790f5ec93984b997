/** What can be done with the dead letters that are picked. */
import { plural, whole } from "../format.ts";
import type { BulkAction } from "./bulk.ts";

export interface BulkBarProps {
  picked: number;
  /** How many the list shows. */
  listed: number;
  /** More match than the list shows. */
  more: boolean;
  onAction: (action: BulkAction) => void;
  onListed: () => void;
  onAll: () => void;
  onClear: () => void;
}

export function BulkBar({ picked, listed, more, onAction, onListed, onAll, onClear }: BulkBarProps) {
  return (
    <div class="bulk" role="group" aria-label="The selection">
      <span aria-live="polite">{picked === 0 ? "None selected" : `${whole(picked)} selected`}</span>
      <button type="button" disabled={picked === 0} aria-keyshortcuts="r" onClick={() => onAction("requeue")}>
        Requeue
      </button>
      <button
        type="button"
        class="danger"
        disabled={picked === 0}
        aria-keyshortcuts="#"
        onClick={() => onAction("delete")}
      >
        Delete
      </button>
      {more && (
        <button type="button" class="quiet" onClick={onListed}>
          Select these {whole(listed)}
        </button>
      )}
      <button type="button" class="quiet" aria-keyshortcuts="*" onClick={onAll} title={plural(listed, "listed letter")}>
        Select all that match
      </button>
      {picked > 0 && (
        <button type="button" class="quiet" onClick={onClear}>
          Clear
        </button>
      )}
    </div>
  );
}
