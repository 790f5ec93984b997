/** A cast: systems, workers in this process and in processes of their own, the journal they write, and the end of all of them. */
import { spawn, type ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ActorSystem, type SystemOptions, type Worker } from "godwit";
import { until } from "../embedded/until.ts";
import { Journal } from "./journal.ts";
import { startWork, type WorkerSetup } from "./work.ts";

const workerScript = fileURLToPath(new URL("../../../dist/test/support/faults/worker.js", import.meta.url));

/** A worker in a process of its own. */
export interface WorkerProcess {
  readonly pid: number;
  readonly setup: WorkerSetup;
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** True until the process has ended. */
  readonly running: boolean;
  kill(signal: NodeJS.Signals): void;
}

type Broker = Pick<WorkerSetup, "servers" | "durability">;

export class Cast {
  readonly folder: string;
  readonly namespace = "faults";
  readonly journal: Journal;
  /** What systems and workers connect to, and how, unless they say otherwise. */
  readonly #defaults: () => Broker;
  readonly #children: ChildProcess[] = [];
  readonly #systems: ActorSystem[] = [];
  readonly #workers: Worker[] = [];

  /** @param folder holds the journal, and is removed by close(). */
  constructor(folder: string, defaults: () => Broker) {
    this.folder = folder;
    this.#defaults = defaults;
    this.journal = new Journal(join(folder, "journal"));
  }

  async connect(options: SystemOptions = {}): Promise<ActorSystem> {
    const system = await ActorSystem.connect({
      ...this.#defaults(),
      namespace: this.namespace,
      log: "silent",
      ...options,
    });
    this.#systems.push(system);
    return system;
  }

  /** A worker in this process, with a connection of its own. */
  async work(
    setup: Partial<WorkerSetup>,
    options: SystemOptions = {},
  ): Promise<{ system: ActorSystem; worker: Worker }> {
    const full = this.#complete(setup);
    const system = await this.connect({ servers: full.servers, ...options });
    const worker = await startWork(system, full, this.journal);
    this.#workers.push(worker);
    return { system, worker };
  }

  /**
   * A worker in a process of its own, once it pulls.
   * @param script what runs in it, with the setup as JSON and the journal's path as its arguments.
   * @param prefix what it is run by, such as `ip netns exec NAME`.
   */
  async spawn<S extends Partial<WorkerSetup>>(
    setup: S,
    script = workerScript,
    prefix: readonly string[] = [],
  ): Promise<WorkerProcess> {
    const full = this.#complete(setup);
    const [command, ...args] = [...prefix, process.execPath, script, JSON.stringify(full), this.journal.path];
    const child = spawn(command, args, { stdio: ["pipe", "inherit", "inherit"] });
    this.#children.push(child);
    const pid = child.pid ?? -1;
    let running = true;
    const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      child.once("exit", (code, signal) => {
        running = false;
        resolve({ code, signal });
      });
    });
    await until(`worker ${full.worker} is ready`, () => {
      if (!running) throw new Error(`worker ${full.worker} ended before it was ready`);
      return this.journal.of("ready").some((entry) => entry.pid === pid);
    });
    return {
      pid,
      setup: full,
      ended,
      get running() {
        return running;
      },
      kill: (signal) => void child.kill(signal),
    };
  }

  /** Ends everything that belongs to it. Shows the journal's end where the test failed. */
  async close(failed = false): Promise<void> {
    if (failed)
      console.log(
        this.journal.entries
          .slice(-60)
          .map((entry) => JSON.stringify(entry))
          .join("\n"),
      );
    const exits = this.#children
      .filter((child) => child.exitCode === null && child.signalCode === null)
      .map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(exits);
    await Promise.all(this.#workers.map((worker) => worker.stop({ grace: 0 })));
    await Promise.all(this.#systems.map((system) => system.close()));
    await this.closeServers();
    this.journal.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  /** Ends what the systems were connected to, when they have gone. */
  protected async closeServers(): Promise<void> {}

  #complete(setup: Partial<WorkerSetup>): WorkerSetup {
    return {
      ...this.#defaults(),
      namespace: this.namespace,
      worker: "worker",
      ackWaitMs: 1_000,
      concurrency: 10,
      ...setup,
    };
  }
}

/** Resolves once neither tasks nor delayed tasks are left at the server. */
export async function untilDrained(system: ActorSystem, timeoutMs = 30_000): Promise<void> {
  const { names, reader } = system.parts;
  await until(
    "every task has left its stream",
    async () => {
      const states = await Promise.all([reader.state(names.tasks), reader.state(names.schedule)]).catch(() => []);
      return states.length > 0 && states.every((state) => state?.messages === 0);
    },
    timeoutMs,
  );
}
