/** `godwit limit`: the group of commands for rate limits and concurrency limits. */
import type { Command } from "commander";
import { limitHoldCommand, limitReleaseCommand } from "./limit-hold.ts";
import { limitListCommand } from "./limit-list.ts";

export function limitCommand(program: Command): void {
  const limit = program
    .command("limit")
    .summary("list limits, hold and release rate limits")
    .description("Rate limits and concurrency limits, which the whole fleet shares.");
  limitListCommand(limit);
  limitHoldCommand(limit);
  limitReleaseCommand(limit);
}
