/** What a dashboard is about, as processes: a nats-server, a worker, and `godwit dashboard` itself. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EmbeddedServer } from "../../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../../src/index.ts";
import { Running } from "../cli/run.ts";

const worker = fileURLToPath(new URL("../../../dist/test/support/dashboard/worker-process.js", import.meta.url));
const namespace = "house";

export class House {
  readonly system: ActorSystem;
  readonly #folder: string;
  readonly #server: EmbeddedServer;
  readonly #worker: ChildProcess;
  readonly #dashboards: Running[] = [];

  private constructor(folder: string, server: EmbeddedServer, worker: ChildProcess, system: ActorSystem) {
    this.#folder = folder;
    this.#server = server;
    this.#worker = worker;
    this.system = system;
  }

  static async open(): Promise<House> {
    const [folder, server] = await Promise.all([mkdtemp(join(tmpdir(), "godwit-house-")), EmbeddedServer.start()]);
    const system = await ActorSystem.connect({ servers: server.url, namespace, log: "silent" });
    const child = spawn(process.execPath, [worker, server.url, namespace], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    return new House(folder, server, child, system);
  }

  /** From now on the worker does what it refused before. */
  async mend(): Promise<void> {
    this.#worker.stdin?.write("mend\n");
    if (this.#worker.stdout) await once(this.#worker.stdout, "data");
  }

  /** @returns it and its address. */
  async dashboard(...args: string[]): Promise<{ process: Running; url: string }> {
    const process = new Running(["dashboard", "--servers", this.#server.url, "--namespace", namespace, ...args], {
      cwd: this.#folder,
    });
    this.#dashboards.push(process);
    await process.says(/http:\S+/);
    return { process, url: /http:\S+/.exec(process.stdout)?.[0] ?? "" };
  }

  async close(): Promise<void> {
    for (const dashboard of this.#dashboards) dashboard.signal("SIGKILL");
    await Promise.all(this.#dashboards.map((dashboard) => dashboard.ended));
    const ended = once(this.#worker, "exit");
    this.#worker.stdin?.end();
    await ended;
    await this.system.close();
    await this.#server.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
