/** The actors: a table that stays usable with hundreds of them. */
import { useMemo, useRef } from "preact/hooks";
import type { ActorFrame } from "../../admin/api.ts";
import { useScene } from "../live/use-live.ts";
import { useKeys } from "../parts/keys.ts";
import { Empty, SortHead } from "../parts/small.tsx";
import { refine, type Route } from "../route.ts";
import { ActorRow } from "./actor-row.tsx";
import { columns, filtered, sorted } from "./columns.ts";

/** Rows that are sorted by what moves change places no more often than this. */
const settleMs = 10_000;

export function ActorsView({ route }: { route: Route }) {
  const { live } = useScene();
  const filter = useRef<HTMLInputElement>(null);
  const { q = "", sort: order = "name" } = route.params;
  const all = live.frame?.actors ?? [];
  const shown = useSettled(all, q, order);
  useKeys({ "/": () => filter.current?.focus() });
  if (live.frame !== undefined && all.length === 0) return <NoActors />;
  return (
    <section aria-labelledby="actors-title">
      <div class="bar">
        <h1 id="actors-title">Actors</h1>
        <input
          ref={filter}
          type="search"
          class="filter"
          placeholder="Filter"
          aria-label="Filter the actors by name"
          aria-keyshortcuts="/"
          value={q}
          onInput={(event) => refine(route, { q: event.currentTarget.value })}
          onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        />
        <SortSelect order={order} onOrder={(sort) => refine(route, { sort })} />
        <span class="muted" aria-live="polite">
          {shown.length === all.length ? `${all.length} in all` : `${shown.length} of ${all.length}`}
        </span>
      </div>
      {shown.length === 0 && q !== "" ? (
        <Empty title={`No actor's name has “${q}” in it.`} />
      ) : (
        <table role="table" class="actors" aria-labelledby="actors-title">
          <thead role="rowgroup">
            <tr role="row">
              {columns.map(({ key, title, explain, class: name }) => (
                <SortHead
                  key={key}
                  column={key}
                  title={title}
                  explain={explain}
                  order={order}
                  numeric={key !== "name"}
                  onOrder={(sort) => refine(route, { sort })}
                  {...(name !== undefined && { class: name })}
                />
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {shown.map((actor) => (
              <ActorRow key={actor.actor} actor={actor} params={route.params} />
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

/** On a phone the table has no headings to sort by. */
function SortSelect({ order, onOrder }: { order: string; onOrder: (order: string) => void }) {
  return (
    <select
      class="narrow-only"
      aria-label="Sort"
      value={order}
      onChange={(event) => onOrder(event.currentTarget.value)}
    >
      {columns.map(({ key, title }) => {
        const value = key === "name" ? key : `-${key}`;
        return (
          <option key={key} value={value}>
            {`By ${title.toLowerCase()}`}
          </option>
        );
      })}
    </select>
  );
}

function NoActors() {
  return (
    <Empty title="No actor has run in this namespace yet.">
      <p>
        An actor appears when a worker starts that serves it: <code>godwit worker actors/</code>
      </p>
    </Empty>
  );
}

/** Filtered and in order, with the figures of now and the places of at most ten seconds ago. */
function useSettled(all: readonly ActorFrame[], filter: string, order: string): ActorFrame[] {
  const round = Math.floor(performance.now() / settleMs);
  const names = all.length;
  const places = useMemo(
    () => new Map(sorted(all, order).map(({ actor }, place) => [actor, place])),
    [names, order, order === "name" ? 0 : round],
  );
  const placeOf = ({ actor }: ActorFrame): number => places.get(actor) ?? Infinity;
  return filtered(all, filter).toSorted((a, b) => placeOf(a) - placeOf(b));
}
