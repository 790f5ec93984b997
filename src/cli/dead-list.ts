/** `godwit dead list`: the newest dead letters that fit. */
import type { Command } from "commander";
import { formatMs } from "../kernel/duration.ts";
import type { DeadSummary } from "../lifecycle/redrive.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { filterOf, filterOptions, type FilterFlags } from "./dead-filter.ts";
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
        let newest: DeadSummary[] = [];
        let total = 0;
        const foreign: number[] = [];
        for await (const letter of system.dead.list(filterOf(flags), (sequence) => void foreign.push(sequence))) {
          total += 1;
          newest.push(letter);
          // Cut now and then rather than at each: it holds two limits at most.
          if (newest.length >= 2 * flags.limit) newest = newest.slice(-flags.limit);
        }
        newest = newest.slice(-flags.limit);
        if (foreign.length > 0) {
          note(
            `${plural(foreign.length, "message")} of the dead-letter stream left out, which Godwit did not write; the first is ${foreign[0]}.`,
          );
        }
        if (flags.json) return printJson({ total, dead: newest });
        if (total === 0) return note("there are no dead letters that fit.");
        print(render(newest));
        if (total > newest.length) {
          note(`${count(newest.length)} of ${count(total)} are shown, the newest; --limit shows more.`);
        }
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
