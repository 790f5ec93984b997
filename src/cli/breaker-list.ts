/** `godwit breaker list`: every circuit breaker, and how it stands. */
import type { Command } from "commander";
import type { BreakerFrame } from "../admin/api.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, print, printJson } from "./io.ts";
import { table, time } from "./table.ts";

export function breakerListCommand(breaker: Command): void {
  connectOptions(jsonOption(breaker.command("list")))
    .summary("list circuit breakers")
    .description("List every breaker that has ever opened, and those that running actors name.")
    .addHelpText("after", "\nExamples:\n  godwit breaker list")
    .action(async (flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const breakers = await new Inspector(system).breakers();
        if (flags.json) return printJson({ breakers });
        if (breakers.length === 0) return note("no breaker has opened, and no running actor names one.");
        print(render(breakers));
      });
    });
}

function render(breakers: readonly BreakerFrame[]): string {
  return table(
    [{ title: "BREAKER", flexible: true }, { title: "STATE" }, { title: "ACTORS", flexible: true }],
    breakers.map((one) => [one.name, stateText(one), one.actors.join(", ")]),
  );
}

/** `open by hand until it is closed`, `open, next probe 2026-11-22 14:05:11Z`. */
export function stateText({ state, byHand, probeAt }: Omit<BreakerFrame, "name" | "actors">): string {
  switch (state) {
    case "closed":
      return "closed";
    case "half-open":
      return "half-open, one call may probe";
    case "open":
      if (byHand) return `open by hand until ${probeAt === undefined ? "it is closed" : time(probeAt)}`;
      return `open${probeAt === undefined ? "" : `, next probe ${time(probeAt)}`}`;
  }
}
