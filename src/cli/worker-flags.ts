/** What the options of `godwit worker` come to. */
import type { ConnectFlags } from "./connect.ts";
import type { GroupFlags } from "./group-options.ts";
import type { TextLogLevel } from "./text-log.ts";

export const durabilities = ["dev", "single", "replicated", "strict"] as const;

export interface WorkerFlags extends ConnectFlags, GroupFlags {
  concurrency?: number;
  grace: number;
  maxBytes?: number;
  durability: (typeof durabilities)[number];
  log?: "text" | "json";
  logLevel: TextLogLevel;
  metricsPort?: number;
  metricsHost: string;
  healthWindow: number;
  owned?: boolean;
  supervised?: boolean;
}
