/** One dead letter in the list. */
import type { DeadLetter } from "../../admin/api.ts";
import { ago, time } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { Badge } from "../parts/small.tsx";
import { writeRoute, type Route } from "../route.ts";

export interface LetterRowProps {
  letter: DeadLetter;
  route: Route;
  picked: boolean;
  /** `ranged`: everything from the last one on. Absent: nothing can be picked. */
  onPick?: (sequence: number, ranged: boolean) => void;
}

export function LetterRow({ letter, route, picked, onPick }: LetterRowProps) {
  const { nowMs } = useScene();
  const { sequence, id, actor, reason, error, diedAt, attempts } = letter;
  const open = route.view === "dead" && route.name === String(sequence);
  const href = writeRoute({ view: "dead", name: String(sequence), params: route.params });
  return (
    <tr role="row" class={open || picked ? "chosen" : ""}>
      {onPick !== undefined && (
        <td role="cell" class="pick">
          <input
            type="checkbox"
            checked={picked}
            aria-label={`Select dead letter ${sequence}`}
            data-pick={sequence}
            onClick={(event) => onPick(sequence, event.shiftKey)}
          />
        </td>
      )}
      <th role="rowheader" scope="row" class="error-cell">
        <a href={href} data-step data-sequence={sequence} {...(open && { "aria-current": "true" })}>
          <span class="error-name">{error.name}</span> <span class="error-text">{error.message}</span>
        </a>
        <span class="under">
          {actor} · <span class="mono">{id}</span>
        </span>
      </th>
      <td role="cell" class="text" data-label="Reason">
        <Badge>{reason}</Badge>
      </td>
      <td role="cell" class="wide" data-label="Attempts">
        {attempts}
      </td>
      <td role="cell" data-label="Died">
        <time dateTime={diedAt} title={time(diedAt, nowMs)}>
          {ago(diedAt, nowMs)}
        </time>
      </td>
    </tr>
  );
}
