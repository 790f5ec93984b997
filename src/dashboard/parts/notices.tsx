/** Notices: what came of what was done, read out by screen readers; successes leave by themselves, failures stay. */
import { createContext } from "preact";
import { useCallback, useContext, useState } from "preact/hooks";

export interface Notice {
  /** A notice replaces the one of the same key: progress, then its end. */
  key: string;
  kind: "progress" | "done" | "failed";
  text: string;
  /** One sentence for each that failed. */
  details?: readonly string[];
}

export type Notify = (notice: Notice) => void;

export const NotifyContext = createContext<Notify>(() => undefined);

export function useNotify(): Notify {
  return useContext(NotifyContext);
}

const doneMs = 8_000;

export function useNotices(): { notices: readonly Notice[]; notify: Notify; dismiss: (key: string) => void } {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const dismiss = useCallback(
    (key: string) => setNotices((before) => before.filter((notice) => notice.key !== key)),
    [],
  );
  const notify = useCallback((notice: Notice) => {
    setNotices((before) => [...before.filter(({ key }) => key !== notice.key), notice]);
    if (notice.kind !== "done") return;
    setTimeout(() => setNotices((before) => before.filter((one) => one !== notice)), doneMs);
  }, []);
  return { notices, notify, dismiss };
}

export function Notices({ notices, dismiss }: { notices: readonly Notice[]; dismiss: (key: string) => void }) {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.map(({ key, kind, text, details = [] }) => (
        <div key={key} class={`notice ${kind}`}>
          <div>
            {kind === "failed" && <strong>Failed. </strong>}
            {text}
            {details.length > 0 && (
              <details>
                <summary>What went wrong</summary>
                <ul>
                  {details.map((detail) => (
                    <li key={detail}>{detail}</li>
                  ))}
                </ul>
              </details>
            )}
          </div>
          {kind !== "progress" && (
            <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(key)}>
              ×
            </button>
          )}
        </div>
      ))}
    </div>
  );
}
