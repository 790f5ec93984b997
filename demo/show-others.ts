/** One message to each of the other actors, so that whoever started this sees them at work. */
import type { ActorSystem, Worker } from "godwit";
import { AnalyzeDataset } from "../actors/analyze-dataset.ts";
import { BuildReport } from "../actors/build-report.ts";
import { CallPartner } from "../actors/call-partner.ts";
import { OrderPlaced } from "../schemas/orders.ts";

/** @param say shows one line. */
export async function showOthers(system: ActorSystem, worker: Worker, say: (line: string) => void): Promise<void> {
  worker.on("completed", ({ actor, id, ms }) => say(`  ${actor} completed ${id} in ${ms.toFixed(1)} ms`));
  say("The other actors, with one message each; the event goes to two of them:");
  // A fixed id makes a second publish of the same order a duplicate, which is dropped.
  await system.publish(OrderPlaced, { orderId: "order-1", total: 42, email: "ada@example.com" }, { id: "order-1" });
  await system.tell(AnalyzeDataset, { datasetId: "measurements" }, { id: "measurements" });
  await system.tell(CallPartner, { path: "/parcels/order-1" }, { id: "parcel-1" });
  const { orders, revenue } = await system.ask(BuildReport, { month: "2026-03" }, { id: "march", timeout: "10s" });
  say(`  reports.build answered: ${orders} orders, ${revenue} in all`);
}
