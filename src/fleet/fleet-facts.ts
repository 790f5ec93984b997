/** Fleet facts: what the autoscaler decides by, out of what the processes of this host say of themselves now and said at the look before. Pure. */
import type { Queue } from "../observe/backlog.ts";
import type { ProcessLoad } from "../observe/load.ts";
import type { FleetFacts } from "./autoscale.ts";
import { memoryForProcesses, type HostUse } from "./host-use.ts";

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
