/** `godwit dead purge`: deletes dead letters for good. */
import type { Command } from "commander";
import type { BulkResult } from "../admin/api.ts";
import type { ManyHooks } from "../admin/dead/many.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { checkSelection, filterOptions, forSelected, newestOf, type FilterFlags } from "./dead-filter.ts";
import { exitCode, UsageError } from "./exit.ts";
import { note, printJson } from "./io.ts";
import { sequences } from "./parse.ts";
import { plural } from "./table.ts";

interface PurgeFlags extends ConnectFlags, FilterFlags {
  all?: boolean;
  yes?: boolean;
  json?: boolean;
}

/** It has not to be known to the last one how many. */
const countLimit = 1_000;

export function deadPurgeCommand(dead: Command): void {
  const command = dead
    .command("purge")
    .argument("[sequences...]", "as 'godwit dead list' shows them", sequences)
    .option("--all", "every dead letter that fits the filters")
    .option("--yes", "with --all: do it");
  connectOptions(jsonOption(filterOptions(command)))
    .summary("delete them for good")
    .description("Delete dead letters for good. Nothing brings them back.")
    .addHelpText(
      "after",
      `
Examples:
  godwit dead purge 7
  godwit dead purge --all --reason expired --yes`,
    )
    .action(async (given: number[] | undefined, flags: PurgeFlags) => {
      const named = given ?? [];
      checkSelection("purge", named, flags);
      await withExisting(flags, async (system) => {
        if (flags.all && !flags.yes) {
          const { total, exact } = await newestOf(system, flags, countLimit);
          throw new UsageError(
            `dead purge --all would delete ${exact ? "" : "at least "}${plural(total, "dead letter")} for good; repeat with --yes to do it.`,
          );
        }
        const purged: number[] = [];
        const missing: number[] = [];
        const failures: BulkResult["failures"] = [];
        const { Inspector } = await import("../admin/inspector.ts");
        const inspector = new Inspector(system);
        const hooks: ManyHooks = {
          onDeleted: (sequence) => purged.push(sequence),
          onFailed: (failure) => {
            if (failure.code === "NOT_FOUND") missing.push(failure.sequence);
            else failures.push(failure);
          },
        };
        await forSelected((selection) => inspector.deleteDead(selection, hooks), named, flags);
        for (const { sequence, message, code } of failures) note(`dead letter ${sequence}: ${message} (${code})`);
        if (missing.length + failures.length > 0) process.exitCode = exitCode.failed;
        if (flags.json) return printJson({ purged, missing });
        if (missing.length > 0) note(`there is no dead letter ${missing.join(", ")}.`);
        note(`${plural(purged.length, "dead letter")} deleted.`);
      });
    });
}
