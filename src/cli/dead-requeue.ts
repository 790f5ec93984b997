/** `godwit dead requeue`: sends dead letters again as tasks of their actors. */
import type { Command } from "commander";
import { toError } from "../kernel/errors.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { checkSelection, filterOf, filterOptions, selected, type FilterFlags } from "./dead-filter.ts";
import { exitCode } from "./exit.ts";
import { note, print, printJson } from "./io.ts";
import { sequences } from "./parse.ts";
import { several } from "./several.ts";
import { plural } from "./table.ts";

interface RequeueFlags extends ConnectFlags, FilterFlags {
  all?: boolean;
  json?: boolean;
}

interface Requeued {
  /** Of the dead letter that was. */
  sequence: number;
  id: string;
  /** Where the task is now. */
  task: string;
}

export function deadRequeueCommand(dead: Command): void {
  const command = dead.command("requeue").argument("[sequences...]", "as 'godwit dead list' shows them", sequences);
  connectOptions(jsonOption(filterOptions(command.option("--all", "every dead letter that fits the filters"))))
    .summary("send them again as tasks")
    .description(
      `Send dead letters again, each as a task of the actor that had failed, with the
id that it had. A letter is removed once its task is stored.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit dead requeue 7 8 12
  godwit dead requeue --all --actor payments.charge --reason exhausted`,
    )
    .action(async (given: number[] | undefined, flags: RequeueFlags) => {
      const named = given ?? [];
      checkSelection("requeue", named, flags);
      await withExisting(flags, async (system) => {
        const requeued: Requeued[] = [];
        const failures: { sequence: number; code: string; message: string }[] = [];
        const requeue = async (sequence: number): Promise<void> => {
          try {
            const { id, sequence: task } = await system.dead.requeue(sequence);
            requeued.push({ sequence, id, task: `${system.parts.names.tasks}:${task}` });
            if (!flags.json) print(`${sequence}  ${id}  ${system.parts.names.tasks}:${task}`);
          } catch (thrown) {
            const error = toError(thrown) as Error & { code?: string };
            failures.push({ sequence, code: error.code ?? "UNEXPECTED", message: error.message });
            if (!flags.json) note(`dead letter ${sequence}: ${error.message} (${error.code ?? "UNEXPECTED"})`);
          }
        };
        await several(flags.all ? selected(system, filterOf(flags)) : named, requeue);
        if (failures.length > 0) process.exitCode = exitCode.failed;
        if (flags.json) printJson({ requeued, failures });
        else note(`${plural(requeued.length, "dead letter")} requeued${failed(failures.length)}.`);
      });
    });
}

function failed(failures: number): string {
  return failures === 0 ? "" : `, ${failures} failed`;
}
