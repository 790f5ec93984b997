/** Topology options: how streams are made, for the commands that make them. */
import type { Command } from "commander";
import { lowerable, sized, type Lowerable, type Placement, type Sized } from "../broker/asked.ts";
import type { Provision } from "../broker/topology.ts";
import type { SystemOptions } from "../system/options.ts";
import { UsageError } from "./exit.ts";
import { oneOf, size, whole } from "./parse.ts";

const durabilities = ["dev", "single", "replicated", "strict"] as const;
const provisions = ["create", "keep", "check", "use"] as const satisfies readonly Provision[];

export interface TopologyFlags {
  durability?: (typeof durabilities)[number];
  replicas?: number;
  placement?: Placement;
  maxBytes?: number;
  sizes?: Partial<Record<Sized, number>>;
  lower?: Lowerable[];
  provision: Provision;
}

/**
 * Adds --durability, --replicas, --placement, --max-bytes, --sizes, --lower and --provision.
 * @param provision the default.
 */
export function topologyOptions(command: Command, provision: Provision): Command {
  return command
    .option(
      "--durability <profile>",
      "of all streams (default: as was asked for before, else single)",
      oneOf("--durability", durabilities),
    )
    .option("--replicas <copies>", "of each of them, 1 to 5 (default: as --durability says)", whole("--replicas", 1, 5))
    .option("--placement <where>", "their servers: cluster=NAME, tags=A+B, or both with a comma", placement)
    .option(
      "--max-bytes <size>",
      "of the task stream (default: as was asked for before, else 10GB; 256MB with --durability dev)",
      size("--max-bytes"),
    )
    .option("--sizes <list>", "of other streams, as events=2GB,results=500MB (default: no limit)", sizes)
    .option("--lower <list>", "options that may ask for less than was asked for before, as replicas", lower)
    .option(
      "--provision <mode>",
      "create makes and updates streams, keep asks for nothing of those that exist, check compares, use takes what is there",
      oneOf("--provision", provisions),
      provision,
    );
}

/** As options of a system. */
export function topologyOf(flags: TopologyFlags): SystemOptions {
  const { durability, replicas, placement: where, maxBytes, sizes: bytes, lower: lowered, provision } = flags;
  return {
    provision,
    ...(durability !== undefined && { durability }),
    ...(lowered !== undefined && { lower: lowered }),
    ...(replicas !== undefined && { replicas }),
    ...(where !== undefined && { placement: where }),
    limits: { ...(maxBytes !== undefined && { maxBytes }), ...(bytes !== undefined && { sizes: bytes }) },
  };
}

function sizes(value: string): Partial<Record<Sized, number>> {
  const parts = value.split(",").map((part): [Sized, number] => {
    const [name = "", bytes = ""] = part.split("=", 2);
    return [oneOf("--sizes", sized)(name), size("--sizes")(bytes)];
  });
  return Object.fromEntries(parts);
}

function lower(value: string): Lowerable[] {
  return value
    .split(",")
    .map((option) => oneOf("--lower", lowerable)(option === "max-bytes" ? "limits.maxBytes" : option));
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
