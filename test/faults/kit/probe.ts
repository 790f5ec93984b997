/**
 * Probe: an independent witness of when a consumer has a leader that answers. A plain client on each node asks for the consumer's state
 * every `paceMs`, whatever becomes of earlier questions; each answer is kept.
 */
import { connect, type NatsConnection } from "@nats-io/transport-node";

const paceMs = 50;
const patienceMs = 2_000;

export interface Answer {
  /** Wall-clock ms. */
  askedAt: number;
  at: number;
  /** The node that leads the consumer. */
  leader: string;
}

export class Probe {
  readonly #clients: NatsConnection[];
  readonly #subject: string;
  readonly #answers: Answer[] = [];
  #timer: NodeJS.Timeout | undefined;

  private constructor(clients: NatsConnection[], stream: string, consumer: string) {
    this.#clients = clients;
    this.#subject = `$JS.API.CONSUMER.INFO.${stream}.${consumer}`;
    this.#timer = setInterval(() => {
      for (const client of this.#clients) void this.#ask(client);
    }, paceMs);
  }

  /** @param urls one for each node. */
  static async start(urls: readonly string[], stream: string, consumer: string): Promise<Probe> {
    const clients = urls.map((servers) =>
      connect({
        servers,
        // To this node and no other.
        ignoreClusterUpdates: true,
        maxReconnectAttempts: -1,
        reconnectTimeWait: paceMs,
        pingInterval: 1_000,
        timeout: 1_000,
      }),
    );
    return new Probe(await Promise.all(clients), stream, consumer);
  }

  /** The first answer to a question asked after this time; of a leader other than `but`, where that is given. */
  first(sinceAt: number, but?: string): Answer | undefined {
    return this.#answers.find(({ askedAt, leader }) => askedAt >= sinceAt && leader !== but);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  async #ask(client: NatsConnection): Promise<void> {
    const askedAt = Date.now();
    try {
      const reply = await client.request(this.#subject, "", { timeout: patienceMs });
      const { cluster, error } = reply.json<{ cluster?: { leader?: string }; error?: unknown }>();
      if (error === undefined && cluster?.leader)
        this.#answers.push({ askedAt, at: Date.now(), leader: cluster.leader });
    } catch {
      // No leader, or no connection to this node: that is what it is there to find out.
    }
  }
}
