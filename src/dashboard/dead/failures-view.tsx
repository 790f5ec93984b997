/** The failures: dead letters that are alike, counted together; choosing a group shows its letters. */
import { useEffect, useRef } from "preact/hooks";
import type { DeadGroup } from "../../admin/api.ts";
import { api } from "../api-client.ts";
import { ago, time, whole } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { useKeys } from "../parts/keys.ts";
import { Badge, Empty, Problem } from "../parts/small.tsx";
import { useQuery } from "../parts/use-query.ts";
import { refine, writeRoute, type Route } from "../route.ts";

/** Grouping reads thousands of dead letters. */
const againMs = 10_000;

export function FailuresView({ route }: { route: Route }) {
  const { live } = useScene();
  const filter = useRef<HTMLInputElement>(null);
  const { q = "" } = route.params;
  const { data, error, loading, reload } = useQuery("groups", () => api.deadGroups({}));
  useKeys({ "/": () => filter.current?.focus() });
  useReadAgain(live.frame?.totals.dead, reload);
  const needle = q.toLowerCase();
  const groups = data?.groups ?? [];
  const shown = groups.filter(({ actor, error: text, reason }) =>
    `${actor} ${reason} ${text}`.toLowerCase().includes(needle),
  );
  return (
    <section aria-labelledby="failures-title" aria-busy={loading}>
      <div class="bar">
        <h1 id="failures-title">Failures</h1>
        <input
          ref={filter}
          type="search"
          class="filter"
          placeholder="Filter"
          aria-label="Filter the failures by actor, reason or error"
          aria-keyshortcuts="/"
          value={q}
          onInput={(event) => refine(route, { q: event.currentTarget.value })}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
        <span class="muted">
          {data !== undefined &&
            `${whole(groups.length)} groups among ${data.looked < data.of ? `the newest ${whole(data.looked)} of ` : ""}${whole(data.of)} dead letters`}
        </span>
      </div>
      <Problem error={error} retry={reload} />
      {data === undefined && loading && <p class="muted">Reading…</p>}
      {data !== undefined && shown.length === 0 && (
        <Empty title={q === "" ? "No failures. Nothing was given up on." : `No group has “${q}” in it.`} />
      )}
      {shown.length > 0 && (
        <table role="table" class="groups" aria-labelledby="failures-title">
          <thead role="rowgroup">
            <tr role="row">
              {["Error", "Count", "Reason", "First", "Last"].map((title) => (
                <th key={title} role="columnheader" scope="col" class={title === "Reason" ? "text" : ""}>
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((group) => (
              <GroupRow key={group.group} group={group} most={groups[0]?.count ?? 1} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function GroupRow({ group, most }: { group: DeadGroup; most: number }) {
  const { nowMs } = useScene();
  const { actor, reason, error, count, firstAt, lastAt } = group;
  const [name = "", ...rest] = error.split(": ");
  return (
    <tr role="row">
      <th role="rowheader" scope="row" class="error-cell">
        <a href={writeRoute({ view: "dead", params: { group: group.group, actor } })} data-step>
          <span class="error-name">{name}</span> <span class="error-text">{rest.join(": ")}</span>
        </a>
        <span class="under">{actor}</span>
      </th>
      <td role="cell" data-label="Count" class="counted">
        {whole(count)}
        <meter min={0} max={most} value={count} aria-hidden="true" />
      </td>
      <td role="cell" data-label="Reason" class="text">
        <Badge>{reason}</Badge>
      </td>
      {[firstAt, lastAt].map((at, place) => (
        <td key={place} role="cell" data-label={place === 0 ? "First" : "Last"}>
          <time dateTime={at} title={time(at, nowMs)}>
            {ago(at, nowMs)}
          </time>
        </td>
      ))}
    </tr>
  );
}

/** When dead letters came or went, and not all the time. */
function useReadAgain(dead: number | undefined, reload: () => void): void {
  const last = useRef({ dead, atMs: performance.now() });
  useEffect(() => {
    const due = performance.now() - last.current.atMs >= againMs;
    if (dead === undefined || dead === last.current.dead || !due) return;
    last.current = { dead, atMs: performance.now() };
    reload();
  });
}
