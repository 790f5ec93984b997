/** Look-up: what has become of a message, by its id. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Answer, Explanation } from "../../admin/api.ts";
import { api } from "../api-client.ts";
import { ago, time, whole } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { useKeys } from "../parts/keys.ts";
import { Badge, Empty, Problem } from "../parts/small.tsx";
import { useQuery } from "../parts/use-query.ts";
import { refine, writeRoute, type Route } from "../route.ts";
import { hindrances, inWords } from "./words.ts";

export function ExplainView({ route }: { route: Route }) {
  const { id } = route.params;
  const [typed, setTyped] = useState(id ?? "");
  const input = useRef<HTMLInputElement>(null);
  const ask = (): Promise<Explanation> => api.explain({ id: id ?? "" });
  const { data, error, loading, reload } = useQuery(id, ask);
  useKeys({ "/": () => input.current?.focus() });
  useEffect(() => input.current?.focus(), []);
  // A link, or the way back, leads to another message.
  useEffect(() => setTyped(id ?? ""), [id]);
  return (
    <section aria-labelledby="explain-title" class="explain">
      <div class="bar">
        <h1 id="explain-title">Explain</h1>
        <form
          class="lookup"
          onSubmit={(event) => {
            event.preventDefault();
            const wanted = typed.trim();
            if (wanted === id) reload();
            else refine(route, { id: wanted });
          }}
        >
          <input
            ref={input}
            type="text"
            class="filter mono"
            placeholder="Message id, or STREAM:SEQ"
            aria-label="Id of the message, or its stream and sequence"
            autocomplete="off"
            spellcheck={false}
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
          <button type="submit" class="primary" disabled={typed.trim() === ""}>
            Explain
          </button>
        </form>
      </div>
      <Problem error={error} retry={reload} />
      {loading && data === undefined && <p class="muted">Looking…</p>}
      {data !== undefined && <Answers explanation={data} />}
      {id === undefined && (
        <p class="muted">What has become of a message: paste its id, as the sender got it or a log shows it.</p>
      )}
    </section>
  );
}

function Answers({ explanation: { query, found, searched } }: { explanation: Explanation }) {
  const cuts = searched.filter(({ looked, of }) => looked < of);
  return (
    <div aria-live="polite">
      {found.length === 0 && (
        <Empty title={`Nothing is stored about ${query}.`}>
          <p>It was never sent, or it is done and its actor keeps no results, or what was kept has expired.</p>
        </Empty>
      )}
      {found.map((answer, place) => (
        <AnswerCard key={place} answer={answer} />
      ))}
      {cuts.map(({ stream, looked, of }) => (
        <p key={stream} class="muted">
          Of {stream} only the newest {whole(looked)} of {whole(of)} messages were looked through; older ones are found
          by <code>godwit explain --scan</code>.
        </p>
      ))}
    </div>
  );
}

function AnswerCard({ answer }: { answer: Answer }) {
  const { nowMs } = useScene();
  const { id, actor, state } = answer;
  const place = "place" in answer ? answer.place : undefined;
  const errors = "errors" in answer ? answer.errors : [];
  return (
    <article class="card finding">
      <h2>
        {actor === undefined ? "Message" : <a href={writeRoute({ view: "actors", name: actor })}>{actor}</a>}{" "}
        <span class="mono">{id}</span>{" "}
        <Badge tone={state === "dead" || state === "failed" ? "bad" : "plain"}>{state}</Badge>
      </h2>
      <p class="answer">{inWords(answer, nowMs)}</p>
      {hindrances(answer, nowMs).map((sentence) => (
        <p key={sentence} class="hindrance">
          {sentence}
        </p>
      ))}
      {answer.state === "dead" && (
        <p>
          <a href={writeRoute({ view: "dead", name: String(answer.sequence) })}>Open the dead letter</a>
        </p>
      )}
      {errors.length > 0 && (
        <ol class="history">
          {errors.map(({ at, attempt, name, message }) => (
            <li key={attempt} value={attempt}>
              <time>{time(new Date(at).toISOString(), nowMs)}</time> <strong>{name}</strong> {message}
            </li>
          ))}
        </ol>
      )}
      {place !== undefined && (
        <p class="muted">
          <span class="mono">{`${place.stream}:${place.sequence}`}</span>, stored {ago(place.storedAt, nowMs)}
          {place.lane !== undefined && `, lane ${place.lane}`}
          {place.expiresAt !== undefined && `, expires ${time(place.expiresAt, nowMs)}`}
        </p>
      )}
      {answer.state === "completed" && answer.value !== undefined && answer.value !== null && (
        <pre>{JSON.stringify(answer.value, null, 2)}</pre>
      )}
    </article>
  );
}
