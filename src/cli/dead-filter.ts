/** Which dead letters a command means: named by sequence, or all that fit a filter. */
import type { Command } from "commander";
import type { BulkResult } from "../admin/api.ts";
import { look, lookLimit, type Found, type Looked } from "../admin/dead/letters.ts";
import type { Selection } from "../admin/dead/many.ts";
import type { DeadFilter } from "../lifecycle/redrive.ts";
import { deadReasons, type DeadReason } from "../message/failure.ts";
import { checkActorName, checkId } from "../message/names.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import { UsageError } from "./exit.ts";
import { checked, oneOf } from "./parse.ts";

export interface FilterFlags {
  actor?: string;
  reason?: DeadReason;
  id?: string;
}

/** Adds --actor, --reason and --id. */
export function filterOptions(command: Command): Command {
  return command
    .option("-a, --actor <name>", "only this actor's", checked(checkActorName))
    .option("--reason <reason>", deadReasons.join(", "), oneOf("--reason", deadReasons))
    .option("--id <id>", "only those of the message with this id", checked(checkId));
}

export function filterOf({ actor, reason, id }: FilterFlags): DeadFilter {
  return {
    ...(actor !== undefined && { actor }),
    ...(reason !== undefined && { reason }),
    ...(id !== undefined && { id }),
  };
}

/**
 * Either sequences or --all has to be given: a forgotten argument must not mean everything.
 * @throws UsageError.
 */
export function checkSelection(
  command: string,
  sequences: readonly number[],
  flags: FilterFlags & { all?: boolean },
): void {
  const filtered = flags.actor !== undefined || flags.reason !== undefined || flags.id !== undefined;
  if (sequences.length > 0 && (flags.all || filtered)) {
    throw new UsageError(`dead ${command} takes either sequences, or --all with filters; give one of the two.`);
  }
  if (sequences.length === 0 && !flags.all) {
    throw new UsageError(
      `dead ${command} needs the sequences that 'godwit dead list' shows, or --all, which --actor, --reason and --id narrow.`,
    );
  }
}

/**
 * Acts on those named, or on all that fit and are there now, the newest first. What dies meanwhile is left out: a requeued message that dies
 * again would otherwise go round for ever.
 */
export async function forSelected(
  act: (selection: Selection) => Promise<BulkResult>,
  named: readonly number[],
  flags: FilterFlags & { all?: boolean },
): Promise<void> {
  if (!flags.all) return void (await act({ sequences: named }));
  let before: number | undefined;
  for (;;) {
    const { next } = await act({ query: filterOf(flags), ...(before !== undefined && { before }) });
    if (next === undefined) return;
    before = next;
  }
}

/** The newest that fit, looked for until so many are found. */
export async function newestOf(
  { parts }: ActorSystem,
  flags: FilterFlags,
  limit: number,
): Promise<Pick<Looked, "found" | "foreign"> & { total: number; exact: boolean }> {
  const found: Found[] = [];
  const foreign: number[] = [];
  let before: number | undefined;
  let of = 0;
  do {
    const rest = { limit: limit - found.length, scan: lookLimit, ...(before !== undefined && { before }) };
    const looked = await look(parts, filterOf(flags), rest);
    found.push(...looked.found);
    foreign.push(...looked.foreign);
    before = looked.next;
    of = looked.of;
  } while (before !== undefined && found.length < limit);
  // How many an actor has is known without a look at them; how many have a reason is not.
  const isCounted = flags.reason === undefined && flags.id === undefined;
  const exact = before === undefined || isCounted;
  return { found, foreign, exact, total: before === undefined || !isCounted ? found.length : of - foreign.length };
}
