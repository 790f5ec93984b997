#!/usr/bin/env node
/** The command `godwit`: runs the program, says what went wrong in one sentence, and sets the exit code. */
import { CommanderError, type Command } from "commander";
import { toError } from "../kernel/errors.ts";
import { packageVersion } from "../kernel/version.ts";
import { exitCode, UsageError } from "./exit.ts";
import { printError, surviveClosedPipes, written } from "./io.ts";
import { createProgram } from "./program.ts";

surviveClosedPipes();
const args = process.argv.slice(2);
const program = createProgram(packageVersion());
try {
  await program.parseAsync(args, { from: "user" });
} catch (thrown) {
  process.exitCode = report(thrown);
}
// What is left may keep the process: timers and connections of an actor's module, the channel to a process that owns this one.
await written();
process.exit();

function report(thrown: unknown): number {
  const error = thrown instanceof CommanderError ? usageOf(thrown) : toError(thrown);
  if (error === undefined) return exitCode.ok;
  printError(error, args.includes("--json"));
  return error instanceof UsageError ? exitCode.usage : exitCode.failed;
}

/** What commander refuses, in a sentence like ours; undefined where it has printed the help or the version that was asked for. */
function usageOf(refusal: CommanderError): UsageError | undefined {
  if (refusal.exitCode === 0) return undefined;
  const help = `see 'godwit ${[...commandsIn(program), "--help"].join(" ")}'`;
  // Commander prints the help, to standard error, for a group without a command.
  if (refusal.code === "commander.help") return new UsageError(`A command is missing; ${help}.`);
  const text = refusal.message
    .replace(/^error: /, "")
    // What stands behind an option that is misspelt may be a password.
    .replace(/'(--[\w-]+)=.*'/s, "'$1'")
    .replace(/\.?\n\(Did you mean (.*)\?\)$/, ", did you mean $1")
    .replace(/\.$/, "");
  return new UsageError(`${text.charAt(0).toUpperCase()}${text.slice(1)}; ${help}.`);
}

/** The command that was meant, as far as its words are known. */
function commandsIn(from: Command): string[] {
  const names: string[] = [];
  let at: Command | undefined = from;
  for (const word of args) {
    at = at.commands.find((command) => command.name() === word);
    if (at === undefined) break;
    names.push(word);
  }
  return names;
}
