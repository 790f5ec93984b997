/** `godwit breaker open` and `close`: a circuit opened or closed by hand, for the whole fleet. */
import type { Command } from "commander";
import { checkGuardName } from "../message/names.ts";
import { stateText } from "./breaker-list.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, printJson } from "./io.ts";
import { checked, duration } from "./parse.ts";

interface OpenFlags extends ConnectFlags {
  for?: number;
  force?: boolean;
  json?: boolean;
}

export function breakerOpenCommand(breaker: Command): void {
  const command = breaker
    .command("open")
    .argument("<name>", "the breaker's name", checked(checkGuardName))
    .option(
      "--for <duration>",
      "let it be probed after this long (default: not before it is closed)",
      duration("--for"),
    )
    .option("-f, --force", "also where nobody is known to use it");
  connectOptions(jsonOption(command))
    .summary("open a circuit by hand")
    .description(
      `Open a circuit for the whole fleet: nothing is run under it and nothing probes,
until it is closed by hand, or until the time that --for gives is over; then
one call may probe. It holds also for workers that are started later. An actor
with a fallback runs that meanwhile.`,
    )
    .addHelpText(
      "after",
      "\nExamples:\n  godwit breaker open payments-api\n  godwit breaker open payments-api --for 10m",
    )
    .action(async (name: string, flags: OpenFlags) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const options = { force: flags.force === true, ...(flags.for !== undefined && { for: flags.for }) };
        const breaker = await new Inspector(system).openBreaker(name, options);
        if (flags.json) return printJson(breaker);
        note(`the circuit of ${name} is ${stateText(breaker)}; it was ${breaker.was}.`);
      });
    });
}

export function breakerCloseCommand(breaker: Command): void {
  const command = breaker.command("close").argument("<name>", "the breaker's name", checked(checkGuardName));
  connectOptions(jsonOption(command))
    .summary("close a circuit at once")
    .description(
      `Close a circuit for the whole fleet at once, also one that opened by itself.
What fails from then on may open it again.`,
    )
    .addHelpText("after", "\nExamples:\n  godwit breaker close payments-api")
    .action(async (name: string, flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const breaker = await new Inspector(system).closeBreaker(name);
        if (flags.json) return printJson(breaker);
        note(`the circuit of ${name} is closed; it was ${breaker.was}.`);
      });
    });
}
