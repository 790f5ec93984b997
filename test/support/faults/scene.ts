/** A scene: a real server that can be killed and brought back, systems, workers in processes of their own, and the end of all of them. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ActorSystem, type SystemOptions, type Worker } from "godwit";
import { EmbeddedServer } from "../../../src/broker/embedded/server.ts";
import { until } from "../embedded/until.ts";
import { Journal } from "./journal.ts";
import { Proxy } from "./proxy.ts";
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

export class Scene {
  readonly folder: string;
  readonly namespace: string;
  readonly journal: Journal;
  /** When a killed server was started again, wall-clock ms. */
  readonly restarts: number[] = [];
  readonly #port: number;
  #server: EmbeddedServer;
  readonly #children: ChildProcess[] = [];
  readonly #systems: ActorSystem[] = [];
  readonly #workers: Worker[] = [];
  readonly #proxies: Proxy[] = [];

  private constructor(folder: string, port: number, server: EmbeddedServer) {
    this.folder = folder;
    this.#port = port;
    this.#server = server;
    this.namespace = "faults";
    this.journal = new Journal(join(folder, "journal"));
  }

  static async open(): Promise<Scene> {
    const folder = await mkdtemp(join(tmpdir(), "godwit-faults-"));
    const port = await freePort();
    return new Scene(folder, port, await EmbeddedServer.start({ storeDir: join(folder, "store"), port }));
  }

  /** What the server keeps. */
  get storeDir(): string {
    return join(this.folder, "store");
  }

  get url(): string {
    return this.#server.url;
  }

  /** Ends the server as a crash would. */
  async killServer(): Promise<void> {
    process.kill(this.#server.pid, "SIGKILL");
    await this.#server.exited;
  }

  /** Brings the server back on the same port with the same store. */
  async restartServer(maxPayloadBytes?: number): Promise<void> {
    const { storeDir } = this;
    this.restarts.push(Date.now());
    this.#server = await EmbeddedServer.start({ storeDir, port: this.#port, maxPayloadBytes });
  }

  async proxy(): Promise<Proxy> {
    const proxy = await Proxy.start(this.url);
    this.#proxies.push(proxy);
    return proxy;
  }

  async connect(options: SystemOptions = {}): Promise<ActorSystem> {
    const system = await ActorSystem.connect({
      servers: this.url,
      namespace: this.namespace,
      log: "silent",
      ...options,
    });
    this.#systems.push(system);
    return system;
  }

  /** A worker in this process, with a connection of its own. */
  async work(setup: Partial<WorkerSetup>): Promise<{ system: ActorSystem; worker: Worker }> {
    const full = this.#complete(setup);
    const system = await this.connect({ servers: full.servers });
    const worker = await startWork(system, full, this.journal);
    this.#workers.push(worker);
    return { system, worker };
  }

  /**
   * A worker in a process of its own, once it pulls.
   * @param script what runs in it, with the setup as JSON and the journal's path as its arguments.
   */
  async spawn<S extends Partial<WorkerSetup>>(setup: S, script = workerScript): Promise<WorkerProcess> {
    const full = this.#complete(setup);
    const child = spawn(process.execPath, [script, JSON.stringify(full), this.journal.path], {
      stdio: ["pipe", "inherit", "inherit"],
    });
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

  /** Ends everything that this scene started. Shows the journal's end where the test failed. */
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
    for (const proxy of this.#proxies) proxy.mend();
    await Promise.all(this.#workers.map((worker) => worker.stop({ grace: 0 })));
    await Promise.all(this.#systems.map((system) => system.close()));
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()));
    await this.#server.stop();
    this.journal.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  #complete(setup: Partial<WorkerSetup>): WorkerSetup {
    return {
      servers: this.url,
      namespace: this.namespace,
      worker: "worker",
      ackWaitMs: 1_000,
      concurrency: 10,
      ...setup,
    };
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
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
