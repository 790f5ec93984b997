/** Query: what one request answers, kept on screen while it is asked anew. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Query<T> {
  data: T | undefined;
  /** A sentence. */
  error: string | undefined;
  loading: boolean;
  reload: () => void;
}

/**
 * Asks at once, and again when the key changes; answers to earlier keys are dropped.
 * @param key undefined: ask nothing.
 */
export function useQuery<T>(key: string | undefined, ask: () => Promise<T>): Query<T> {
  const [state, setState] = useState<{ key?: string; data?: T; error?: string }>({});
  const [loading, setLoading] = useState(key !== undefined);
  const [round, setRound] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  useEffect(() => {
    if (key === undefined) return undefined;
    let current = true;
    setLoading(true);
    latest
      .current()
      .then((data) => ({ key, data }))
      .catch((error: unknown) => ({ key, error: (error as Error).message }))
      .then((next) => {
        if (!current) return;
        // A failed repeat leaves what was there, and says so.
        setState((before) => ("error" in next && before.key === key ? { ...before, error: next.error } : next));
        setLoading(false);
      })
      .catch(() => undefined);
    return () => void (current = false);
  }, [key, round]);
  const reload = useCallback(() => setRound((before) => before + 1), []);
  return { data: state.key === key ? state.data : undefined, error: state.error, loading, reload };
}
