/** Fleet view: everything that says why a message is where it is, read at one moment. */
import type { SystemParts } from "../system/parts.ts";
import { listBreakers } from "./breakers.ts";
import { listDurables } from "./durables.ts";
import type { FleetView } from "./hold-ups.ts";
import { listLimits } from "./limits.ts";
import { listWorkers, type WorkerStatus } from "./workers.ts";

export type FleetParts = Pick<SystemParts, "names" | "bus" | "reader" | "breakers" | "limits" | "clock">;

/** @param known workers, where they were asked already. */
export async function viewFleet(parts: FleetParts, known?: readonly WorkerStatus[]): Promise<FleetView> {
  const [durables, workers] = await Promise.all([listDurables(parts.names, parts.reader), known ?? listWorkers(parts)]);
  const [breakers, limits] = await Promise.all([listBreakers(parts, workers), listLimits(parts, workers)]);
  return { durables, workers, breakers, limits };
}
