/**
 * A worker under a rate limit in a process of its own. Arguments: its setup as JSON and the path of the journal, to which it writes
 * `ready` once it pulls and `run` with each start, with the time of the machine's monotonic clock. It ends with its standard input.
 */
import { Actor, ActorSystem, config, type ActorConfig, type Context } from "godwit";
import { Journal } from "../faults/journal.ts";

export interface LimitWorkerSetup {
  servers: string;
  namespace: string;
  worker: string;
  actor: Omit<ActorConfig, "input">;
  /** The message is the key. */
  keyed?: boolean;
  /** The message that makes its handler hold everybody back, for `penaltyMs`. */
  penalize?: string;
  penaltyMs?: number;
}

const [json = "", path = ""] = process.argv.slice(2);
const setup = JSON.parse(json) as LimitWorkerSetup;
const journal = new Journal(path);
const { rateLimit } = setup.actor;
const { name: limitName = "" } = rateLimit ?? {};

function note(what: string, id: string, deliveries: number): void {
  const at = Number(process.hrtime.bigint()) / 1e6;
  journal.write({ what, at, pid: process.pid, worker: setup.worker, id, attempt: 0, deliveries });
}

class Limited extends Actor<string> {
  static override readonly config = config({
    ...setup.actor,
    ...(rateLimit !== undefined && { rateLimit: { ...rateLimit, ...(setup.keyed === true && { key: String }) } }),
  });

  override async receive(input: string, ctx: Context): Promise<void> {
    note("run", input, ctx.deliveries);
    if (setup.penalize !== input) return;
    await ctx.rateLimit(limitName).penalize(setup.penaltyMs ?? 0);
    note("penalized", input, ctx.deliveries);
  }
}

const { servers, namespace } = setup;
const system = await ActorSystem.connect({ servers, namespace, log: "silent" });
await system.work([Limited]);
process.stdin.once("end", () => process.exit(0)).resume();
note("ready", "", 0);
