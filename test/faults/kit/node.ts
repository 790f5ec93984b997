/** A node: one real nats-server of a cluster, on ports and a store of its own, which can be killed, paused and started again. */
import { mkdir, open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findBinary } from "../../../src/broker/embedded/binary.ts";
import { startGuarded, type Guarded } from "../../../src/broker/embedded/guard.ts";
import { until } from "../../support/embedded/until.ts";
import { freeze } from "../../support/freeze.ts";

export interface NodePorts {
  client: number;
  route: number;
  monitor: number;
}

export interface NodeOptions {
  name: string;
  /** Holds config, log and store. */
  folder: string;
  ports: NodePorts;
  /** Where it finds the others, `nats://127.0.0.1:port`. */
  routes: readonly string[];
  /** What clients are told to connect to, where that is not its own port: `127.0.0.1:port`. */
  clientAdvertise?: string;
}

/** What the server says of itself on its monitoring port. */
interface JetStreamView {
  meta_cluster?: { leader?: string; replicas?: { name: string; current: boolean; offline?: boolean }[] };
  account_details?: {
    stream_detail?: {
      name: string;
      cluster?: { leader?: string };
      consumer_detail?: { name: string; cluster?: { leader?: string } }[];
    }[];
  }[];
}

export class ClusterNode {
  readonly name: string;
  readonly #options: NodeOptions;
  #guarded: Guarded | undefined;
  #pid = 0;
  #paused = false;

  constructor(options: NodeOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** Its own address, around any proxy. */
  get url(): string {
    return `nats://127.0.0.1:${this.#options.ports.client}`;
  }

  /** Up, and neither paused nor killed. */
  get alive(): boolean {
    return this.#guarded !== undefined && !this.#paused;
  }

  get pid(): number {
    return this.#pid;
  }

  /** Starts it on its ports and its store. It ends when this process does, however that ends. Resolves when it has a pid; see healthy(). */
  async start(): Promise<void> {
    const { folder, name, ports, routes, clientAdvertise } = this.#options;
    await mkdir(folder, { recursive: true });
    const pidFile = join(folder, "pid");
    await rm(pidFile, { force: true });
    const config = join(folder, "nats-server.conf");
    const settings = {
      server_name: name,
      listen: `127.0.0.1:${ports.client}`,
      ...(clientAdvertise !== undefined && { client_advertise: clientAdvertise }),
      http: `127.0.0.1:${ports.monitor}`,
      pid_file: pidFile,
      jetstream: { store_dir: folder, max_file_store: 10 * 1024 ** 4, max_memory_store: 1024 ** 3 },
      cluster: {
        name: "faults",
        listen: `127.0.0.1:${ports.route}`,
        routes,
        // No node goes around a proxy: none hears of others by gossip, and what a node says of itself, which the others dial for the further
        // routes of a pool and for some that they lost, leads nowhere.
        ...(clientAdvertise !== undefined && { no_advertise: true, advertise: "127.0.0.1:1", pool_size: -1 }),
      },
    };
    await writeFile(config, JSON.stringify(settings));
    const log = await open(join(folder, "nats-server.log"), "a");
    const lock = await open(join(folder, "lock"), "a");
    const guarded = startGuarded({
      command: [await findBinary(), "-c", config],
      cwd: folder,
      env: process.env,
      logFd: log.fd,
      lockFd: lock.fd,
      temporaryDir: undefined,
    });
    await log.close();
    await lock.close();
    this.#guarded = guarded;
    let ended = false;
    void guarded.exited.then(() => {
      ended = true;
      if (this.#guarded === guarded) this.#guarded = undefined;
    });
    this.#pid = await until(`${name} runs`, async () => {
      if (ended) throw new Error(`${name} ended: ${await this.logTail()}`);
      return Number(await readFile(pidFile, "utf8").catch(() => "0"));
    });
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const exited = this.#guarded?.exited;
    process.kill(this.#pid, "SIGKILL");
    await exited;
  }

  /** Ends it in order: it hands over what it leads. */
  async stop(): Promise<void> {
    this.resume();
    await this.#guarded?.end();
  }

  /** Makes it stand still, with its connections open. */
  async pause(): Promise<void> {
    this.#paused = true;
    await freeze(this.#pid);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    process.kill(this.#pid, "SIGCONT");
  }

  /** True once it has caught up with all streams and consumers that it keeps. */
  async healthy(): Promise<boolean> {
    return (await this.#ask("/healthz"))?.ok === true;
  }

  /** The others that are up and current in its eyes, where it leads the cluster; else none. */
  async followers(): Promise<string[]> {
    const answer = await this.#ask("/jsz");
    if (answer?.ok !== true) return [];
    const { meta_cluster: meta } = (await answer.json()) as JetStreamView;
    if (meta?.leader !== this.name) return [];
    return (meta.replicas ?? []).filter(({ current, offline }) => current && offline !== true).map(({ name }) => name);
  }

  /** Who leads, as far as it knows: the whole cluster; a stream; a consumer. */
  async leader(stream?: string, consumer?: string): Promise<string | undefined> {
    const answer = await this.#ask(`/jsz?${stream === undefined ? "" : "consumers=true"}`);
    if (answer?.ok !== true) return undefined;
    const view = (await answer.json()) as JetStreamView;
    if (stream === undefined) return view.meta_cluster?.leader || undefined;
    const found = view.account_details
      ?.flatMap((account) => account.stream_detail ?? [])
      .find((one) => one.name === stream);
    if (consumer === undefined) return found?.cluster?.leader || undefined;
    return found?.consumer_detail?.find((one) => one.name === consumer)?.cluster?.leader || undefined;
  }

  async #ask(path: string): Promise<Response | undefined> {
    const signal = AbortSignal.timeout(1_000);
    return fetch(`http://127.0.0.1:${this.#options.ports.monitor}${path}`, { signal }).catch(() => undefined);
  }

  /** The last lines of its log. */
  async logTail(): Promise<string> {
    const text = await readFile(join(this.#options.folder, "nats-server.log"), "utf8").catch(() => "");
    return text.trimEnd().split("\n").slice(-4).join(" | ");
  }
}
