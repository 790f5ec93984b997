/**
 * A network that falls apart: the node that leads stream and consumer is cut off for a while, from all or from the other nodes alone, and
 * comes back believing that it leads. Nothing that was accepted is lost, nothing that was acknowledged runs again, and nobody stays silent.
 */
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ActorSystem } from "godwit";
import { untilDrained } from "../support/faults/cast.ts";
import { until } from "../support/embedded/until.ts";
import { workName } from "../support/faults/work.ts";
import { inWords } from "./kit/checker.ts";
import { accountOf, ClusterScene, publisherScript } from "./kit/cluster-scene.ts";

const partedMs = 12_000;
const workers = ["w1", "w2", "w3"];

let scene: ClusterScene;
let system: ActorSystem;

beforeEach(async () => {
  scene = await ClusterScene.open({ proxied: true });
  system = await scene.connect();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

test.each<[fault: string, clientsToo: boolean]>([
  ["the leader is cut off", true],
  ["the leader is cut off from the other nodes alone", false],
])(
  "%s",
  async (_fault, clientsToo) => {
    const { cluster, journal } = scene;
    const { names } = system.parts;
    const [stream, consumer] = [names.tasks, names.durable(workName)];
    // One of each at each node, and where that is cut off from them they know the others.
    const serversAt = (at: number): string | string[] => (clientsToo ? cluster.urls : (cluster.urls[at] as string));
    for (const [at, worker] of workers.entries())
      await scene.spawn({ worker, servers: serversAt(at), ackWaitMs: 4_000, concurrency: 20 });
    const publishers = await Promise.all(
      workers.map((_worker, at) => {
        const setup = { worker: `p${at}`, servers: serversAt(at), ratePerSecond: 50, job: { do: "work", ms: 20 } };
        return scene.spawn(setup, publisherScript);
      }),
    );
    const atWork = (which: readonly string[], since: number): boolean =>
      which.every((worker) => journal.of("run").some((entry) => entry.worker === worker && entry.at >= since));
    await until("all are at work", () => atWork(workers, 0));

    const leader = await cluster.leaderOf(stream, consumer);
    await cluster.lead(leader, stream);
    const partedAt = Date.now();
    if (clientsToo) cluster.cutOff(leader);
    else cluster.splitOff(leader);
    await cluster.leaderOf(stream, consumer);
    const electedAt = Date.now();
    // Those whose server is alone wait for it.
    const others = workers.filter((_worker, at) => clientsToo || cluster.nodes[at] !== leader);
    await until("work goes on with the new leader", () => atWork(others, electedAt), 30_000);
    const resumedAt = Date.now();
    await wait(Math.max(0, partedAt + partedMs - Date.now()));
    const mendedAt = Date.now();
    cluster.mend(leader);
    await until("all are at work", () => atWork(workers, mendedAt), 30_000);
    const wholeAt = Date.now();

    for (const publisher of publishers) publisher.kill("SIGTERM");
    for (const publisher of publishers) expect(await publisher.ended).toEqual({ code: 0, signal: null });
    // The node catches up with the others meanwhile, for half a minute and more where the machine is busy.
    await untilDrained(system, 120_000);
    const result = await accountOf(scene, system);
    console.log(
      `a new leader after ${electedAt - partedAt} ms, work goes on ${resumedAt - electedAt} ms later; all at work ${wholeAt - mendedAt} ms after the mending; ` +
        `${inWords(result)}; ${journal.of("stalled").length} stalls, ${journal.of("lost").length} deliveries lost`,
    );
    expect(result).toMatchObject({ lost: [], dead: 0, waiting: 0, afterAck: [], both: [] });
    expect(journal.of("refused")).toEqual([]);
    expect(result.accepted).toBeGreaterThan(500);
  },
  240_000,
);
