/** `godwit limit hold` and `release`: nobody starts under a rate limit for a while, or again at once. */
import type { Command } from "commander";
import { checkGuardName } from "../message/names.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, printJson } from "./io.ts";
import { checked, duration } from "./parse.ts";
import { time } from "./table.ts";

interface HoldFlags extends ConnectFlags {
  for: number;
  key?: string;
  json?: boolean;
}

export function limitHoldCommand(limit: Command): void {
  const command = limit
    .command("hold")
    .argument("<name>", "the rate limit's name", checked(checkGuardName))
    .requiredOption("--for <duration>", "how long", duration("--for"))
    .option("--key <key>", "of a limit by key: only this one");
  connectOptions(jsonOption(command))
    .summary("let nobody start for a while")
    .description(
      `Let nobody start under a rate limit for a while, on any host, as after a
penalty. Where somebody is held back for longer already, that stands.`,
    )
    .addHelpText("after", "\nExamples:\n  godwit limit hold payments-api --for 10m")
    .action(async (name: string, flags: HoldFlags) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const held = await new Inspector(system).holdLimit(name, flags.for, keyOf(flags));
        if (flags.json) return printJson(held);
        note(`nobody starts under ${name}${shown(held.key)} until ${time(held.heldUntil ?? "")}.`);
      });
    });
}

export function limitReleaseCommand(limit: Command): void {
  const command = limit
    .command("release")
    .argument("<name>", "the rate limit's name", checked(checkGuardName))
    .option("--key <key>", "of a limit by key: what was said of this one");
  connectOptions(jsonOption(command))
    .summary("end a hold or a penalty")
    .description("End at once what holds everybody back under a rate limit: a hold, or a handler's penalty.")
    .addHelpText("after", "\nExamples:\n  godwit limit release payments-api")
    .action(async (name: string, flags: Omit<HoldFlags, "for">) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const released = await new Inspector(system).releaseLimit(name, keyOf(flags));
        if (flags.json) return printJson(released);
        const what = `${name}${shown(released.key)}`;
        note(
          released.was === undefined
            ? `nobody was held back under ${what}.`
            : `${what} is released; it was held until ${time(released.was)}.`,
        );
      });
    });
}

function keyOf({ key }: { key?: string }): { key?: string } {
  return key === undefined ? {} : { key };
}

function shown(key: string | undefined): string {
  return key === undefined ? "" : `, key ${JSON.stringify(key)},`;
}
