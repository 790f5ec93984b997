/** `godwit actor retire`: deletes an actor's durables. */
import type { Command } from "commander";
import { checkActorName } from "../message/names.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, print, printJson } from "./io.ts";
import { checked } from "./parse.ts";
import { plural } from "./table.ts";

export function actorRetireCommand(actor: Command): void {
  const command = actor
    .command("retire")
    .argument("<name>", "the actor's name", checked(checkActorName))
    .option("-f, --force", "also while workers listen or messages wait");
  connectOptions(jsonOption(command))
    .summary("delete an actor's durables")
    .description(
      `Delete an actor's durables, which nothing else does, once its class is gone
from the code. It is refused while workers listen to it or messages wait for
it, and says what would be lost. Tasks stay stored, served by nobody, until a
worker runs the actor again; events that it had not finished are lost to it.`,
    )
    .addHelpText("after", "\nExamples:\n  godwit actor retire payments.charge")
    .action(async (name: string, flags: ConnectFlags & { force?: boolean; json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const retired = await new Inspector(system).retire(name, { force: flags.force === true });
        if (flags.json) return printJson(retired);
        for (const { stream, durable } of retired.durables) print(`${stream}  ${durable}`);
        const { tasksLeft, eventsLost, durables } = retired;
        const left = [
          tasksLeft > 0 && `${plural(tasksLeft, "task")} left without anyone to serve`,
          eventsLost > 0 && `${plural(eventsLost, "event")} lost to it`,
        ].filter((one) => one !== false);
        note(
          `${name} is retired: ${plural(durables.length, "durable")} deleted${left.map((one) => `, ${one}`).join("")}.`,
        );
      });
    });
}
