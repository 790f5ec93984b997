/** A scene: a cast around one real server, which can be killed and brought back. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedServer } from "../../../src/broker/embedded/server.ts";
import { freePort } from "../free-port.ts";
import { Cast } from "./cast.ts";
import { Proxy } from "./proxy.ts";

export class Scene extends Cast {
  /** When a killed server was started again, wall-clock ms. */
  readonly restarts: number[] = [];
  readonly #port: number;
  #server: EmbeddedServer;
  readonly #proxies: Proxy[] = [];

  private constructor(folder: string, port: number, server: EmbeddedServer) {
    super(folder, () => ({ servers: this.url, durability: "single" }));
    this.#port = port;
    this.#server = server;
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

  /** @param host the address that it takes connections on. */
  async proxy(host?: string): Promise<Proxy> {
    const proxy = await Proxy.start(this.url, host);
    this.#proxies.push(proxy);
    return proxy;
  }

  override async close(failed = false): Promise<void> {
    // Systems that are to drain need a way.
    for (const proxy of this.#proxies) proxy.mend();
    await super.close(failed);
  }

  protected override async closeServers(): Promise<void> {
    await Promise.all(this.#proxies.map((proxy) => proxy.stop()));
    await this.#server.stop();
  }
}
