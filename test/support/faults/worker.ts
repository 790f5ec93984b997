/**
 * A worker as a process of its own. Arguments: its setup as JSON and the path of the journal. Writes `ready` to the journal once it
 * pulls; SIGTERM stops it within its grace; then it closes its system and must end by itself.
 */
import { ActorSystem } from "godwit";
import { Journal } from "./journal.ts";
import { startWork, type WorkerSetup } from "./work.ts";

const [json = "", path = ""] = process.argv.slice(2);
const setup = JSON.parse(json) as WorkerSetup;
const journal = new Journal(path);
const note = (what: string): void =>
  journal.write({ what, at: Date.now(), pid: process.pid, worker: setup.worker, id: "", attempt: 0, deliveries: 0 });

const { servers, namespace, durability } = setup;
const system = await ActorSystem.connect({ servers, namespace, durability, log: "silent" });
const worker = await startWork(system, setup, journal);
const { graceMs } = setup;

async function leave(): Promise<void> {
  note("stopping");
  await worker.stop(graceMs === undefined ? {} : { grace: graceMs });
  note("stopped");
  await system.close();
  note("closed");
}

// Ends with the test that started it, however that ends, and is kept alive by nothing of this.
process.stdin.once("end", () => process.exit(1)).resume();
process.stdin.unref();
process.once("SIGTERM", () => void leave());
note("ready");
