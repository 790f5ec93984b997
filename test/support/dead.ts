/** Looking at dead letters in tests. */
import type { ActorSystem, DeadFilter, DeadSummary } from "../../src/index.ts";

/** All dead letters that fit, oldest first. */
export async function listDead(system: ActorSystem, filter?: DeadFilter): Promise<DeadSummary[]> {
  const found: DeadSummary[] = [];
  for await (const letter of system.dead.list(filter)) found.push(letter);
  return found;
}

/** The one dead letter there is. */
export async function onlyDead(system: ActorSystem, filter?: DeadFilter): Promise<DeadSummary> {
  const [letter, ...others] = await listDead(system, filter);
  if (letter === undefined || others.length > 0)
    throw new Error(`expected one dead letter, found ${others.length + (letter ? 1 : 0)}`);
  return letter;
}
