/** The bare side: nats.js alone, on a stream and a durable with the very settings of Godwit's. */
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { Names } from "../../src/message/subjects.ts";
import { actorName } from "./actors.ts";
import { askBare } from "./bare-ask.ts";
import { consumeByCallback, consumeByHand } from "./bare-consume.ts";
import { publishBare } from "./bare-publish.ts";
import { serveSide, type OpenSettings, type Side } from "./side.ts";

const stream = "bare_TASKS";
const durable = "bare";
const subject = "bare.task.normal.noop";

class BareSide implements Side {
  #nc!: NatsConnection;
  #jsm!: JetStreamManager;

  /** Called when Godwit has made its own streams and durables. */
  async open({ url, namespace }: OpenSettings): Promise<string> {
    this.#nc = await connect({ servers: url, noAsyncTraces: true });
    this.#jsm = await jetstreamManager(this.#nc);
    const names = new Names(namespace);
    const { config } = await this.#jsm.streams.info(names.tasks);
    await this.#jsm.streams.add({ ...config, name: stream, subjects: ["bare.task.>"] });
    const { config: theirs } = await this.#jsm.consumers.info(names.tasks, names.durable(actorName));
    const { name: _name, filter_subjects: _filters, ...shared } = theirs;
    await this.#jsm.consumers.add(stream, { ...shared, durable_name: durable, filter_subject: "bare.task.*.noop" });
    return this.#nc.info?.version ?? "unknown";
  }

  publish(_variant: string, messages: number): Promise<number> {
    return publishBare(this.#nc, subject, messages);
  }

  async consume(variant: string, messages: number): Promise<number> {
    const consume = variant === "consume()" ? consumeByCallback : consumeByHand;
    const ms = await consume(this.#nc, stream, durable, messages);
    await this.#untilEmpty();
    return ms;
  }

  /** The server works plain acks off in its own time. */
  async #untilEmpty(): Promise<void> {
    const endMs = performance.now() + 10_000;
    for (;;) {
      const { num_pending, num_ack_pending } = await this.#jsm.consumers.info(stream, durable);
      if (num_pending + num_ack_pending === 0) return;
      if (performance.now() > endMs) throw new Error(`${num_pending} + ${num_ack_pending} bare messages are left`);
    }
  }

  ask(count: number): Promise<number[]> {
    return askBare(this.#nc, { stream, durable, subject }, count);
  }

  async close(): Promise<void> {
    await this.#nc.drain();
  }
}

serveSide(new BareSide());
