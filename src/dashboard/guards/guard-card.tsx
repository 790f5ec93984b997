/** A breaker and a limit, each with its switch. */
import { useState } from "preact/hooks";
import type { BreakerFrame, LimitFrame } from "../../admin/api.ts";
import { isHeld, untilText } from "../actors/guarded.ts";
import { plural, span, time, whole } from "../format.ts";
import { useScene } from "../live/use-live.ts";
import { ForSelect } from "../parts/for-select.tsx";
import { Badge } from "../parts/small.tsx";
import { useAct } from "../parts/use-act.ts";
import { writeRoute } from "../route.ts";

const tones = { closed: "good", "half-open": "warn", open: "bad" } as const;

export function BreakerCard({ breaker }: { breaker: BreakerFrame }) {
  const { session, nowMs } = useScene();
  const [forTime, setForTime] = useState("");
  const { act, busy } = useAct();
  const { name, state, byHand, probeAt, actors } = breaker;
  return (
    <article class="card" aria-label={`Breaker ${name}`}>
      <h3>
        {name} <span class="kind">breaker</span> <Badge tone={tones[state]}>{state}</Badge>
      </h3>
      <p>{wordsOf(state, byHand, probeAt === undefined ? undefined : time(probeAt, nowMs))}</p>
      <UsedBy actors={actors} />
      {session?.readOnly === false && (
        <p class="switch">
          {state === "closed" ? (
            <>
              <ForSelect label={`Open ${name}`} endless="until closed" value={forTime} onChange={setForTime} />
              <button
                type="button"
                disabled={busy}
                onClick={() =>
                  act("breakers", name, "open", `The breaker ${name} is open: its actors pull nothing.`, forTime)
                }
              >
                Open
              </button>
            </>
          ) : (
            <button
              type="button"
              disabled={busy}
              onClick={() => act("breakers", name, "close", `The breaker ${name} is closed.`)}
            >
              Close
            </button>
          )}
        </p>
      )}
    </article>
  );
}

function wordsOf(state: BreakerFrame["state"], byHand: boolean, probe: string | undefined): string {
  switch (state) {
    case "closed":
      return "Calls pass.";
    case "half-open":
      return "One call probes; the others wait for what becomes of it.";
    case "open":
      if (byHand) return "Opened by hand: nothing passes until it is closed by hand or its time is over.";
      return `Nothing passes${probe === undefined ? "" : `; one call may probe from ${probe}`}.`;
  }
}

export function LimitCard({ limit }: { limit: LimitFrame }) {
  const { nowMs } = useScene();
  const held = isHeld(limit, nowMs);
  return (
    <article class="card" aria-label={`${limit.kind === "rate" ? "Rate" : "Concurrency"} limit ${limit.name}`}>
      <h3>
        {limit.name} <span class="kind">{limit.kind} limit</span> {held && <Badge tone="warn">held</Badge>}{" "}
        {limit.keyed && <Badge>by key</Badge>}
      </h3>
      <p>{limit.kind === "rate" ? rateWords(limit) : concurrencyWords(limit)}</p>
      {held && limit.kind === "rate" && <p>Nobody starts {untilText(limit.heldUntil, nowMs)}.</p>}
      <UsedBy actors={limit.actors} />
      {limit.kind === "rate" && <HoldSwitch name={limit.name} held={held} />}
    </article>
  );
}

function HoldSwitch({ name, held }: { name: string; held: boolean }) {
  const { session } = useScene();
  const [forTime, setForTime] = useState("5m");
  const { act, busy } = useAct();
  if (session?.readOnly !== false) return null;
  if (held) {
    return (
      <p class="switch">
        <button
          type="button"
          disabled={busy}
          onClick={() => act("limits", name, "release", `The limit ${name} is released.`)}
        >
          Release
        </button>
      </p>
    );
  }
  return (
    <p class="switch">
      <ForSelect label={`Hold ${name}`} value={forTime} onChange={setForTime} />
      <button
        type="button"
        disabled={busy}
        onClick={() => act("limits", name, "hold", `The limit ${name} is held: nobody starts under it.`, forTime)}
      >
        Hold
      </button>
    </p>
  );
}

function rateWords({ limit, perMs, burst, keyed }: Extract<LimitFrame, { kind: "rate" }>): string {
  return `${whole(limit)} per ${span(perMs)}${keyed ? " for each key" : ""}, at most ${whole(burst)} at once.`;
}

function concurrencyWords({ limit, keyed, inUse, waiting }: Extract<LimitFrame, { kind: "concurrency" }>): string {
  const use = inUse === undefined ? "" : `, ${whole(inUse)} in use`;
  const wait = waiting === undefined || waiting === 0 ? "" : `, ${whole(waiting)} waiting`;
  return `${plural(limit, "run")} at a time ${keyed ? "for each key, " : ""}over the whole fleet${use}${wait}.`;
}

function UsedBy({ actors }: { actors: readonly string[] }) {
  if (actors.length === 0) return <p class="muted">No running actor names it.</p>;
  return (
    <p class="links">
      {actors.map((actor) => (
        <a key={actor} href={writeRoute({ view: "actors", name: actor })}>
          {actor}
        </a>
      ))}
    </p>
  );
}
