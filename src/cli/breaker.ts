/** `godwit breaker`: the group of commands for circuit breakers. */
import type { Command } from "commander";
import { breakerListCommand } from "./breaker-list.ts";
import { breakerCloseCommand, breakerOpenCommand } from "./breaker-switch.ts";

export function breakerCommand(program: Command): void {
  const breaker = program
    .command("breaker")
    .summary("list, open and close circuit breakers")
    .description("Circuit breakers, whose state the whole fleet shares.");
  breakerListCommand(breaker);
  breakerOpenCommand(breaker);
  breakerCloseCommand(breaker);
}
