/** What the options of `godwit worker` come to. */
import type { ConnectFlags } from "./connect.ts";
import type { GroupFlags } from "./group-options.ts";
import type { TopologyFlags } from "./topology-options.ts";
import type { TextLogLevel } from "./text-log.ts";

export interface WorkerFlags extends ConnectFlags, TopologyFlags, GroupFlags {
  concurrency?: number;
  grace: number;
  log?: "text" | "json";
  logLevel: TextLogLevel;
  metricsPort?: number;
  metricsHost: string;
  healthWindow: number;
  owned?: boolean;
  supervised?: boolean;
}
