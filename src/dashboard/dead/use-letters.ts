/** Letters: the pages of dead letters that were read so far for one query, newest first. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { DeadLetter, DeadPage, DeadQuery } from "../../admin/api.ts";
import { api } from "../api-client.ts";

export interface Letters {
  letters: readonly DeadLetter[];
  /** Of all pages together. */
  looked: number;
  of: number;
  more: boolean;
  loading: boolean;
  error: string | undefined;
  older: () => void;
  reload: () => void;
  /** Only the first page was read. */
  first: boolean;
}

interface State {
  key: string;
  pages: readonly DeadPage[];
  error?: string;
}

const pageSize = 100;

export function useLetters(query: DeadQuery): Letters {
  const key = JSON.stringify(query);
  const [state, setState] = useState<State>({ key, pages: [] });
  const [loading, setLoading] = useState(true);
  const turn = useRef(0);
  const { pages, error } = state.key === key ? state : { pages: [], error: undefined };

  const read = useCallback(
    async (before: readonly DeadPage[]) => {
      const mine = (turn.current += 1);
      const from = before.at(-1)?.next;
      setLoading(true);
      let next: State;
      try {
        const page = await api.deadPage({ ...query, limit: pageSize, ...(from !== undefined && { before: from }) });
        next = { key, pages: [...before, page] };
      } catch (problem) {
        next = { key, pages: before, error: (problem as Error).message };
      }
      // A later question is under way.
      if (mine !== turn.current) return;
      setState(next);
      setLoading(false);
    },
    [key],
  );
  useEffect(() => void read([]), [read]);

  return {
    letters: pages.flatMap((page) => page.letters),
    looked: pages.reduce((sum, page) => sum + page.looked, 0),
    of: pages[0]?.of ?? 0,
    more: pages.at(-1)?.next !== undefined,
    first: pages.length === 1,
    loading,
    error,
    older: () => void read(pages),
    reload: useCallback(() => void read([]), [read]),
  };
}
