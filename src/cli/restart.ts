/** `godwit restart`: every supervisor of the fleet replaces its processes by ones that load the code anew. */
import { Option, type Command } from "commander";
import { NotFoundError, RestartError } from "../kernel/errors.ts";
import type { SupervisorAnswer } from "../fleet/control.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, printJson } from "./io.ts";
import { duration } from "./parse.ts";
import { plural } from "./table.ts";

interface RestartFlags extends ConnectFlags {
  timeout: number;
  json?: boolean;
}

/** For the first word of each supervisor. */
const waitMs = 1_000;

export function restartCommand(program: Command): void {
  const command = program
    .command("restart")
    .addOption(
      new Option("--timeout <duration>", "how long to wait for the end of it")
        .default(300_000, "5m")
        .argParser(duration("--timeout")),
    )
    .summary("replace every worker process of the fleet, for a deploy")
    .description(
      `Have every 'godwit worker --processes' of the namespace, on all hosts, replace
its processes by ones that load your code anew: one after the other on each
host, each ready before the one that it replaces drains. Where a new process
does not start, that host goes on with the code that it has, and the exit code
is 1.`,
    )
    .addHelpText("after", "\nExamples:\n  godwit restart\n  godwit restart --timeout 20m --json");
  connectOptions(jsonOption(command)).action(restart);
}

async function restart(flags: RestartFlags): Promise<void> {
  const { restartSupervisors } = await import("../fleet/control.ts");
  const answers = await withExisting(flags, ({ parts }) =>
    restartSupervisors(parts, {
      waitMs,
      timeoutMs: flags.timeout,
      onAnswer: (answer) => {
        if (!flags.json) note(`${placeOf(answer)}: ${inWords(answer)}.`);
      },
    }),
  );
  const all = [...answers.values()];
  if (all.length === 0) {
    throw new NotFoundError(
      `No supervisor answers in the namespace '${flags.namespace}'; 'godwit worker --processes' runs one, and a worker without is replaced by whoever started it.`,
    );
  }
  if (flags.json) printJson({ supervisors: all });
  const wrong = all.filter(({ state }) => state !== "restarted");
  if (wrong.length === 0) return;
  const late = wrong.filter(({ state }) => state === "restarting").map(placeOf);
  const failed = wrong.filter(({ state }) => state === "failed").map(placeOf);
  const what = [
    ...(failed.length > 0 ? [`given up by ${failed.join(", ")}`] : []),
    ...(late.length > 0 ? [`not done in time by ${late.join(", ")}, and goes on`] : []),
  ];
  throw new RestartError(
    `The restart was ${what.join("; ")}: those processes run the code that they had; the log of each host says what its new process said, mend that and restart again.`,
  );
}

function placeOf({ host, pid }: SupervisorAnswer): string {
  return `${host} ${pid}`;
}

function inWords({ state, processes, replaced = 0, failure = "" }: SupervisorAnswer): string {
  switch (state) {
    case "restarting":
      return `replaces ${plural(processes, "process", "processes")}`;
    case "restarted":
      return `done, ${plural(replaced, "process", "processes")} replaced`;
    case "failed":
      return `given up after ${plural(replaced, "process", "processes")}: ${failure}`;
  }
}
