/** The feed for components: its state, and what time it is on the server. */
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { Session } from "../../admin/api.ts";
import { Feed, nothingYet, type Live } from "./feed.ts";

/** Starts the feed with the component and stops it with it. */
export function useFeed(): Live {
  const [live, setLive] = useState<Live>(nothingYet);
  useEffect(() => {
    const feed = new Feed(setLive);
    feed.start();
    return () => feed.stop();
  }, []);
  return live;
}

/** What every view may look at. `nowMs` is the server's wall clock, as of this drawing. */
export interface Scene {
  live: Live;
  session: Session | undefined;
  nowMs: number;
}

export const SceneContext = createContext<Scene>({ live: nothingYet, session: undefined, nowMs: 0 });

export function useScene(): Scene {
  return useContext(SceneContext);
}

/** The server's wall clock: the browser's own may be wrong. */
export function serverNowMs(live: Live): number {
  return live.frame === undefined ? Date.now() : Date.parse(live.frame.at) + ageMs(live);
}

/** How old the figures are. */
export function ageMs(live: Live): number {
  return live.frame === undefined ? 0 : performance.now() - live.receivedAtMs;
}

/** Draws its component anew each second while `on`. */
export function useSeconds(on: boolean): void {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => setTick((tick) => tick + 1), 1_000);
    return () => clearInterval(timer);
  }, [on]);
}
