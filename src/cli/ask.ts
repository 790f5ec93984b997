/** `godwit ask`: sends a task and prints what its actor answers. */
import type { Command } from "commander";
import { checkActorName } from "../message/names.ts";
import { toJson } from "../message/json-text.ts";
import { connectOptions, jsonOption, withSystem, type ConnectFlags } from "./connect.ts";
import { print, readBody } from "./io.ts";
import { checked, duration } from "./parse.ts";
import { sendOptions, tellOptions, type SendFlags } from "./send.ts";

interface AskFlags extends ConnectFlags, SendFlags {
  timeout?: number;
  json?: boolean;
}

export function askCommand(program: Command): void {
  const command = program
    .command("ask")
    .argument("<actor>", "the actor's name", checked(checkActorName))
    .argument("<body>", "JSON, @FILE, or - for standard input");
  sendOptions(command, "task").option(
    "--timeout <duration>",
    "wait this long for the answer (default: 30s)",
    duration("--timeout"),
  );
  connectOptions(jsonOption(command))
    .summary("send a task and print the answer")
    .description(
      `Send a task to an actor, wait, and print what it answers as JSON.
Without an answer in time the task expires too, unless --expires-in says
otherwise.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit ask payments.charge '{"paymentId":"p1","amount":10}' --timeout 10s
  godwit ask prices.quote @basket.json --json | jq .total`,
    )
    .action(async (actor: string, body: string, flags: AskFlags) => {
      const value = await readBody(body);
      await withSystem(flags, async (system) => {
        const timeout = flags.timeout === undefined ? {} : { timeout: flags.timeout };
        const answer = await system.ask(actor, value, { ...tellOptions(flags), ...timeout });
        print(toJson(answer, flags.json ? undefined : 2));
      });
    });
}
