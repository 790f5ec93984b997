/** `godwit dead`: the group of commands for dead letters. */
import type { Command } from "commander";
import { deadListCommand } from "./dead-list.ts";
import { deadPurgeCommand } from "./dead-purge.ts";
import { deadRequeueCommand } from "./dead-requeue.ts";
import { deadShowCommand } from "./dead-show.ts";

export function deadCommand(program: Command): void {
  const dead = program
    .command("dead")
    .summary("list, show, requeue and purge dead letters")
    .description("Dead letters: messages given up on, kept whole for 30 days, with the reason.");
  deadListCommand(dead);
  deadShowCommand(dead);
  deadRequeueCommand(dead);
  deadPurgeCommand(dead);
}
