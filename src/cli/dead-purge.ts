/** `godwit dead purge`: deletes dead letters for good. */
import type { Command } from "commander";
import { NotFoundError } from "../kernel/errors.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { checkSelection, filterOf, filterOptions, selected, type FilterFlags } from "./dead-filter.ts";
import { exitCode, UsageError } from "./exit.ts";
import { note, printJson } from "./io.ts";
import { sequences } from "./parse.ts";
import { several } from "./several.ts";
import { plural } from "./table.ts";

interface PurgeFlags extends ConnectFlags, FilterFlags {
  all?: boolean;
  yes?: boolean;
  json?: boolean;
}

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
        const all: number[] = [];
        if (flags.all) for await (const sequence of selected(system, filterOf(flags))) all.push(sequence);
        if (flags.all && !flags.yes) {
          throw new UsageError(
            `dead purge --all would delete ${plural(all.length, "dead letter")} for good; repeat with --yes to do it.`,
          );
        }
        const purged: number[] = [];
        const missing: number[] = [];
        await several([...named, ...all], async (sequence) => {
          try {
            await system.dead.purge(sequence);
            purged.push(sequence);
          } catch (error) {
            if (!(error instanceof NotFoundError)) throw error;
            missing.push(sequence);
          }
        });
        if (missing.length > 0) process.exitCode = exitCode.failed;
        if (flags.json) return printJson({ purged, missing });
        if (missing.length > 0) note(`there is no dead letter ${missing.join(", ")}.`);
        note(`${plural(purged.length, "dead letter")} deleted.`);
      });
    });
}
