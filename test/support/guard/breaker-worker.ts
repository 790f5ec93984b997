/** A worker of the breaker tests as a process of its own. Arguments: its setup as JSON and the path of the journal. */
import { ActorSystem } from "godwit";
import { Journal } from "../faults/journal.ts";
import { startBreakerWork, type BreakerSetup } from "./breaker-work.ts";

const [json = "", path = ""] = process.argv.slice(2);
const setup = JSON.parse(json) as BreakerSetup & { servers: string; namespace: string; worker: string };
const journal = new Journal(path);
const system = await ActorSystem.connect({ servers: setup.servers, namespace: setup.namespace, log: "silent" });
await startBreakerWork(system, setup, journal);
// Ends with the test that started it, however that ends.
process.stdin.once("end", () => process.exit(1)).resume();
journal.write({
  what: "ready",
  at: Date.now(),
  pid: process.pid,
  worker: setup.worker,
  id: "",
  attempt: 0,
  deliveries: 0,
});
