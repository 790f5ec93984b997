/** Options of `godwit worker` for a group of processes: how many, and when each is replaced. */
import { Option, type Command } from "commander";
import { supervisedFlag } from "../fleet/orphan-guard.ts";
import { UsageError } from "./exit.ts";
import { duration, size, whole } from "./parse.ts";

/** From `4`, or `2..16`. */
export interface Processes {
  min: number;
  max: number;
}

export interface GroupFlags {
  processes?: Processes;
  maxMessages?: number;
  maxMemory?: number;
  maxAge?: number;
  drainTarget: number;
  maxTotalMemory?: number;
}

const mostProcesses = 256;

export function groupOptions(command: Command): void {
  const options = [
    new Option("--processes <n|min..max>", "run in so many processes of their own; a range scales by load").argParser(
      processes,
    ),
    new Option("--drain-target <duration>", "the time in which what waits is to be worked off, for a range and metrics")
      .default(60_000, "1m")
      .argParser(duration("--drain-target")),
    new Option(
      "--max-total-memory <size>",
      "of a range: no more processes than this is enough for (default: what the host or its control group has, less a reserve)",
    ).argParser(size("--max-total-memory")),
    new Option("--max-messages <n>", "replace a process that has run so many").argParser(whole("--max-messages")),
    new Option("--max-memory <size>", "replace a process that takes so much, such as 300MB").argParser(
      atLeast(size("--max-memory"), 1e6, "1MB, with its unit"),
    ),
    new Option("--max-age <duration>", "replace a process that is so old, such as 6h").argParser(
      atLeast(duration("--max-age"), 1_000, "1s, with its unit"),
    ),
  ];
  for (const option of options) command.addOption(option.helpGroup("Processes:"));
}

/** What the supervisor heeds; its processes are not told. */
const ofSupervisor = ["processes", "maxTotalMemory", "maxMessages", "maxMemory", "maxAge"] as const;

/** True where the actors are to run in processes of their own. */
export function wantsGroup(flags: GroupFlags & { supervised?: boolean }): boolean {
  return flags.supervised !== true && ofSupervisor.some((name) => flags[name] !== undefined);
}

/** The options of each of its processes. @param given on the command line, by name. */
export function optionsOfProcesses(given: ReadonlyMap<string, string>): string[] {
  const kept = new Set<string>([...ofSupervisor, "metricsPort", "metricsHost"]);
  return [supervisedFlag, ...[...given].flatMap(([name, option]) => (kept.has(name) ? [] : [option]))];
}

/** A number without a unit is of bytes or ms, and so small a limit is never meant. */
function atLeast(parse: (value: string) => number, least: number, shown: string): (value: string) => number {
  return (value) => {
    const number = parse(value);
    if (number >= least) return number;
    throw new UsageError(`The limit '${value}' is too small to be meant; it must be at least ${shown}.`);
  };
}

function processes(value: string): Processes {
  const [, least, most = least] = /^(\d+)(?:\.\.(\d+))?$/.exec(value) ?? [];
  const [min, max] = [Number(least), Number(most)];
  if (min >= 1 && max >= min && max <= mostProcesses) return { min, max };
  throw new UsageError(
    `--processes is '${value}'; it must be a number from 1 to ${mostProcesses}, or a range such as 2..16.`,
  );
}

/**
 * What is given on the command line, as arguments of another `godwit worker`, by the option's name. Call it once all options are there; it fills as
 * they are read.
 */
export function givenOptions(command: Command): ReadonlyMap<string, string> {
  const given = new Map<string, string>();
  for (const option of command.options) {
    command.on(`option:${option.name()}`, (raw: string | null | undefined) => {
      given.set(option.attributeName(), `${option.long}${raw == null ? "" : `=${raw}`}`);
    });
  }
  return given;
}
