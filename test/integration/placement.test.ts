/** Replicas and placement on a cluster of three, whose servers have tags: streams, buckets, object stores and durables are where they should be. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { consult, said } from "../support/doctor/consult.ts";
import { until } from "../support/embedded/until.ts";
import { freePort } from "../support/free-port.ts";
import { ownServer, type OwnServer } from "../support/nats/own-server.ts";
import { patient } from "../support/stage.ts";

const nodes: OwnServer[] = [];
const systems: ActorSystem[] = [];
const Echo = actorOf({ name: "echo" }, (input) => input);

beforeAll(async () => {
  const routes = await Promise.all([1, 2, 3].map(() => freePort()));
  const start = (node: number): Promise<OwnServer> =>
    ownServer({
      config: `server_name: n${node}
server_tags: ["disk:any", "node:n${node}"]
cluster { name: east, listen: "127.0.0.1:${routes[node - 1]}", routes: [${routes.map((port) => `"nats://127.0.0.1:${port}"`).join(", ")}] }`,
    });
  nodes.push(...(await Promise.all([1, 2, 3].map(start))));
  await until("the cluster has a leader", () => connect({ namespace: "first" }).catch(() => undefined), 60_000);
}, 90_000);

afterAll(async () => {
  for (const system of systems) await system.close();
  for (const node of nodes) await node.stop();
});

async function connect(options: SystemOptions): Promise<ActorSystem> {
  const servers = nodes.map(({ port }) => `nats://127.0.0.1:${port}`);
  const system = await ActorSystem.connect({ servers, limits: { maxBytes: 1e8 }, log: "silent", ...options });
  systems.push(system);
  return system;
}

/** Of each stream of the system: its copies, and the servers that have them. */
async function where({ namespace, parts }: ActorSystem): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { config, cluster } of parts.connection.jsm.streams.list()) {
    if (!config.name.replace(/^(KV|OBJ)_/, "").startsWith(`${namespace}_`)) continue;
    const servers = [cluster?.leader ?? "?", ...(cluster?.replicas ?? []).map(({ name }) => name)];
    found[config.name] = `${config.num_replicas}: ${servers.toSorted().join(" ")}`;
  }
  return found;
}

test("all that a system has is where it is placed, and goes elsewhere, in more copies, when that is asked for", async () => {
  const one = await connect({ namespace: "placed", placement: { cluster: "east", tags: ["node:n2"] } });
  await one.provision([Echo]);
  const before = await where(one);
  expect(Object.keys(before)).toEqual(
    expect.arrayContaining(["placed_TASKS", "KV_placed_runs", "OBJ_placed_bodies", "OBJ_placed_payloads"]),
  );
  expect(new Set(Object.values(before))).toEqual(new Set(["1: n2"]));
  // Who does not ask for a place leaves them where they are.
  await connect({ namespace: "placed", provision: "check" });

  const asked = { namespace: "placed", replicas: 3, placement: { tags: ["disk:any"] } };
  const refusal = { code: "TOPOLOGY_MISMATCH", message: expect.stringContaining("num_replicas is 1 and should be 3") };
  await expect(connect({ ...asked, provision: "check" })).rejects.toMatchObject(refusal);
  // The server does not move and scale a stream at once.
  await expect(connect(asked)).rejects.toMatchObject({ code: "TOPOLOGY_MISMATCH" });
  await (await connect({ ...asked, replicas: 1 })).provision([Echo]);
  const more = await until("all is moved", () => connect(asked).catch(() => undefined));
  await more.provision([Echo]);
  await expect
    .poll(async () => new Set(Object.values(await where(more))), { ...patient, timeout: 40_000 })
    .toEqual(new Set(["3: n1 n2 n3"]));
  expect((await more.parts.connection.jsm.consumers.info("placed_TASKS", "echo")).cluster?.replicas).toHaveLength(2);
  await connect({ ...asked, provision: "check" });
});

test("the doctor tells of a stream whose place, or number of copies, is another than that of most", async () => {
  const system = await connect({ namespace: "doctor", placement: { tags: ["disk:any"] } });
  const { jsm } = system.parts.connection;
  const { config } = await jsm.streams.info("doctor_EVENTS");
  await jsm.streams.update("doctor_EVENTS", { ...config, placement: { cluster: "", tags: ["node:n1"] } });
  const findings = said(await consult(system), "stream-placement");
  expect(findings).toMatchObject([
    {
      subject: "doctor_EVENTS",
      finding: expect.stringContaining("tags node:n1; those of most others as: tags disk:any"),
    },
  ]);
});

test.each<[what: string, options: SystemOptions, code: string]>([
  ["where no server is", { placement: { tags: ["disk:none"] } }, "TOPOLOGY_MISMATCH"],
  ["in another cluster", { placement: { cluster: "west" } }, "TOPOLOGY_MISMATCH"],
  ["in more copies than there are servers", { replicas: 5 }, "TOPOLOGY_MISMATCH"],
  ["in six copies", { replicas: 6 }, "INVALID_CONFIG"],
  ["nowhere", { placement: {} }, "INVALID_CONFIG"],
])("%s nothing can be", async (_what, options, code) => {
  await expect(connect({ namespace: "nowhere", ...options })).rejects.toMatchObject({ code });
});
