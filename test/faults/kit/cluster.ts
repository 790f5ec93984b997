/**
 * Cluster: three real nats-servers with JetStream on loopback, whose nodes can be killed, paused, cut off and started again.
 * 1. Each node hears of the others by its config alone. Where nodes are to be cut off, each way from one to another, and from clients to
 *    each, goes through a proxy of its own.
 * 2. All of it ends with this process, however that ends (src/broker/embedded/guard.ts).
 */
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { until } from "../../support/embedded/until.ts";
import { Proxy } from "../../support/faults/proxy.ts";
import { freePort } from "../../support/free-port.ts";
import { ClusterNode, type NodePorts } from "./node.ts";

const names = ["n1", "n2", "n3"] as const;

/** The proxies that a node's traffic goes through. */
interface Ways {
  client: Proxy;
  /** To and from the others. */
  routes: Proxy[];
}

export class Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly #ways: Map<string, Ways>;
  /** And which of its ways lead nowhere. */
  readonly #cutOff = new Map<ClusterNode, Proxy[]>();

  private constructor(nodes: readonly ClusterNode[], ways: Map<string, Ways>) {
    this.nodes = nodes;
    this.#ways = ways;
  }

  /**
   * Resolves when it has a leader, all nodes are current, and it takes streams.
   * @param folder is there, and holds all that the nodes keep.
   * @param options.proxied lets nodes be cut off. Their traffic goes through this process then.
   */
  static async start(folder: string, options: { proxied?: boolean } = {}): Promise<Cluster> {
    const ports = new Map<string, NodePorts>();
    for (const name of names) {
      ports.set(name, { client: await freePort(), route: await freePort(), monitor: await freePort() });
    }
    const ways = new Map<string, Ways>();
    const routes = new Map<string, string[]>(names.map((name) => [name, []]));
    const portsOf = (name: string): NodePorts => ports.get(name) as NodePorts;
    if (options.proxied === true) {
      for (const name of names)
        ways.set(name, { client: await Proxy.start(`nats://127.0.0.1:${portsOf(name).client}`), routes: [] });
    }
    for (const from of names) {
      for (const to of names) {
        if (from === to) continue;
        let address = `nats://127.0.0.1:${portsOf(to).route}`;
        if (options.proxied === true) {
          const proxy = await Proxy.start(address);
          for (const end of [from, to]) ways.get(end)?.routes.push(proxy);
          address = proxy.url;
        }
        routes.get(from)?.push(address);
      }
    }
    const nodes = names.map((name) => {
      const client = ways.get(name)?.client;
      return new ClusterNode({
        name,
        folder: join(folder, name),
        ports: portsOf(name),
        routes: routes.get(name) ?? [],
        ...(client !== undefined && { clientAdvertise: new URL(client.url).host }),
      });
    });
    const cluster = new Cluster(nodes, ways);
    try {
      await Promise.all(nodes.map((node) => node.start()));
      await cluster.ready();
      // Readiness asks those that are alive alone.
      for (const node of nodes) if (!node.alive) throw new Error(`${node.name} ended: ${await node.logTail()}`);
      await cluster.#takesStreams();
    } catch (error) {
      await cluster.stop();
      throw error;
    }
    return cluster;
  }

  /** Where clients reach the nodes. */
  get urls(): string[] {
    return this.nodes.map((node) => this.#ways.get(node.name)?.client.url ?? node.url);
  }

  node(name: string): ClusterNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`there is no node ${name}`);
    return found;
  }

  /** Resolves once the cluster has a leader and every node that is alive is current. */
  async ready(timeoutMs = 40_000): Promise<void> {
    await until(
      "the cluster has a leader and all nodes are current",
      async () => (await this.#allFollow()) && (await this.#allHealthy()),
      timeoutMs,
    );
  }

  /** The nodes that are up and within reach. */
  get alive(): readonly ClusterNode[] {
    return this.nodes.filter((node) => node.alive && !this.#cutOff.has(node));
  }

  /** Who leads the cluster, a stream, or a consumer, where the nodes that are alive agree on one of them. */
  async leader(stream?: string, consumer?: string): Promise<ClusterNode | undefined> {
    const { alive } = this;
    const said = new Set(await Promise.all(alive.map((node) => node.leader(stream, consumer))));
    const [name] = said;
    return said.size === 1 ? alive.find((node) => node.name === name) : undefined;
  }

  /** Waits for a leader; see leader(). */
  leaderOf(stream?: string, consumer?: string): Promise<ClusterNode> {
    return until(`${consumer ?? stream ?? "the cluster"} has a leader`, () => this.leader(stream, consumer), 30_000);
  }

  /** Has a node lead a stream. */
  async lead(node: ClusterNode, stream: string): Promise<void> {
    const client = await connect({ servers: node.url, ignoreClusterUpdates: true });
    const wish = JSON.stringify({ placement: { preferred: node.name } });
    try {
      if ((await this.leaderOf(stream)) === node) return;
      await client.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, wish, { timeout: 5_000 });
      await until(`${node.name} leads ${stream}`, async () => (await this.leader(stream)) === node, 15_000);
    } finally {
      await client.close();
    }
  }

  /** Cuts a node off from the others and from clients, as when a cable is pulled: nobody is told. */
  cutOff(node: ClusterNode): void {
    const { client, routes } = this.#waysOf(node);
    this.#isolate(node, [client, ...routes]);
  }

  /** Cuts a node off from the others alone: its clients stay. */
  splitOff(node: ClusterNode): void {
    this.#isolate(node, this.#waysOf(node).routes);
  }

  #isolate(node: ClusterNode, ways: Proxy[]): void {
    this.#cutOff.set(node, ways);
    for (const way of ways) way.isolate();
  }

  /** Puts the cable back. */
  mend(node: ClusterNode): void {
    for (const way of this.#cutOff.get(node) ?? []) {
      // What was swallowed is missing from those connections.
      way.drop();
      way.mend();
    }
    this.#cutOff.delete(node);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
    for (const { client, routes } of this.#ways.values()) {
      for (const way of [client, ...routes]) await way.stop();
    }
    this.#ways.clear();
  }

  /** Routes still change for a moment after the leader has counted its followers, and streams are refused: "peer offline". */
  async #takesStreams(): Promise<void> {
    const client = await connect({ servers: this.urls });
    const { streams } = await jetstreamManager(client, { checkAPI: false, timeout: 1_000 });
    const done = (request: Promise<unknown>): Promise<boolean> =>
      request.then(
        () => true,
        () => false,
      );
    try {
      const probe = { name: "PROBE", subjects: ["probe"], num_replicas: names.length };
      await until("a stream of three copies is taken", () => done(streams.add(probe)));
      await until("it is deleted", () => done(streams.delete(probe.name)));
    } finally {
      await client.close();
    }
  }

  async #allFollow(): Promise<boolean> {
    const leader = await this.leader();
    const followers = (await leader?.followers()) ?? [];
    return leader !== undefined && this.alive.every((node) => node === leader || followers.includes(node.name));
  }

  async #allHealthy(): Promise<boolean> {
    return (await Promise.all(this.alive.map((node) => node.healthy()))).every(Boolean);
  }

  #waysOf(node: ClusterNode): Ways {
    const ways = this.#ways.get(node.name);
    if (ways === undefined) throw new Error(`${node.name} cannot be cut off; start the cluster with proxied`);
    return ways;
  }
}
