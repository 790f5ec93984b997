/** Help: the keys. */
import { viewTitles } from "./header.tsx";
import { useScene } from "./live/use-live.ts";
import { Dialog } from "./parts/dialog.tsx";

const keys: readonly [keys: readonly string[], does: string][] = [
  ...Object.values(viewTitles).map(({ title, key }) => [["g", key], title] as [string[], string]),
  [["/"], "to the filter"],
  [["j"], "next in a list"],
  [["k"], "previous in a list"],
  [["Enter"], "open it"],
  [["Esc"], "back, close, clear"],
  [["x"], "select a dead letter"],
  [["X"], "select from the last one to here"],
  [["J"], "select on, downwards; K upwards"],
  [["*"], "select all that match"],
  [["r"], "requeue the selected, or the open one"],
  [["#"], "delete the selected, or the open one"],
  [["t"], "light or dark"],
  [["?"], "this help"],
];

export function Help({ onClose }: { onClose: () => void }) {
  const { session } = useScene();
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {keys.map(([pressed, does]) => (
          <div key={pressed.join(" ")}>
            <dt>
              {pressed.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      {session !== undefined && (
        <p class="muted">
          Godwit {session.version}, namespace {session.namespace}, on {session.servers.join(", ")}
        </p>
      )}
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
