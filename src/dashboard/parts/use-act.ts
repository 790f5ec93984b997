/** Act: throws a switch of an actor, a breaker or a limit, and tells what came of it. */
import { useState } from "preact/hooks";
import { api } from "../api-client.ts";
import { useNotify } from "./notices.tsx";

type Thing = Parameters<typeof api.act>[0];

export interface Act {
  /**
   * @param done the sentence for when it is done.
   * @param forTime a duration; empty: until it is undone.
   */
  act: (thing: Thing, name: string, action: string, done: string, forTime?: string) => void;
  busy: boolean;
}

export function useAct(): Act {
  const notify = useNotify();
  const [busy, setBusy] = useState(false);
  const act = async (...[thing, name, action, done, forTime = ""]: Parameters<Act["act"]>): Promise<void> => {
    const key = `${thing}/${name}`;
    setBusy(true);
    try {
      await api.act(thing, name, action, forTime === "" ? undefined : forTime);
      notify({ key, kind: "done", text: done });
    } catch (error) {
      notify({ key, kind: "failed", text: (error as Error).message });
    }
    setBusy(false);
  };
  return { act: (...of) => void act(...of), busy };
}
