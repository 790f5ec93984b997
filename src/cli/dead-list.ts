/** `godwit dead list`: the newest dead letters that fit. */
import type { Command } from "commander";
import { formatMs } from "../kernel/duration.ts";
import { summarise, type DeadSummary } from "../lifecycle/redrive.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { filterOptions, newestOf, type FilterFlags } from "./dead-filter.ts";
import { note, print, printJson } from "./io.ts";
import { whole } from "./parse.ts";
import { count, plural, table } from "./table.ts";

interface ListFlags extends ConnectFlags, FilterFlags {
  limit: number;
  json?: boolean;
}

export function deadListCommand(dead: Command): void {
  const command = filterOptions(dead.command("list"));
  command.option("--limit <letters>", "show no more than this many, the newest", whole("--limit"), 50);
  connectOptions(jsonOption(command))
    .summary("list dead letters")
    .description("List dead letters, the newest last.")
    .addHelpText(
      "after",
      `
Examples:
  godwit dead list
  godwit dead list --actor payments.charge --reason exhausted
  godwit dead list --limit 1000 --json | jq '.dead[].error.message'`,
    )
    .action(async (flags: ListFlags) => {
      await withExisting(flags, async (system) => {
        const { found, foreign, total, exact } = await newestOf(system, flags, flags.limit);
        const newest = found.map(({ stored }) => summarise(stored)).toReversed();
        if (foreign.length > 0) {
          note(
            `${plural(foreign.length, "message")} of the dead-letter stream left out, which Godwit did not write; the first is ${Math.min(...foreign)}.`,
          );
        }
        if (flags.json) return printJson({ ...(exact ? { total } : { more: true }), dead: newest });
        if (newest.length === 0) return note("there are no dead letters that fit.");
        print(render(newest));
        const shown = count(newest.length);
        if (!exact) note(`the newest ${shown} that fit are shown; --limit shows more.`);
        else if (total > newest.length) note(`${shown} of ${count(total)} are shown, the newest; --limit shows more.`);
      });
    });
}

function render(letters: readonly DeadSummary[]): string {
  return table(
    [
      { title: "SEQ", align: "right" },
      { title: "ACTOR", flexible: true },
      { title: "ID", flexible: true, firm: true },
      { title: "REASON" },
      { title: "RUNS", align: "right" },
      { title: "AGE", align: "right" },
      { title: "ERROR", flexible: true },
    ],
    letters.map((letter) => [
      String(letter.sequence),
      letter.actor,
      letter.id,
      letter.reason,
      String(letter.attempts),
      formatMs(Math.max(0, Date.now() - Date.parse(letter.diedAt))),
      letter.error.message,
    ]),
  );
}
