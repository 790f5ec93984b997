/** The workers: where each runs, how it feels, and why where it does not feel well. */
import type { WorkerFrame } from "../../admin/api.ts";
import { bytes, count, none, rate, span } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { Badge, Empty, type Tone } from "../parts/small.tsx";
import { writeRoute } from "../route.ts";

export function WorkersView() {
  const { frame } = useScene().live;
  if (frame === undefined) return null;
  if (frame.workers.length === 0) {
    return (
      <Empty title="No worker runs in this namespace.">
        <p>
          Start one with <code>godwit worker actors/</code>; messages wait until then.
        </p>
      </Empty>
    );
  }
  return (
    <section aria-labelledby="workers-title">
      <div class="bar">
        <h1 id="workers-title">Workers</h1>
        <span class="muted">{frame.workers.length} in all</span>
      </div>
      <table role="table" class="workers" aria-labelledby="workers-title">
        <thead role="rowgroup">
          <tr role="row">
            {["Worker", "State", "Version", "Age", "Running", "In hand", "Rate", "Memory", "Heap", "Loop P99"].map(
              (title) => (
                <th key={title} role="columnheader" scope="col" class={classes[title]}>
                  {title}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {frame.workers.map((worker) => (
            <WorkerRow key={worker.id} worker={worker} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

const classes: Record<string, string> = { State: "text", Version: "wide" };

function WorkerRow({ worker }: { worker: WorkerFrame }) {
  const { nowMs } = useScene();
  const { host, pid, id, version, startedAt, live, last, group, actors } = worker;
  const figures = live ?? last;
  return (
    <tr role="row">
      <th role="rowheader" scope="row" class="name">
        <span data-step tabIndex={-1} title={group === undefined ? id : `${id} of ${group}`}>
          {host} <span class="of">{pid}</span>
        </span>
        <details class="served">
          <summary>{actors.length === 1 ? "1 actor" : `${actors.length} actors`}</summary>
          <p class="links">
            {actors.map((actor) => (
              <a key={actor} href={writeRoute({ view: "actors", name: actor })}>
                {actor}
              </a>
            ))}
          </p>
        </details>
      </th>
      <td role="cell" data-label="State" class="text">
        <StateOf worker={worker} />
      </td>
      <td role="cell" data-label="Version" class="wide">
        {version}
      </td>
      <td role="cell" data-label="Age">
        {span(Math.max(0, nowMs - Date.parse(startedAt)))}
      </td>
      <td role="cell" data-label="Running">
        {figures === undefined ? none : count(figures.running)}
        {live !== undefined && <span class="of">/{count(live.concurrency)}</span>}
      </td>
      <td role="cell" data-label="In hand">
        {figures === undefined ? none : count(figures.inHand)}
      </td>
      <td role="cell" data-label="Rate">
        {live === undefined ? none : rate(live.rate)}
      </td>
      <td role="cell" data-label="Memory">
        {figures === undefined ? none : bytes(figures.rssBytes)}
      </td>
      <td role="cell" data-label="Heap">
        {live === undefined ? none : bytes(live.heapUsedBytes)}
        {live !== undefined && <span class="of limit">/{bytes(live.heapLimitBytes)}</span>}
      </td>
      <td role="cell" data-label="Loop P99">
        {figures === undefined ? none : span(figures.loopP99Ms)}
      </td>
    </tr>
  );
}

function StateOf({ worker }: { worker: WorkerFrame }) {
  const { nowMs } = useScene();
  const { tone, word, why } = stateOf(worker, nowMs);
  return (
    <>
      <Badge tone={tone}>{word}</Badge>
      {why.map((sentence) => (
        <small key={sentence}>{sentence}</small>
      ))}
    </>
  );
}

function stateOf(
  { state, live, last }: WorkerFrame,
  nowMs: number,
): { tone: Tone; word: string; why: readonly string[] } {
  if (state === "starting") return { tone: "warn", word: "starting", why: ["Its actors have not all started."] };
  if (state === "silent") {
    const why = "It does not answer, or in another version's words: stopped, blocked, cut off, or just killed.";
    if (last === undefined) return { tone: "bad", word: "silent", why: [why] };
    const ago = span(Math.max(0, nowMs - Date.parse(last.at)));
    return { tone: "bad", word: "silent", why: [why, `Its figures are ${ago} old, from when it was ${last.state}.`] };
  }
  if (live?.healthy === false) return { tone: "bad", word: "unhealthy", why: live.unhealthyReasons };
  const blocked = live === undefined || live.blocked === 0 ? [] : [`Its event loop was blocked ${live.blocked} times.`];
  if (state === "draining") return { tone: "warn", word: "draining", why: blocked };
  return { tone: "good", word: "healthy", why: blocked };
}
