/** `godwit publish`: publishes an event. */
import type { Command } from "commander";
import { checkEventSubject } from "../message/names.ts";
import { connectOptions, jsonOption, withSystem, type ConnectFlags } from "./connect.ts";
import { readBody } from "./io.ts";
import { checked } from "./parse.ts";
import { printSent, sendOptions, type SendFlags } from "./send.ts";

export function publishCommand(program: Command): void {
  const command = program
    .command("publish")
    .argument("<subject>", "the event's subject", checked(checkEventSubject))
    .argument("<body>", "JSON, @FILE, or - for standard input");
  connectOptions(jsonOption(sendOptions(command, "event")))
    .summary("publish an event")
    .description("Publish an event. Every actor that subscribes to its subject gets its own copy.")
    .addHelpText(
      "after",
      `
Examples:
  godwit publish orders.placed '{"orderId":"o1","total":99.5}'
  godwit publish orders.placed @order.json --id o1`,
    )
    .action(async (subject: string, body: string, flags: ConnectFlags & SendFlags & { json?: boolean }) => {
      const value = await readBody(body);
      const { id, codec } = flags;
      await withSystem(flags, async (system) => {
        const options = { ...(id !== undefined && { id }), ...(codec !== undefined && { codec }) };
        printSent(await system.publish(subject, value, options), flags.json);
      });
    });
}
