/** What a server refuses is told by its real cause: whose room is short, that nobody took it, that there are too many connections. */
import { randomBytes } from "node:crypto";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, describe, expect, test } from "vitest";
import { Pipeline } from "../../src/broker/pipeline.ts";
import { Publisher } from "../../src/broker/publisher.ts";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { alteredServer } from "../support/embedded/altered-server.ts";
import { ownServer } from "../support/nats/own-server.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

/** The address of a server with this config. */
async function serving(config: string): Promise<string> {
  const server = await ownServer({ config });
  endings.push(() => server.stop());
  return `nats://127.0.0.1:${server.port}`;
}

async function connected(options: SystemOptions): Promise<ActorSystem> {
  const system = await ActorSystem.connect({ log: "silent", ...options });
  endings.push(() => system.close());
  return system;
}

/** Sends until it is refused. */
async function refusal(system: ActorSystem, body: Uint8Array): Promise<unknown> {
  for (let n = 0; n < 100; n++) {
    const error: unknown = await system.tell("sink", body).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    if (error !== undefined) return error;
  }
  return undefined;
}

describe("where room is short", () => {
  const account = "accounts { A { jetstream: { max_file: 60000000 }, users: [ { user: a, password: a } ] } }";
  const options = { user: "a", pass: "a", limits: { maxBytes: 50_000_000 } };

  test.each([
    ["a message", 900_000],
    ["a body in the object store", 3_000_000],
  ])("in the account, %s is refused with that, and not for the workers' sake", async (_what, bytes) => {
    const servers = await serving(account);
    const system = await connected({ servers, ...options });
    const client = await connect({ servers, user: "a", pass: "a" });
    endings.push(() => client.close());
    await (await jetstreamManager(client)).streams.update("godwit_TASKS", { max_bytes: -1 });
    const error = await refusal(system, randomBytes(bytes));
    expect(error).toMatchObject({
      code: "QUEUE_FULL",
      message: expect.stringMatching(
        /^The account has no room .*nothing was stored; .*raise the account's JetStream limits\.$/,
      ) as string,
    });
  });

  test("in the server, a message is refused with that", async () => {
    const server = await alteredServer({ maxFileStoreBytes: 60_000_000 });
    endings.push(() => server.stop());
    const system = await connected({ servers: server.url, limits: { maxBytes: 50_000_000 } });
    const client = await connect({ servers: server.url });
    endings.push(() => client.close());
    await (await jetstreamManager(client)).streams.update("godwit_TASKS", { max_bytes: -1 });
    expect(await refusal(system, randomBytes(900_000))).toMatchObject({
      code: "QUEUE_FULL",
      message: expect.stringMatching(/^The server has no room .*nothing was stored; make room on it/) as string,
    });
  });
});

test("a message that nobody answers for is not stored, and is told so", async () => {
  const { parts } = await stage.connect();
  const pipeline = new Pipeline(parts.connection);
  const publisher = new Publisher(parts.connection, pipeline);
  const message = { stream: "GONE", subject: "nobody.takes.it", body: new Uint8Array(), headers: {}, timeoutMs: 500 };
  await expect(publisher.publish(message)).rejects.toMatchObject({
    name: "NotStoredError",
    code: "NOT_STORED",
    message:
      "Nobody took the message for 'nobody.takes.it' in time (no responders), so it is not stored; see that the stream GONE is there and has a leader, and send it again.",
  });
  pipeline.close();
});

test.each([
  ["of the server", "max_connections: 1", {}, "maximum connections exceeded"],
  [
    "of the account",
    "accounts { A { jetstream: enabled, users: [ { user: a, password: a } ], limits: { max_connections: 1 } } }",
    { user: "a", pass: "a" },
    "maximum account active connections exceeded",
  ],
])("too many connections %s are told as that", async (_whose, config, login, why) => {
  const servers = await serving(config);
  const client = await connect({ servers, ...login });
  endings.push(() => client.close());
  await expect(connected({ servers, ...login })).rejects.toMatchObject({
    code: "NO_SERVER",
    message: `The NATS server at ${servers.slice("nats://".length)} refused the connection (${why}); close some that are not needed, or raise max_connections, the server's or the account's.`,
  });
});
