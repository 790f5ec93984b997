/** `godwit actor pause` and `resume`: stop and start the delivery to an actor, for the whole fleet. */
import type { Command } from "commander";
import { checkActorName } from "../message/names.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, printJson } from "./io.ts";
import { checked, duration } from "./parse.ts";
import { time } from "./table.ts";

export function actorPauseCommand(actor: Command): void {
  const command = actor
    .command("pause")
    .argument("<name>", "the actor's name", checked(checkActorName))
    .option(
      "--for <duration>",
      "resume by itself after this long (default: not before it is resumed)",
      duration("--for"),
    );
  connectOptions(jsonOption(command))
    .summary("deliver nothing to an actor")
    .description(
      `Deliver nothing more to an actor, on any host, neither new messages nor
retries. What runs goes on and is settled; what comes waits. It holds also for
workers that are started later.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit actor pause payments.charge
  godwit actor pause payments.charge --for 30m`,
    )
    .action(async (name: string, flags: ConnectFlags & { for?: number; json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const options = flags.for === undefined ? {} : { for: flags.for };
        const paused = await new Inspector(system).pause(name, options);
        if (flags.json) return printJson(paused);
        const until = paused.until === undefined ? `it is resumed: godwit actor resume ${name}` : time(paused.until);
        note(`${name} is paused until ${until}. What runs goes on.`);
      });
    });
}

export function actorResumeCommand(actor: Command): void {
  const command = actor.command("resume").argument("<name>", "the actor's name", checked(checkActorName));
  connectOptions(jsonOption(command))
    .summary("end a pause")
    .description("End the pause of an actor: what waits is delivered within a second.")
    .addHelpText("after", "\nExamples:\n  godwit actor resume payments.charge")
    .action(async (name: string, flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const resumed = await new Inspector(system).resume(name);
        if (flags.json) return printJson(resumed);
        note(resumed.was ? `${name} goes on.` : `${name} was not paused.`);
      });
    });
}
