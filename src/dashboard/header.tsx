/** Header: where one is, what the whole does, whether the figures are fresh, and the way to everything else. */
import type { Frame } from "../admin/api.ts";
import { count, rate, share, span } from "./format.ts";
import { ageMs, useScene, useSeconds } from "./live/use-live.ts";
import { Badge } from "./parts/small.tsx";
import type { Theme } from "./parts/use-theme.ts";
import { writeRoute, type View } from "./route.ts";

export const viewTitles: Record<View, { title: string; short?: string; key: string }> = {
  actors: { title: "Actors", key: "a" },
  failures: { title: "Failures", key: "f" },
  dead: { title: "Dead letters", short: "Dead", key: "d" },
  guards: { title: "Guards", key: "b" },
  workers: { title: "Workers", key: "w" },
  explain: { title: "Explain", key: "e" },
};

export interface HeaderProps {
  view: View;
  theme: Theme;
  onTheme: () => void;
  onHelp: () => void;
}

export function Header({ view, theme, onTheme, onHelp }: HeaderProps) {
  const { live, session } = useScene();
  return (
    <header>
      <div class="top">
        <p class="brand">
          godwit {session !== undefined && <span class="namespace">{session.namespace}</span>}
          {session?.readOnly === true && <Badge title="Nothing can be changed from here">read-only</Badge>}
        </p>
        <nav aria-label="Views">
          {Object.entries(viewTitles).map(([name, { title, short, key }]) => (
            <a
              key={name}
              href={writeRoute({ view: name as View })}
              aria-keyshortcuts={`g ${key}`}
              {...(name === view && { "aria-current": "page" })}
            >
              {short === undefined ? (
                title
              ) : (
                <>
                  <span class="wide-only">{title}</span>
                  <span class="narrow-only">{short}</span>
                </>
              )}
              {name === "dead" && (live.frame?.totals.dead ?? 0) > 0 && (
                <span class="tally">{count(live.frame?.totals.dead ?? 0)}</span>
              )}
            </a>
          ))}
        </nav>
        <div class="tools">
          <Freshness />
          <button type="button" class="quiet" aria-pressed={theme === "dark"} aria-keyshortcuts="t" onClick={onTheme}>
            {theme === "dark" ? "Light" : "Dark"}
            <span class="unseen"> mode</span>
          </button>
          <button type="button" class="quiet" aria-label="Help and keys" aria-keyshortcuts="?" onClick={onHelp}>
            ?
          </button>
        </div>
      </div>
      <Cut />
      {live.frame !== undefined && <Totals frame={live.frame} />}
      {live.frame?.problems.map((problem) => (
        <p key={problem} class="problem" role="alert">
          {problem}
        </p>
      ))}
    </header>
  );
}

function Freshness() {
  const { live } = useScene();
  const stale = live.connection === "live" && live.frame?.stale === true;
  const words = { connecting: "connecting", live: stale ? "no server" : "live", cut: "cut off" }[live.connection];
  return (
    <span class={`freshness ${stale ? "cut" : live.connection}`} role="status">
      {words}
    </span>
  );
}

/** Says plainly that the figures are old. */
function Cut() {
  const { live } = useScene();
  const cut = live.connection === "cut";
  useSeconds(cut);
  if (!cut) return null;
  const old = live.frame === undefined ? "Nothing was heard yet" : `These figures are ${span(ageMs(live))} old`;
  return (
    <p class="problem cut" role="alert">
      Cut off from the dashboard's server. {old}. Trying again each few seconds.
    </p>
  );
}

function Totals({ frame: { totals } }: { frame: Frame }) {
  const figures: [string, string, boolean?][] = [
    ["rate", rate(totals.rate)],
    ["errors", share(totals.errorShare), totals.errorShare > 0],
    ["depth", count(totals.depth)],
    ["in flight", count(totals.inFlight)],
    ["dead", count(totals.dead)],
    ["workers", count(totals.workers), totals.workers === 0],
  ];
  return (
    <dl class="totals" aria-label="In all">
      {figures.map(([title, value, bad = false]) => (
        <div key={title}>
          <dt>{title}</dt>
          <dd class={bad ? "bad" : ""}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
