/**
 * A publisher as a process of its own: offers messages at a steady rate, whatever becomes of the earlier ones, and writes down what
 * JetStream accepted. Arguments: its setup as JSON and the journal's path. SIGTERM ends the offering; it ends when all is answered.
 */
import { ActorSystem } from "godwit";
import { Journal, type Entry } from "../../support/faults/journal.ts";
import { workName, type Job, type WorkerSetup } from "../../support/faults/work.ts";

export interface PublisherSetup extends WorkerSetup {
  ratePerSecond: number;
  job: Job;
}

const turnMs = 20;

const [json = "", path = ""] = process.argv.slice(2);
const { servers, namespace, durability, worker, ratePerSecond, job } = JSON.parse(json) as PublisherSetup;
const journal = new Journal(path);
const note = (what: string, id = "", more: Partial<Entry> = {}): void =>
  journal.write({ what, at: Date.now(), pid: process.pid, worker, id, attempt: 0, deliveries: 0, ...more });

const system = await ActorSystem.connect({ servers, namespace, durability, log: "silent" });
const beganMs = performance.now();
let offered = 0;
const open = new Set<Promise<void>>();

function offer(): void {
  const due = ((performance.now() - beganMs) / 1_000) * ratePerSecond;
  while (offered < due) {
    const id = `${worker}-${offered++}`;
    const sinceAt = Date.now();
    const sent = system
      .tell(workName, job, { id })
      .then(
        () => note("accepted", id, { sinceAt }),
        (error: unknown) => note("refused", id, { error: String(error) }),
      )
      .finally(() => open.delete(sent));
    open.add(sent);
  }
}

const timer = setInterval(offer, turnMs);

async function leave(): Promise<void> {
  clearInterval(timer);
  await Promise.all(open);
  note("offered", "", { reason: String(offered) });
  await system.close();
  process.exit(0);
}

process.stdin.once("end", () => process.exit(1)).resume();
process.once("SIGTERM", () => void leave());
note("ready");
