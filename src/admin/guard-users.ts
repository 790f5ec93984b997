/** Guard users: which actors name a breaker or a limit, as the running workers say. Pure. */
import type { WorkerStatus } from "./workers.ts";

export type GuardKind = "breaker" | "rateLimit" | "concurrencyLimit";

/** Actors by the guard's name; both sorted. */
export function actorsWith(workers: readonly WorkerStatus[], kind: GuardKind): Map<string, string[]> {
  const found = new Map<string, Set<string>>();
  for (const { snapshot } of workers) {
    for (const [actor, { [kind]: name }] of Object.entries(snapshot?.perActor ?? {})) {
      if (name !== undefined) found.set(name, (found.get(name) ?? new Set()).add(actor));
    }
  }
  return new Map(
    [...found].toSorted(([a], [b]) => a.localeCompare(b)).map(([name, set]) => [name, [...set].toSorted()]),
  );
}
