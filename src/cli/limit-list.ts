/** `godwit limit list`: every limit in use, and how it stands. */
import type { Command } from "commander";
import type { LimitFrame } from "../admin/api.ts";
import { formatMs } from "../kernel/duration.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { note, print, printJson } from "./io.ts";
import { count, table, time } from "./table.ts";

export function limitListCommand(limit: Command): void {
  connectOptions(jsonOption(limit.command("list")))
    .summary("list limits")
    .description("List the rate limits and concurrency limits that running workers use, or that are held.")
    .addHelpText("after", "\nExamples:\n  godwit limit list")
    .action(async (flags: ConnectFlags & { json?: boolean }) => {
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const limits = await new Inspector(system).limits();
        if (flags.json) return printJson({ limits });
        if (limits.length === 0) return note("no running worker uses a limit, and none is held.");
        print(
          table(
            [
              { title: "LIMIT", flexible: true },
              { title: "ALLOWS" },
              { title: "STATE" },
              { title: "ACTORS", flexible: true },
            ],
            limits.map((one) => [one.name, allowance(one), stateOf(one), one.actors.join(", ")]),
          ),
        );
      });
    });
}

function allowance(frame: LimitFrame): string {
  const each = frame.keyed ? " for each key" : "";
  if (frame.kind === "concurrency") return `${count(frame.limit)} at once${each}`;
  const burst = frame.burst > 1 ? `, ${count(frame.burst)} at once` : "";
  return `${count(frame.limit)} in ${formatMs(frame.perMs)}${burst}${each}`;
}

function stateOf(frame: LimitFrame): string {
  if (frame.kind === "rate") return frame.heldUntil === undefined ? "" : `held until ${time(frame.heldUntil)}`;
  if (frame.inUse === undefined) return "";
  return `${count(frame.inUse)} in use${frame.waiting ? `, ${count(frame.waiting)} wait` : ""}`;
}
