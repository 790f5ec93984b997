/** The dead letters: browse, filter, inspect; pick one, a range or all that match; requeue or delete them. */
import { useEffect, useRef, useState } from "preact/hooks";
import { plural, whole } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { step, useKeys } from "../parts/keys.ts";
import { useNotify } from "../parts/notices.tsx";
import { Empty, Problem } from "../parts/small.tsx";
import { go, type Route } from "../route.ts";
import { BulkBar } from "./bulk-bar.tsx";
import { collect, mostAtOnce, type BulkAction } from "./bulk.ts";
import { deadQuery } from "./dead-query.ts";
import { Filters } from "./filters.tsx";
import { LetterDetail } from "./letter-detail.tsx";
import { LetterRow } from "./letter-row.tsx";
import { all, nothing, range, toggle } from "./selection.ts";
import { useBulk } from "./use-bulk.ts";
import { useLetters, type Letters } from "./use-letters.ts";

export function DeadView({ route }: { route: Route }) {
  const { live, session } = useScene();
  const query = deadQuery(route);
  const list = useLetters(query);
  const { letters, reload } = list;
  const [selection, setSelection] = useState(nothing);
  const text = useRef<HTMLInputElement>(null);
  const act = useBulk();
  const notify = useNotify();
  const writable = session?.readOnly === false;
  const open = route.name === undefined ? undefined : Number(route.name);
  const close = (): void => go({ view: "dead", params: route.params });
  const order = letters.map(({ sequence }) => sequence);

  useEffect(() => setSelection(nothing), [JSON.stringify(query)]);
  useReadAgain(list, live.frame?.totals.dead, selection.picked.size === 0);

  const run = async (action: BulkAction, sequences: readonly number[]): Promise<void> => {
    if (sequences.length === 0) return;
    const outcome = await act(action, sequences);
    if (outcome === undefined) return;
    setSelection(all(outcome.failures.map(({ sequence }) => sequence)));
    if (open !== undefined && sequences.includes(open)) close();
    reload();
  };
  const pick = (sequence: number, ranged: boolean): void =>
    setSelection((before) => (ranged ? range(before, sequence, order) : toggle(before, sequence)));
  const pickAll = async (): Promise<void> => {
    const key = "dead/collect";
    try {
      const tell = (found: number): void =>
        notify({ key, kind: "progress", text: `Looking for all that match: ${whole(found)} so far.` });
      const { sequences, cut } = await collect(query, tell);
      setSelection(all(sequences));
      const rest = cut ? ` These are the newest: no more than ${whole(mostAtOnce)} are dealt with at once.` : "";
      notify({ key, kind: "done", text: `Selected ${plural(sequences.length, "dead letter")}.${rest}` });
    } catch (error) {
      notify({ key, kind: "failed", text: (error as Error).message });
    }
  };
  const atFocus = (then: (sequence: number) => void) => (): void => {
    const row = document.activeElement?.closest("tr");
    const sequence = Number(row?.querySelector<HTMLElement>("[data-sequence]")?.dataset["sequence"]);
    if (Number.isFinite(sequence)) then(sequence);
  };
  const chosen = (): readonly number[] =>
    selection.picked.size > 0 ? [...selection.picked] : open === undefined ? [] : [open];
  useKeys({
    "/": () => text.current?.focus(),
    Escape: () => {
      if (open === undefined) return setSelection(nothing);
      close();
      document.querySelector<HTMLElement>(`[data-sequence="${open}"]`)?.focus();
    },
    ...(writable && {
      x: atFocus((sequence) => pick(sequence, false)),
      X: atFocus((sequence) => pick(sequence, true)),
      J: () => (step(1), atFocus((sequence) => pick(sequence, true))()),
      K: () => (step(-1), atFocus((sequence) => pick(sequence, true))()),
      "*": () => void pickAll(),
      r: () => void run("requeue", chosen()),
      "#": () => void run("delete", chosen()),
    }),
  });

  return (
    <section aria-labelledby="dead-title" class={open === undefined ? "dead" : "dead inspecting"}>
      <div class="bar">
        <h1 id="dead-title">Dead letters</h1>
        <Filters route={route} text={text} />
      </div>
      <div class="split">
        <div class="list">
          {writable && letters.length > 0 && (
            <BulkBar
              picked={selection.picked.size}
              listed={letters.length}
              more={list.more}
              onAction={(action) => void run(action, [...selection.picked])}
              onListed={() => setSelection(all(order))}
              onAll={() => void pickAll()}
              onClear={() => setSelection(nothing)}
            />
          )}
          <Problem error={list.error} retry={reload} />
          {letters.length > 0 && (
            <table role="table" class="letters" aria-labelledby="dead-title" aria-busy={list.loading}>
              <tbody role="rowgroup">
                {letters.map((letter) => (
                  <LetterRow
                    key={letter.sequence}
                    letter={letter}
                    route={route}
                    picked={selection.picked.has(letter.sequence)}
                    {...(writable && { onPick: pick })}
                  />
                ))}
              </tbody>
            </table>
          )}
          <Foot list={list} filtered={Object.keys(query).length > 0} />
        </div>
        {open !== undefined && (
          <LetterDetail sequence={open} onClose={close} onAction={(action) => void run(action, [open])} />
        )}
      </div>
    </section>
  );
}

/** Where the list ends, and what was not looked at. */
function Foot({ list, filtered }: { list: Letters; filtered: boolean }) {
  const { letters, looked, of, more, loading, error, older } = list;
  if (loading && letters.length === 0) return <p class="muted">Reading…</p>;
  if (letters.length === 0 && !more) {
    if (error !== undefined) return null;
    return (
      <Empty title={filtered ? "No dead letter fits these filters." : "No dead letters. Nothing was given up on."} />
    );
  }
  return (
    <p class="foot">
      <span class="muted">
        {letters.length === 0 ? "None yet" : `${whole(letters.length)} shown`}
        {filtered && looked < of ? `; looked through the newest ${whole(looked)} of ${whole(of)}` : ` of ${whole(of)}`}
      </span>
      {more && (
        <button type="button" disabled={loading} onClick={older}>
          {loading ? "Reading…" : letters.length === 0 || filtered ? "Look further" : "Show older ones"}
        </button>
      )}
    </p>
  );
}

/** The list follows what happens, unless somebody picks from it or reads further down. */
function useReadAgain(list: Letters, dead: number | undefined, idle: boolean): void {
  const seen = useRef(dead);
  useEffect(() => {
    if (dead === undefined || dead === seen.current) return;
    const known = seen.current !== undefined;
    seen.current = dead;
    if (known && idle && list.first && scrollY < 100) list.reload();
  }, [dead]);
}
