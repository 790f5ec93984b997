/** Topology options: how streams are made, for the commands that make them. */
import type { Command } from "commander";
import type { Placement, Provision } from "../broker/topology.ts";
import type { SystemOptions } from "../system/options.ts";
import { UsageError } from "./exit.ts";
import { oneOf, size, whole } from "./parse.ts";

const durabilities = ["dev", "single", "replicated", "strict"] as const;
const provisions = ["create", "keep", "check", "use"] as const satisfies readonly Provision[];

export interface TopologyFlags {
  durability: (typeof durabilities)[number];
  replicas?: number;
  placement?: Placement;
  maxBytes?: number;
  provision: Provision;
}

/**
 * Adds --durability, --replicas, --placement, --max-bytes and --provision.
 * @param provision the default.
 */
export function topologyOptions(command: Command, provision: Provision): Command {
  return command
    .option("--durability <profile>", "of streams that have to be made", oneOf("--durability", durabilities), "single")
    .option("--replicas <copies>", "of each of them, 1 to 5 (default: as --durability says)", whole("--replicas", 1, 5))
    .option("--placement <where>", "their servers: cluster=NAME, tags=A+B, or both with a comma", placement)
    .option(
      "--max-bytes <size>",
      "of a task stream that has to be made (default: 10GB; 256MB with --durability dev)",
      size("--max-bytes"),
    )
    .option(
      "--provision <mode>",
      "create makes and updates streams, keep makes those that are missing, check compares, use takes what is there",
      oneOf("--provision", provisions),
      provision,
    );
}

/** As options of a system. */
export function topologyOf(flags: TopologyFlags): SystemOptions {
  const { durability, replicas, placement: where, maxBytes, provision } = flags;
  return {
    durability,
    provision,
    ...(replicas !== undefined && { replicas }),
    ...(where !== undefined && { placement: where }),
    ...(maxBytes !== undefined && { limits: { maxBytes } }),
  };
}

function placement(value: string): Placement {
  const found: { cluster?: string; tags?: string[] } = {};
  for (const part of value.split(",")) {
    const [, name = "", what = ""] = /^(cluster|tags)=(.+)$/.exec(part) ?? [];
    if (name === "cluster") found.cluster = what;
    else if (name === "tags") found.tags = what.split("+");
    else {
      throw new UsageError(
        `--placement is '${value}'; it must be like cluster=east, tags=ssd or cluster=east,tags=ssd+eu.`,
      );
    }
  }
  return found;
}
