/** A system that starts while its cluster has no leader waits for one, and says so where none comes. */
import { setTimeout as wait } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/embedded/until.ts";
import { workName } from "../support/faults/work.ts";
import { patiently } from "../../src/broker/patience.ts";
import { ConnectError } from "../../src/kernel/errors.ts";
import { ClusterScene } from "./kit/cluster-scene.ts";

let scene: ClusterScene;

beforeEach(async () => {
  scene = await ClusterScene.open();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

test("sender and worker start when two of three servers are down, and are at work once one of them is back", async () => {
  const { cluster, journal } = scene;
  // So that there is something to look for.
  await (await scene.connect()).close();
  // One that leads nothing: a leader that has lost its followers may take itself for one for minutes.
  const leaders = [await cluster.leaderOf(), await cluster.leaderOf("faults_TASKS")];
  const [alone] = cluster.nodes.filter((node) => !leaders.includes(node));
  if (alone === undefined) throw new Error("two leaders are three nodes");
  const [back, gone] = cluster.nodes.filter((node) => node !== alone);
  for (const node of [back, gone]) await node?.kill();
  const client = await connect({ servers: alone.url });
  const jsm = await jetstreamManager(client, { checkAPI: false, timeout: 500 });
  const request = (): Promise<unknown> => jsm.streams.info("faults_TASKS");
  const error: unknown = await patiently("stream faults_TASKS", request, 1_000).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConnectError);
  expect((error as Error).message).toMatch(
    /has had no leader, or too few servers, for 1 s to answer about the stream faults_TASKS .* start the servers/,
  );
  await client.close();

  const starting = scene.work({ worker: "w", servers: alone.url });
  starting.catch(() => undefined);
  await wait(3_000);
  await back?.start();
  const { system } = await starting;
  await system.tell(workName, { do: "work" }, { id: "m" });
  await until("it is done", () => journal.of("completed", "m").length === 1);
}, 90_000);
