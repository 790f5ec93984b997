/** A TCP proxy that fails on command: drops connections, refuses new ones, or goes silent without closing. */
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Which way bytes are swallowed. Once any were, the connection is of no more use: drop() it, or let its ends find out. */
export type Silence = "none" | "answers" | "requests" | "both";

interface Pair {
  client: Socket;
  upstream: Socket;
  silence: Silence;
}

export class Proxy {
  readonly #server: Server;
  readonly #upstreamPort: number;
  readonly #pairs = new Set<Pair>();
  #refusing = false;
  /** How many connections it has taken, ever. */
  accepted = 0;
  /** Called with what a client sent, once it is on its way to the server. */
  onRequest: (bytes: Buffer) => void = () => undefined;

  private constructor(server: Server, upstreamPort: number) {
    this.#server = server;
    this.#upstreamPort = upstreamPort;
    server.on("connection", (client) => this.#join(client));
  }

  /** @param upstream `nats://host:port`, on this machine. @param host the address that it takes connections on. */
  static async start(upstream: string, host = "127.0.0.1"): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server, Number(new URL(upstream).port));
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, host, resolve));
    return proxy;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `nats://${address}:${port}`;
  }

  /** Resets every connection. Clients may come back at once. */
  drop(): void {
    for (const { client, upstream } of this.#pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  }

  /** Drops everything and refuses until mend(). */
  cut(): void {
    this.#refusing = true;
    this.drop();
  }

  mend(): void {
    this.#refusing = false;
  }

  /** Swallows what comes from either side and takes no new connections until mend(); what there is must be dropped then. */
  isolate(): void {
    this.#refusing = true;
    this.mute("both");
  }

  /** Swallows bytes of the connections that there are; later ones are whole. Neither end is told. */
  mute(silence: Silence): void {
    for (const pair of this.#pairs) pair.silence = silence;
  }

  async stop(): Promise<void> {
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    this.accepted += 1;
    const upstream = connect(this.#upstreamPort, "127.0.0.1");
    const pair: Pair = { client, upstream, silence: "none" };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", end);
    }
    client.on("data", (bytes) => {
      if (pair.silence === "none" || pair.silence === "answers") upstream.write(bytes);
      this.onRequest(bytes);
    });
    upstream.on("data", (bytes) => {
      if (pair.silence === "none" || pair.silence === "requests") client.write(bytes);
    });
  }
}
