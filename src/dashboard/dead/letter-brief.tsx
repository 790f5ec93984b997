/** The newest dead letters of one actor, and the way to all of them. */
import { useEffect, useRef } from "preact/hooks";
import { plural } from "../format.ts";
import { Problem } from "../parts/small.tsx";
import { writeRoute } from "../route.ts";
import { LetterRow } from "./letter-row.tsx";
import { useLetters } from "./use-letters.ts";

const shown = 8;

export function LetterBrief({ actor, dead }: { actor: string; dead: number }) {
  const { letters, error, reload } = useLetters({ actor });
  const route = { view: "dead", params: { actor } } as const;
  const known = useRef(dead);
  useEffect(() => {
    if (known.current === dead) return;
    known.current = dead;
    reload();
  }, [dead]);
  return (
    <div>
      <h2>Dead letters</h2>
      <Problem error={error} retry={reload} />
      {letters.length === 0 ? (
        <p class="muted">{dead === 0 ? "None." : `${plural(dead, "dead letter")}.`}</p>
      ) : (
        <>
          <table role="table" class="letters" aria-label={`The newest dead letters of ${actor}`}>
            <tbody role="rowgroup">
              {letters.slice(0, shown).map((letter) => (
                <LetterRow key={letter.sequence} letter={letter} route={route} picked={false} />
              ))}
            </tbody>
          </table>
          <p>
            <a href={writeRoute(route)}>Browse all of its dead letters</a>
          </p>
        </>
      )}
    </div>
  );
}
