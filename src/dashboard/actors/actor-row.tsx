/** One actor in the table. Its plots are drawn while the row is on screen. */
import { useRef } from "preact/hooks";
import type { ActorFrame } from "../../admin/api.ts";
import { count, none, rate, share, span } from "../format.ts";
import type { Series } from "../live/history.ts";
import { useScene } from "../live/use-live.ts";
import { useVisible } from "../parts/use-visible.ts";
import { Spark } from "../plot/spark.tsx";
import { writeRoute, type Route } from "../route.ts";
import { holdsOf } from "./guarded.ts";
import { HoldBadges } from "./hold-badges.tsx";

export interface ActorRowProps {
  actor: ActorFrame;
  /** The filter and order of the table, for the way back. */
  params: Route["params"];
}

export function ActorRow({ actor, params }: ActorRowProps) {
  const { live, nowMs } = useScene();
  const row = useRef<HTMLTableRowElement>(null);
  const visible = useVisible(row);
  const { frame, history } = live;
  const figures = history.actors[actor.actor];
  const spark = (series: Series) =>
    visible && figures !== undefined ? (
      <Spark series={series} times={history.times} values={figures[series]} />
    ) : (
      <div class="spark" />
    );
  const unserved = actor.workers === 0 && actor.depth > 0;
  return (
    <tr ref={row} role="row">
      <th role="rowheader" scope="row" class="name">
        <a href={writeRoute({ view: "actors", name: actor.actor, params })} data-step>
          {actor.actor}
        </a>
        {frame !== undefined && <HoldBadges holds={holdsOf(actor, frame, nowMs)} nowMs={nowMs} />}
      </th>
      <td role="cell" data-label="Rate" class="plotted">
        {spark("rate")}
        <span class="figure">{rate(actor.rate)}</span>
      </td>
      <td role="cell" data-label="Depth" class="plotted">
        {spark("depth")}
        <span class="figure">{count(actor.depth)}</span>
        {actor.oldestMs !== undefined && <span class="oldest narrow-only">{span(actor.oldestMs)}</span>}
      </td>
      <td role="cell" data-label="Oldest" class="wide">
        {span(actor.oldestMs)}
      </td>
      <td role="cell" data-label="P50" class="roomy">
        {span(actor.p50Ms)}
      </td>
      <td role="cell" data-label="P95" class="plotted">
        {spark("p95Ms")}
        <span class="figure">{span(actor.p95Ms)}</span>
      </td>
      <td role="cell" data-label="P99" class="roomy">
        {span(actor.p99Ms)}
      </td>
      <td role="cell" data-label="Errors" class="plotted">
        {spark("errorShare")}
        <span class={`figure ${actor.errorShare > 0 ? "bad" : "nil"}`}>
          {actor.rate === 0 && actor.errorShare === 0 ? none : share(actor.errorShare)}
        </span>
      </td>
      <td role="cell" data-label="Running" class="wide">
        {count(actor.running)}
        <span class="of">/{count(actor.concurrency)}</span>
      </td>
      <td role="cell" data-label="Workers" class={`wide ${unserved ? "bad" : ""}`}>
        {actor.workers}
        {unserved && <small>unserved</small>}
      </td>
      <td role="cell" data-label="Dead" class="wide">
        {actor.dead === 0 ? (
          <span class="nil">0</span>
        ) : (
          <a
            href={writeRoute({ view: "dead", params: { actor: actor.actor } })}
            aria-label={`${actor.dead} dead letters of ${actor.actor}`}
          >
            {count(actor.dead)}
          </a>
        )}
      </td>
    </tr>
  );
}
