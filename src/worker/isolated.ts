/** An actor whose handler runs in threads, as its worker runs it. */
import type { RegisteredActor } from "../actor/registry.ts";
import { IsolatedActor } from "../guard/isolation/isolated-actor.ts";
import type { Reporter } from "./reporter.ts";
import type { Run } from "./run.ts";

export function isolated(
  { config, instance }: RegisteredActor,
  reporter: Reporter,
  startTimeoutMs: number,
): RegisteredActor {
  const actor = new IsolatedActor<Run>({
    config,
    instance,
    startTimeoutMs,
    onOverdue: (run) => reporter.overdueBy(run, config.hardLimitMs ?? 0),
    onProblem: (error) => reporter.problem(error),
  });
  return { config: actor.config, instance: actor };
}
