/** Run tracer: what a worker tells those who trace its runs. Without one nothing is in the way. */
import type { Handler } from "../guard/guard.ts";
import type { Outcome } from "./outcome.ts";
import type { Run } from "./run.ts";

export interface RunTracer {
  /** Wraps the handler of every run, outside of all else that wraps it. It sets the run's `trace`. */
  around(handler: Handler): Handler;
  /** The run's delivery has ended, also of a run whose handler never began. */
  ended(run: Run, outcome: Outcome): void;
}
