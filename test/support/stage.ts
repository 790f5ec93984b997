/** The stage of integration tests: one nats-server for a file, a fresh namespace for each test, and nothing left behind. */
import { AsyncLocalStorage } from "node:async_hooks";
import { jetstreamManager, type JetStreamManager, type StoredMsg } from "@nats-io/jetstream";
import { connect, headers as newHeaders, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, aroundEach, beforeAll, expect } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import type { EmbeddedServerOptions } from "../../src/broker/embedded/options.ts";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { Names } from "../../src/message/subjects.ts";

/** For `expect.poll`, whose own patience of a second is too short for a busy machine. */
export const patient = { timeout: 15_000, interval: 20 };

/** A client that knows nothing of Godwit, and what it can see and do. */
export interface PlainClient {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  /** Publishes and waits for JetStream to have it. @returns the sequence. */
  publish(subject: string, body: Uint8Array | string, fields?: Record<string, string>): Promise<number>;
  /** The newest message of a subject, or undefined. */
  last(stream: string, subject: string): Promise<StoredMsg | undefined>;
  /** Messages now in a stream. */
  count(stream: string): Promise<number>;
  /** The last sequence that a stream has given out: it grows with each write, also of what is gone. */
  lastSequence(stream: string): Promise<number>;
}

export interface Stage {
  readonly url: string;
  /** The process id of the server. */
  readonly pid: number;
  /** Fresh for each test. */
  readonly namespace: string;
  /** The names in this test's namespace. */
  readonly names: Names;
  /** A system in this test's namespace, closed after the test. It logs nothing unless `options.log` says otherwise. */
  connect(options?: SystemOptions): Promise<ActorSystem>;
  /** A client of its own connection, closed after the test. */
  client(): Promise<PlainClient>;
}

/** What one test has: found by what it awaits, so that tests of a file may run together. */
interface Act {
  readonly namespace: string;
  readonly names: Names;
  readonly endings: (() => Promise<unknown>)[];
}

/**
 * Call at the top of a test file, whose tests may then be concurrent. Fails each test in which a promise was rejected and nobody looked;
 * of those that run together, the one that ends next.
 */
export function useStage(options: EmbeddedServerOptions = {}): Stage {
  let server: EmbeddedServer;
  let count = 0;
  const acts = new AsyncLocalStorage<Act>();
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  /** @throws Error outside of a test. */
  const act = (): Act => {
    const found = acts.getStore();
    if (found === undefined) throw new Error("the stage is for tests and the hooks around each of them");
    return found;
  };

  beforeAll(async () => {
    server = await EmbeddedServer.start(options);
    process.on("unhandledRejection", note);
  });
  afterAll(async () => {
    process.off("unhandledRejection", note);
    await server.stop();
  });
  aroundEach(async (runTest) => {
    count += 1;
    const namespace = `t${count}`;
    const own: Act = { namespace, names: new Names(namespace), endings: [] };
    await acts.run(own, runTest);
    for (const end of own.endings.toReversed()) await end();
    // Node reports a rejection only after the microtasks of the turn in which it happened.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled.splice(0), "promises that were rejected and nobody looked").toEqual([]);
  });

  return {
    get url() {
      return server.url;
    },
    get pid() {
      return server.pid;
    },
    get namespace() {
      return act().namespace;
    },
    get names() {
      return act().names;
    },
    async connect(systemOptions = {}) {
      const { namespace, endings } = act();
      const system = await ActorSystem.connect({ servers: server.url, namespace, log: "silent", ...systemOptions });
      endings.push(() => system.close());
      return system;
    },
    async client() {
      const { endings } = act();
      const nc = await connect({ servers: server.url });
      endings.push(() => nc.close());
      return plainClient(nc, await jetstreamManager(nc));
    },
  };
}

function plainClient(nc: NatsConnection, jsm: JetStreamManager): PlainClient {
  const js = jsm.jetstream();
  return {
    nc,
    jsm,
    async publish(subject, body, fields) {
      const headers = newHeaders();
      for (const [name, value] of Object.entries(fields ?? {})) headers.set(name, value);
      const ack = await js.publish(subject, body, fields === undefined ? {} : { headers });
      return ack.seq;
    },
    async last(stream, subject) {
      try {
        return (await jsm.streams.getMessage(stream, { last_by_subj: subject })) ?? undefined;
      } catch (error) {
        if (/no message found/.test((error as Error).message)) return undefined;
        throw error;
      }
    },
    count: async (stream) => (await jsm.streams.info(stream)).state.messages,
    lastSequence: async (stream) => (await jsm.streams.info(stream)).state.last_seq,
  };
}
