/** Fleet facts: what the autoscaler decides by, out of what the processes of this host say of themselves now and said at the look before. Pure. */
import type { Queue } from "../observe/backlog.ts";
import type { ProcessLoad } from "../observe/load.ts";
import { memoryForProcesses, type HostUse } from "./host-use.ts";

export interface FleetFacts {
  /** Monotonic ms. */
  atMs: number;
  /** Processes that the whole fleet needs, unrounded; undefined where that is not known. */
  need: number | undefined;
  /** Hosts that share it alike, this one included. */
  hosts: number;
  /** Processes of this host that take work. */
  ready: number;
  /** Messages wait that no worker has been handed. */
  backlogged: boolean;
  /** Runs that ended on this host since the look before. */
  handledPerS: number;
  /** Of all CPU that may be used, 0 to 1, by whatever runs; and by a process on average. */
  cpuUse: number;
  cpuPerProcess: number;
  /** The largest process; 0 where none is known. */
  memoryPerProcessBytes: number;
  /** What the processes of this host may take together. */
  memoryBytes: number;
}

/** What a look has read. */
export interface Gathered extends Pick<FleetFacts, "atMs" | "need" | "hosts" | "ready"> {
  loads: readonly ProcessLoad[];
  /** By actor. */
  queues: ReadonlyMap<string, Queue>;
  host: HostUse;
}

/** @param memoryReserve the share of the memory that stays free, 0 to 1. */
export function factsOf(now: Gathered, before: Gathered | undefined, memoryReserve: number): FleetFacts {
  const { atMs, need, hosts, ready, loads, queues, host } = now;
  const spanMs = before === undefined ? 0 : atMs - before.atMs;
  const perMs = (read: (load: ProcessLoad) => number): number =>
    before === undefined || spanMs <= 0 ? 0 : grown(loads, before.loads, read) / spanMs;
  const sizes = loads.map(({ rssBytes }) => rssBytes);
  return {
    atMs,
    need,
    hosts,
    ready,
    backlogged: [...queues.values()].some(({ pending, paused }) => pending > 0 && !paused),
    handledPerS: 1_000 * perMs(({ actors }) => Object.values(actors).reduce((sum, { handled }) => sum + handled, 0)),
    cpuUse: host.cpuUse,
    cpuPerProcess: perMs(({ cpuMs }) => cpuMs) / host.cores / Math.max(1, loads.length),
    memoryPerProcessBytes: Math.max(0, ...sizes),
    memoryBytes: memoryForProcesses(
      host,
      sizes.reduce((sum, bytes) => sum + bytes, 0),
      memoryReserve,
    ),
  };
}

/** By how much counts have grown; a process that has begun since counts from nothing. */
function grown(
  loads: readonly ProcessLoad[],
  before: readonly ProcessLoad[],
  read: (load: ProcessLoad) => number,
): number {
  const was = new Map(before.map((load) => [load.pid, read(load)]));
  const growth = loads.map((load) => {
    const [now, then] = [read(load), was.get(load.pid) ?? 0];
    return now < then ? now : now - then;
  });
  return growth.reduce((sum, its) => sum + its, 0);
}
