/** The filters of the dead letters: actor, reason, text, and the group that was chosen among the failures. */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useScene } from "../live/use-live.ts";
import { refine, type Route } from "../route.ts";
import { reasons } from "./dead-query.ts";

/** A search of the server begins when the typing has paused. */
const pauseMs = 350;

export function Filters({ route, text }: { route: Route; text: RefObject<HTMLInputElement | null> }) {
  const { frame } = useScene().live;
  const { actor = "", reason = "", group } = route.params;
  const names = new Set((frame?.actors ?? []).map((one) => one.actor));
  if (actor !== "") names.add(actor);
  return (
    <>
      <select
        aria-label="Only of this actor"
        value={actor}
        onChange={(event) => refine(route, { actor: event.currentTarget.value })}
      >
        <option value="">all actors</option>
        {[...names].toSorted().map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
      <select
        aria-label="Only with this reason"
        value={reason}
        onChange={(event) => refine(route, { reason: event.currentTarget.value })}
      >
        <option value="">all reasons</option>
        {reasons.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <TextFilter route={route} input={text} />
      {group !== undefined && (
        <button type="button" class="chip" onClick={() => refine(route, { group: undefined })}>
          one group of failures <span aria-hidden="true">×</span>
          <span class="unseen">: show all again</span>
        </button>
      )}
    </>
  );
}

function TextFilter({ route, input }: { route: Route; input: RefObject<HTMLInputElement | null> }) {
  const { text = "" } = route.params;
  const [typed, setTyped] = useState(text);
  const latest = useRef(route);
  latest.current = route;
  useEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (typed === text) return undefined;
    const timer = setTimeout(() => refine(latest.current, { text: typed }), pauseMs);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <input
      ref={input}
      type="search"
      class="filter"
      placeholder="Id or error"
      aria-label="Only those whose id or error has this in it"
      aria-keyshortcuts="/"
      value={typed}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
    />
  );
}
