/** One dead letter, whole: its error, the history of its attempts, its headers, its body if it may be shown. */
import type { ComponentChild } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { DeadDetail } from "../../admin/api.ts";
import { api } from "../api-client.ts";
import { ago, bytes, plural, time } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { Badge, Problem } from "../parts/small.tsx";
import { useQuery } from "../parts/use-query.ts";
import { writeRoute } from "../route.ts";

export interface LetterDetailProps {
  sequence: number;
  onClose: () => void;
  /** Called when it was requeued or deleted. */
  onAction: (action: "requeue" | "delete") => void;
}

export function LetterDetail({ sequence, onClose, onAction }: LetterDetailProps) {
  const { data, error, loading, reload } = useQuery(String(sequence), () => api.deadLetter(sequence));
  const pane = useRef<HTMLElement>(null);
  // On a narrow screen it takes the place of the list.
  useEffect(() => pane.current?.focus(), [sequence]);
  return (
    <aside ref={pane} class="pane" tabIndex={-1} aria-label={`Dead letter ${sequence}`} aria-busy={loading}>
      <div class="pane-head">
        <h2>Dead letter {sequence}</h2>
        <button
          type="button"
          class="quiet"
          aria-label="Close the dead letter"
          aria-keyshortcuts="Escape"
          onClick={onClose}
        >
          ×
        </button>
      </div>
      <Problem error={error} retry={reload} />
      {data !== undefined && <Letter letter={data} onAction={onAction} />}
    </aside>
  );
}

function Letter({ letter, onAction }: { letter: DeadDetail; onAction: LetterDetailProps["onAction"] }) {
  const { session, nowMs } = useScene();
  const { id, actor, reason, error, stack, diedAt, attempts, deliveries, stalls, sizeBytes, origin } = letter;
  const facts: [string, ComponentChild][] = [
    ["Actor", <a href={writeRoute({ view: "actors", name: actor })}>{actor}</a>],
    ["Id", <span class="mono">{id}</span>],
    ["Reason", <Badge>{reason}</Badge>],
    ["Died", `${time(diedAt, nowMs)}, ${ago(diedAt, nowMs)}`],
    ["Ran", `${plural(attempts, "attempt")}, handed over ${plural(deliveries, "time")}`],
    ...(stalls === 0 ? [] : [["Stalls", `${plural(stalls, "run")} whose worker died`] as [string, string]]),
    ["Was", <span class="mono">{`${origin.stream}:${origin.sequence}`}</span>],
    ["Subject", <span class="mono">{origin.subject}</span>],
    ["Size", bytes(sizeBytes)],
  ];
  return (
    <>
      <p class="error-full">
        <strong>{error.name}</strong> {error.message}
      </p>
      {session?.readOnly === false && (
        <p class="buttons">
          <button type="button" class="primary" onClick={() => onAction("requeue")}>
            Requeue
          </button>
          <button type="button" class="danger" onClick={() => onAction("delete")}>
            Delete
          </button>
        </p>
      )}
      <dl class="facts">
        {facts.map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {stack !== undefined && (
        <details open>
          <summary>Stack and causes</summary>
          <pre>{stack}</pre>
        </details>
      )}
      <History letter={letter} />
      <Content letter={letter} bodies={session?.bodies === true} />
    </>
  );
}

function History({ letter }: { letter: DeadDetail }) {
  const { nowMs } = useScene();
  if (letter.history.length === 0) return <p class="muted">No history of attempts was kept.</p>;
  return (
    <>
      <h3>Attempts</h3>
      <ol class="history">
        {letter.history.map(({ at, attempt, name, message }) => (
          <li key={`${attempt}/${at}`} value={attempt}>
            <time dateTime={at}>{time(at, nowMs)}</time> <strong>{name}</strong> {message}
          </li>
        ))}
      </ol>
    </>
  );
}

/** What its sender wrote, which may be nobody else's business. */
function Content({ letter: { headers, body }, bodies }: { letter: DeadDetail; bodies: boolean }) {
  if (!bodies) {
    return (
      <p class="muted">
        Headers and body are hidden. Whoever starts the dashboard allows them with <code>--show-bodies</code>.
      </p>
    );
  }
  return (
    <>
      <h3>Body</h3>
      {body === undefined ? (
        <p class="muted">It has none, or it could not be read.</p>
      ) : (
        <>
          {body.cut && <p class="muted">Only its beginning is shown.</p>}
          {body.format === "hex" && <p class="muted">It could not be decoded: its bytes, in hexadecimal.</p>}
          <pre>{body.text}</pre>
        </>
      )}
      <h3>Headers</h3>
      <dl class="facts long">
        {headers.map(([name, values]) => (
          <div key={name}>
            <dt class="mono">{name}</dt>
            <dd class="mono">{values.join(", ")}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
