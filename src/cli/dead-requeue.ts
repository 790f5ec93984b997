/** `godwit dead requeue`: sends dead letters again as tasks of their actors. */
import type { Command } from "commander";
import type { BulkResult } from "../admin/api.ts";
import type { ManyHooks } from "../admin/dead/many.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { checkSelection, filterOptions, forSelected, type FilterFlags } from "./dead-filter.ts";
import { exitCode } from "./exit.ts";
import { note, print, printJson } from "./io.ts";
import { sequences } from "./parse.ts";
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
        const failures: BulkResult["failures"] = [];
        const { tasks } = system.parts.names;
        const { Inspector } = await import("../admin/inspector.ts");
        const inspector = new Inspector(system);
        const hooks: ManyHooks = {
          onRequeued: ({ sequence, id, task }) => {
            requeued.push({ sequence, id, task: `${tasks}:${task}` });
            if (!flags.json) print(`${sequence}  ${id}  ${tasks}:${task}`);
          },
          onFailed: (failure) => {
            failures.push(failure);
            const { sequence, message, code } = failure;
            if (!flags.json) note(`dead letter ${sequence}: ${message} (${code})`);
          },
        };
        await forSelected((selection) => inspector.requeueDead(selection, hooks), named, flags);
        if (failures.length > 0) process.exitCode = exitCode.failed;
        if (flags.json) printJson({ requeued, failures });
        else note(`${plural(requeued.length, "dead letter")} requeued${failed(failures.length)}.`);
      });
    });
}

function failed(failures: number): string {
  return failures === 0 ? "" : `, ${failures} failed`;
}
