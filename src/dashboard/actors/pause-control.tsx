/** The switch that pauses an actor, for a time or until it is resumed, and resumes it. */
import { useState } from "preact/hooks";
import type { ActorFrame } from "../../admin/api.ts";
import { useScene } from "../live/use-live.ts";
import { useAct } from "../parts/use-act.ts";
import { isPaused, untilText } from "./guarded.ts";
import { ForSelect } from "../parts/for-select.tsx";

export function PauseControl({ actor }: { actor: ActorFrame }) {
  const { session, nowMs } = useScene();
  const [forTime, setForTime] = useState("");
  const { act, busy } = useAct();
  const { actor: name, pausedUntil } = actor;
  const paused = isPaused(actor, nowMs);
  const state = paused ? `Paused ${untilText(pausedUntil, nowMs)}.` : "Delivering.";
  if (session?.readOnly !== false) return <p class="switch">{state}</p>;
  return (
    <p class="switch">
      <span>{state}</span>
      {paused ? (
        <button type="button" disabled={busy} onClick={() => act("actors", name, "resume", `${name} is resumed.`)}>
          Resume
        </button>
      ) : (
        <>
          <ForSelect label={`Pause ${name}`} endless="until resumed" value={forTime} onChange={setForTime} />
          <button
            type="button"
            disabled={busy}
            onClick={() =>
              act(
                "actors",
                name,
                "pause",
                `${name} is paused: what its workers hold is finished, nothing more is handed out.`,
                forTime,
              )
            }
          >
            Pause
          </button>
        </>
      )}
    </p>
  );
}
