/** `godwit actor`: the group of commands for actors as such. */
import type { Command } from "commander";
import { actorPauseCommand, actorResumeCommand } from "./actor-pause.ts";
import { actorRetireCommand } from "./actor-retire.ts";

export function actorCommand(program: Command): void {
  const actor = program
    .command("actor")
    .summary("pause, resume or retire an actor")
    .description("Actors as the server knows them: durables that outlive every worker.");
  actorPauseCommand(actor);
  actorResumeCommand(actor);
  actorRetireCommand(actor);
}
