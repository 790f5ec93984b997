/** The cluster of the fault kit does what it says: nodes die, stand still, are cut off and come back, with what they had. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { isGone, until } from "../support/embedded/until.ts";
import { Cluster } from "./kit/cluster.ts";
import type { ClusterNode } from "./kit/node.ts";

const ownerScript = fileURLToPath(new URL("../../dist/test/faults/kit/cluster-owner.js", import.meta.url));

let folder: string;
let cluster: Cluster;
let client: NatsConnection;
let jsm: JetStreamManager;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-cluster-"));
  cluster = await Cluster.start(folder, { proxied: true });
  client = await connect({
    servers: cluster.urls,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    pingInterval: 500,
    timeout: 1_000,
  });
  jsm = await jetstreamManager(client, { timeout: 1_000 });
  await until("there is a stream", () => answered(jsm.streams.add({ name: "S", subjects: ["s"], num_replicas: 3 })));
  const durable = { durable_name: "c", ack_policy: "explicit" } as const;
  await until("there is a durable", () => answered(jsm.consumers.add("S", durable)));
});

afterAll(async () => {
  await client.close();
  await cluster.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

/** What a cluster on a busy machine may be too slow for is asked again. */
const answered = <T>(request: Promise<T>): Promise<T | undefined> => request.catch(() => undefined);

/** Publishes until one is taken. @returns the sequence. */
async function publish(): Promise<number> {
  const js = jsm.jetstream();
  const ack = await until(
    "a message is taken",
    () => js.publish("s", "", { timeout: 500 }).catch(() => undefined),
    30_000,
  );
  return ack.seq;
}

/** Somebody else leads the stream, and takes messages. */
async function othersCarryOn(node: ClusterNode): Promise<void> {
  await until("another leads", async () => ![undefined, node].includes(await cluster.leader("S")), 30_000);
  await publish();
}

test("tells who leads the cluster, a stream and a consumer", async () => {
  for (const asked of [[], ["S"], ["S", "c"]] as const) {
    expect(cluster.nodes).toContain(await cluster.leaderOf(...asked));
  }
  const { cluster: said } = await jsm.consumers.info("S", "c");
  expect((await cluster.leaderOf("S", "c")).name).toBe(said?.leader);
});

test("a node that is stopped in order hands over what it leads at once", async () => {
  const leader = await cluster.leaderOf("S");
  const beganMs = performance.now();
  await leader.stop();
  await othersCarryOn(leader);
  expect(performance.now() - beganMs).toBeLessThan(4_000);
  await leader.start();
  await cluster.ready();
});

test("a killed node: the others carry on, and it comes back with its store and catches up", async () => {
  const leader = await cluster.leaderOf("S");
  const { pid } = leader;
  await leader.kill();
  expect(isGone(pid)).toBe(true);
  await othersCarryOn(leader);
  await leader.start();
  await cluster.ready();
  expect(await leader.healthy()).toBe(true);
});

test("a paused node stands still with its connections open, and catches up", async () => {
  const leader = await cluster.leaderOf("S");
  await leader.pause();
  expect(await leader.healthy()).toBe(false);
  await othersCarryOn(leader);
  leader.resume();
  await cluster.ready();
  expect((await cluster.leaderOf("S")).name).not.toBe(leader.name);
});

test("a node that is cut off is heard of by nobody, takes nothing, and joins again", async () => {
  const leader = await cluster.leaderOf("S");
  const { pid } = leader;
  const direct = await connect({ servers: leader.url, ignoreClusterUpdates: true });
  cluster.cutOff(leader);
  await othersCarryOn(leader);
  const alone = await jetstreamManager(direct, { timeout: 500, checkAPI: false });
  await expect(alone.jetstream().publish("s", "", { timeout: 500 }), "alone it has no quorum").rejects.toThrow(
    /timeout|unavailable|no responders/i,
  );
  cluster.mend(leader);
  await cluster.ready();
  expect(leader.pid).toBe(pid);
  await direct.close();
});

test("all nodes end with their owner, also when it is killed, and a paused one too", async () => {
  const owner = spawn(process.execPath, [ownerScript], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(createInterface({ input: owner.stdout }), "line")) as [string];
  const { pids, folder: its } = JSON.parse(line) as { pids: number[]; folder: string };
  expect(pids).toHaveLength(3);
  owner.kill("SIGKILL");
  await until("all nodes are gone", () => pids.every(isGone), 20_000);
  await rm(its, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});
