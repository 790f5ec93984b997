/** App: the shell around the views, and what all of them share. */
import { useEffect, useRef, useState } from "preact/hooks";
import { ActorDetail } from "./actors/actor-detail.tsx";
import { ActorsView } from "./actors/actors-view.tsx";
import { api } from "./api-client.ts";
import { DeadView } from "./dead/dead-view.tsx";
import { FailuresView } from "./dead/failures-view.tsx";
import { ExplainView } from "./explain/explain-view.tsx";
import { GuardsView } from "./guards/guards-view.tsx";
import { Header, viewTitles } from "./header.tsx";
import { Help } from "./help.tsx";
import { SceneContext, serverNowMs, useFeed } from "./live/use-live.ts";
import { AskContext, Confirm, type Ask, type Question } from "./parts/confirm.tsx";
import { step, useKeys } from "./parts/keys.ts";
import { Notices, NotifyContext, useNotices } from "./parts/notices.tsx";
import { Problem } from "./parts/small.tsx";
import { useQuery } from "./parts/use-query.ts";
import { useTheme } from "./parts/use-theme.ts";
import { ThemeContext } from "./plot/plot.tsx";
import { go, useRoute, views, type Route, type View } from "./route.ts";
import { WorkersView } from "./workers/workers-view.tsx";

export function App() {
  const live = useFeed();
  const route = useRoute();
  const session = useQuery("session", api.session);
  const [theme, toggleTheme] = useTheme();
  const { notices, notify, dismiss } = useNotices();
  const [asking, setAsking] = useState<{ question: Question; answer: (yes: boolean) => void }>();
  const [helping, setHelping] = useState(false);
  const ask: Ask = (question) => new Promise((answer) => setAsking({ question, answer }));

  useKeys({
    ...Object.fromEntries(views.map((view) => [`g ${viewTitles[view].key}`, () => go({ view })])),
    j: () => void step(1),
    k: () => void step(-1),
    t: toggleTheme,
    "?": () => setHelping(true),
  });
  useEffect(() => {
    if (live.connection === "live" && session.error !== undefined) session.reload();
  }, [live.connection]);
  useEffect(() => {
    document.title = `${route.name ?? viewTitles[route.view].title} · Godwit`;
  }, [route.view, route.name]);
  useScrollPlaces(route);

  return (
    <SceneContext.Provider value={{ live, session: session.data, nowMs: serverNowMs(live) }}>
      <ThemeContext.Provider value={theme}>
        <NotifyContext.Provider value={notify}>
          <AskContext.Provider value={ask}>
            <a class="skip" href="#main" onClick={skip}>
              Skip to the content
            </a>
            <Header view={route.view} theme={theme} onTheme={toggleTheme} onHelp={() => setHelping(true)} />
            <main id="main" tabIndex={-1}>
              {live.connection !== "cut" && <Problem error={session.error} retry={session.reload} />}
              <Content route={route} />
            </main>
            <Notices notices={notices} dismiss={dismiss} />
            {helping && <Help onClose={() => setHelping(false)} />}
            {asking !== undefined && (
              <Confirm
                question={asking.question}
                onAnswer={(yes) => {
                  setAsking(undefined);
                  asking.answer(yes);
                }}
              />
            )}
          </AskContext.Provider>
        </NotifyContext.Provider>
      </ThemeContext.Provider>
    </SceneContext.Provider>
  );
}

/** A list is found again as far down as it was left; what is opened begins at its top. */
function useScrollPlaces({ view, name }: Route): void {
  const places = useRef(new Map<View, number>());
  // The list of dead letters stays beside the one that is open.
  const list = name === undefined || view === "dead";
  useEffect(() => {
    scrollTo(0, list ? (places.current.get(view) ?? 0) : 0);
    if (!list) return undefined;
    const remember = (): void => void places.current.set(view, scrollY);
    addEventListener("scroll", remember, { passive: true });
    return () => removeEventListener("scroll", remember);
  }, [view, list ? "" : name]);
}

function Content({ route }: { route: Route }) {
  switch (route.view) {
    case "actors":
      return route.name === undefined ? (
        <ActorsView route={route} />
      ) : (
        <ActorDetail key={route.name} name={route.name} params={route.params} />
      );
    case "failures":
      return <FailuresView route={route} />;
    case "dead":
      return <DeadView route={route} />;
    case "guards":
      return <GuardsView />;
    case "workers":
      return <WorkersView />;
    case "explain":
      return <ExplainView route={route} />;
  }
}

/** The address behind the `#` is the view's: the focus moves without it. */
function skip(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>("#main")?.focus();
}
