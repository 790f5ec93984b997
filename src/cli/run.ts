/** Runs the program on a command line, says what went wrong in one sentence, and tells the exit code. */
import { CommanderError, type Command } from "commander";
import { toError } from "../kernel/errors.ts";
import { packageVersion } from "../kernel/version.ts";
import { exitCode, UsageError } from "./exit.ts";
import { printError } from "./io.ts";
import { createProgram } from "./program.ts";

/** @param args as a shell gives them, the program's name left out. @returns the exit code. Never rejects. */
export async function run(args: readonly string[]): Promise<number> {
  const program = createProgram(packageVersion());
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (thrown) {
    return report(thrown, program, args);
  }
  // A command that failed in part has set it.
  return Number(process.exitCode ?? exitCode.ok);
}

function report(thrown: unknown, program: Command, args: readonly string[]): number {
  const error = thrown instanceof CommanderError ? usageOf(thrown, program, args) : toError(thrown);
  if (error === undefined) return exitCode.ok;
  printError(error, args.includes("--json"));
  return error instanceof UsageError ? exitCode.usage : exitCode.failed;
}

/** What commander refuses, in a sentence like ours; undefined where it has printed the help or the version that was asked for. */
function usageOf(refusal: CommanderError, program: Command, args: readonly string[]): UsageError | undefined {
  if (refusal.exitCode === 0) return undefined;
  const help = `see 'godwit ${[...commandsIn(program, args), "--help"].join(" ")}'`;
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
function commandsIn(from: Command, args: readonly string[]): string[] {
  const names: string[] = [];
  let at: Command | undefined = from;
  for (const word of args) {
    at = at.commands.find((command) => command.name() === word);
    if (at === undefined) break;
    names.push(word);
  }
  return names;
}
