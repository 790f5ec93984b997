/** Parts: what tools that look into a system find there. */
import type { Bucket } from "../broker/bucket.ts";
import type { Bus } from "../broker/bus.ts";
import type { Connection } from "../broker/connection.ts";
import type { ServerClock } from "../broker/server-clock.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import type { SharedState } from "../guard/shared-state.ts";
import type { RunsStore } from "../lifecycle/runs.ts";
import type { Names } from "../message/subjects.ts";
import type { Results } from "../result/results.ts";

/** What the parts of a system share, for tools that look into it. */
export interface SystemParts {
  readonly names: Names;
  readonly connection: Connection;
  readonly bus: Bus;
  readonly reader: StreamReader;
  readonly runs: RunsStore;
  readonly results: Results;
  /** Where workers make themselves known. */
  readonly workers: Bucket;
  /** What the fleet agrees on about its breakers, by name, and its limits, by name and key. */
  readonly breakers: SharedState<unknown>;
  readonly limits: SharedState<unknown>;
  readonly clock: ServerClock;
}
