/** `godwit workers`: who works where, and how each does. */
import type { Command } from "commander";
import type { WorkerStatus } from "../admin/workers.ts";
import { formatMs } from "../kernel/duration.ts";
import { figuresOf, type WorkerFigures } from "../worker/snapshot.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, print, printJson } from "./io.ts";
import { bytes, count, table } from "./table.ts";
import { span } from "./top-view.ts";

export function workersCommand(program: Command): void {
  connectOptions(jsonOption(program.command("workers")))
    .summary("list workers")
    .description(
      `List the workers, those first that have been there longest.

  HEALTH  starting, running, draining; unhealthy where it should be replaced;
          silent where it has made itself known and does not answer
  HAND    messages in its hands: running, held, or being settled
  MEMORY  resident memory of its process
  LAG     how late its timers come, P99
  AGE     how long it has been there

The figures of a worker that does not answer are the last that it left; how old
they are stands below.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit workers
  godwit workers --json | jq '.workers[] | select(.health == "silent").host'`,
    )
    .action(async (flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const workers = (await new Inspector(system).workers()).map(lineOf);
        if (flags.json) return printJson({ workers });
        if (workers.length === 0) return note("no worker runs in this namespace.");
        print(render(workers, Date.now()));
      });
    });
}

/** A worker as `--json` prints it. Times are ISO; the figures are absent where it has left none. */
interface Line {
  id: string;
  host: string;
  pid: number;
  group?: string;
  version: string;
  startedAt: string;
  actors: string[];
  state: WorkerStatus["state"];
  health: WorkerStatus["state"] | "unhealthy";
  /** Why it should be replaced, one sentence for each. */
  reasons: string[];
  /** `at`: when they were taken. */
  figures?: Omit<WorkerFigures, "state">;
}

function lineOf({ identity, state, snapshot, last }: WorkerStatus): Line {
  const { id, host, pid, group, version, startedAt, actors } = identity;
  const who = { id, host, pid, ...(group !== undefined && { group }), version, startedAt, actors, state };
  if (snapshot === undefined)
    return { ...who, health: state, reasons: [], ...(last && { figures: withoutState(last) }) };
  const { healthy, unhealthyReasons: reasons } = snapshot;
  return { ...who, health: healthy ? state : "unhealthy", reasons, figures: figuresOf(snapshot) };
}

function withoutState({ state: _state, ...figures }: WorkerFigures): Omit<WorkerFigures, "state"> {
  return figures;
}

function render(workers: readonly Line[], nowMs: number): string {
  const ago = (iso: string): string => formatMs(Math.max(0, nowMs - Date.parse(iso)));
  const lines = workers.map(({ host, pid, health, figures, startedAt, actors, id }) => [
    host,
    String(pid),
    health,
    figures === undefined ? "" : count(figures.inHand),
    figures === undefined ? "" : bytes(figures.rssBytes),
    figures === undefined ? "" : span(figures.loopP99Ms),
    span(Math.max(0, nowMs - Date.parse(startedAt))),
    actors.join(", "),
    id,
  ]);
  const parts = [
    table(
      [
        { title: "HOST", flexible: true, firm: true },
        { title: "PID", align: "right" },
        { title: "HEALTH" },
        { title: "HAND", align: "right" },
        { title: "MEMORY", align: "right" },
        { title: "LAG", align: "right" },
        { title: "AGE", align: "right" },
        { title: "ACTORS", flexible: true },
        { title: "ID", flexible: true },
      ],
      lines,
    ),
  ];
  const said = workers.flatMap((worker) =>
    remarks(worker, ago).map((remark) => [`${worker.host} ${worker.pid}`, remark]),
  );
  if (said.length > 0) {
    parts.push(
      table(
        [
          { title: "WORKER", flexible: true },
          { title: "REMARK", flexible: true, wraps: true },
        ],
        said,
      ),
    );
  }
  return parts.join("\n\n");
}

function remarks({ state, figures, reasons }: Line, ago: (iso: string) => string): string[] {
  if (state !== "silent") return reasons;
  const why = "it does not answer: stopped, blocked, cut off, or just killed";
  return [figures === undefined ? why : `${why}; its figures are ${ago(figures.at)} old`];
}
