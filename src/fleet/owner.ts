/** Owner: the channel to the process that started this one, from the worker's side: why it is asked to end, and how it does. */
import type { ActorSystem } from "../system/actor-system.ts";
import type { Worker } from "../worker/worker.ts";
import { readToWorker, type FromWorker } from "./protocol.ts";

const reportEveryMs = 250;

export class Owner {
  /** What it said before it sent the signal. */
  #why: string | undefined;
  #system: ActorSystem | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param onGone its owner has ended, or let go of it: nobody would ever end it. */
  constructor(onGone: () => void) {
    process.on("message", (said) => {
      const message = readToWorker(said);
      if (message?.say === "stop") this.#why = message.why;
      if (message?.say === "look") void this.#tellMetrics(message.id);
    });
    process.once("disconnect", onGone);
  }

  /** The signal asks, in its owner's words, which may be heard after it: what lies in the channel by now is read in the next turn of the loop. */
  inItsWords(ask: (why: string) => void): (signal: string) => void {
    return (signal) => void setImmediate(() => setImmediate(() => ask(this.#why ?? signal)));
  }

  /** The worker is at work: from now on its owner is told how it does. */
  follow(system: ActorSystem, worker: Worker, healthWindowMs: number): void {
    this.#system = system;
    system.endpoint.watch(healthWindowMs);
    const report = (): void => {
      const { restart, reasons } = system.endpoint.health(healthWindowMs);
      tell({ say: "report", load: system.load(), unhealthyReasons: restart ? reasons : [] });
    };
    // First, so that whoever hears that it is ready knows how large it is.
    report();
    tell({ say: "ready", actors: worker.actors });
    this.#timer = setInterval(report, reportEveryMs).unref();
  }

  /** Its last word: what it has done stays counted. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    await this.#tellMetrics();
    this.#system = undefined;
  }

  async #tellMetrics(id?: number): Promise<void> {
    const metrics = await this.#system?.endpoint.metrics.snapshot();
    if (metrics !== undefined) tell({ say: "metrics", metrics, ...(id !== undefined && { id }) });
  }
}

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}
