/** `godwit actor`: the group of commands for actors as such. */
import type { Command } from "commander";
import { actorRetireCommand } from "./actor-retire.ts";

export function actorCommand(program: Command): void {
  const actor = program
    .command("actor")
    .summary("retire an actor")
    .description("Actors as the server knows them: durables that outlive every worker.");
  actorRetireCommand(actor);
}
