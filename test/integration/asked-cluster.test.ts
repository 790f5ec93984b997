/** A cluster of three: copies that workers asked for stay, fewer have to be asked for twice, and of writes that race one wins. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { until } from "../support/embedded/until.ts";
import { freePort } from "../support/free-port.ts";
import { ownServer, type OwnServer } from "../support/nats/own-server.ts";

const nodes: OwnServer[] = [];

beforeAll(async () => {
  const routes = await Promise.all([1, 2, 3].map(() => freePort()));
  const start = (node: number): Promise<OwnServer> =>
    ownServer({
      config: `server_name: n${node}
cluster { name: east, listen: "127.0.0.1:${routes[node - 1]}", routes: [${routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ")}] }`,
    });
  nodes.push(...(await Promise.all([1, 2, 3].map(start))));
  await until("the cluster has a leader", () => copies({ namespace: "first" }).catch(() => undefined), 60_000);
}, 90_000);

afterAll(async () => {
  for (const node of nodes) await node.stop();
});

const connect = (options: SystemOptions): Promise<ActorSystem> =>
  ActorSystem.connect({ servers: nodes.map(({ port }) => `nats://127.0.0.1:${port}`), log: "silent", ...options });

/** Connects, and tells how many copies each stream then has. */
async function copies(options: SystemOptions): Promise<number[]> {
  const system = await connect(options);
  const found: number[] = [];
  for await (const { config } of system.parts.connection.jsm.streams.list()) {
    if (config.name.replace(/^KV_/, "").startsWith(`${system.namespace}_`)) found.push(config.num_replicas);
  }
  await system.close();
  return found;
}

test("a web server that connects with its servers alone leaves the workers' ten streams at three copies", async () => {
  const namespace = "shop";
  const three = Array.from({ length: 10 }, () => 3);
  const limits = { maxBytes: 1e8 };
  expect(await copies({ namespace, durability: "replicated", limits })).toEqual(three);
  expect(await copies({ namespace })).toEqual(three);
  for (const less of [{ replicas: 1 }, { durability: "single" }] as const) {
    await expect(copies({ namespace, ...less })).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(/replicas, or durability, is 1 and 3 was asked for before.*lower: \["replicas"\]/),
    });
  }
  expect(await copies({ namespace, provision: "check" })).toEqual(three);
  expect(await copies({ namespace, durability: "single", lower: ["durability"] })).toEqual(three.map(() => 1));
});

test("of writes that race for a key with three copies one wins, and the others are told that they lost", async () => {
  const options: SystemOptions = { namespace: "race", durability: "replicated", limits: { maxBytes: 1e8 } };
  const systems = await Promise.all([1, 2, 3].map(() => connect(options)));
  for (let revision = 0, round = 0; round < 20; round++) {
    const write = ({ parts }: ActorSystem): Promise<number | undefined> =>
      parts.workers.put("key", Buffer.from("x"), { ttlMs: 60_000, expected: revision });
    const won = (await Promise.all([...systems, ...systems].map(write))).filter((one) => one !== undefined);
    expect(won).toHaveLength(1);
    revision = won[0] ?? 0;
  }
  for (const system of systems) await system.close();
});
