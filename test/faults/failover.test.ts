/**
 * A cluster that dies under its workers: three nodes, three copies, two publishers and four workers at a steady 2,000 messages a second.
 * Nothing that was accepted is lost, and each time the workers are at work within a second of their consumer having a leader that answers.
 */
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ActorSystem } from "godwit";
import { untilDrained, type WorkerProcess } from "../support/faults/cast.ts";
import { workName } from "../support/faults/work.ts";
import { until } from "../support/embedded/until.ts";
import { sized } from "../support/size.ts";
import { inWords } from "./kit/checker.ts";
import { accountOf, ClusterScene, publisherScript } from "./kit/cluster-scene.ts";
import type { ClusterNode } from "./kit/node.ts";
import { Probe } from "./kit/probe.ts";

const ratePerSecond = 2_000;
/** How many nodes are restarted one after the other, and how long a leader stands still. */
const restarts = sized({ full: 3, short: 1 });
const stillS = sized({ full: 15, short: 6 });
const workers = ["w1", "w2", "w3", "w4"];

let scene: ClusterScene;
let system: ActorSystem;
let probe: Probe;

beforeEach(async () => {
  scene = await ClusterScene.open();
  system = await scene.connect();
});

afterEach(async ({ task }) => {
  await probe.stop();
  await scene.close(task.result?.state === "fail");
});

/** When the first entry was made that began at or after a time. */
function firstSince(what: string, at: number, worker?: string): number | undefined {
  const entries = scene.journal.of(what);
  let first: number | undefined;
  // The newest are at the end, and there are many.
  for (let index = entries.length - 1; index >= 0; index--) {
    const entry = entries[index];
    if (entry === undefined || entry.at < at) break;
    if ((entry.sinceAt ?? entry.at) >= at && (worker === undefined || entry.worker === worker)) first = entry.at;
  }
  return first;
}

interface Recovery {
  fault: string;
  /** From the fault to the consumer's first answer. */
  leaderMs: number;
  /** From the fault to the first answer to a message that was offered after it. */
  acceptedMs: number;
  /** From when both were there to the first run after it, of the slowest of the workers. */
  workMs: number;
}

/**
 * Waits until the consumer answers again, there is something to do again, and each worker has run something since.
 * @param at when the fault struck. @param victim who can answer no more.
 */
async function recovery(fault: string, at: number, victim: ClusterNode): Promise<Recovery> {
  const answer = await until(`a leader answers after ${fault}`, () => probe.first(at, victim.name), 40_000);
  const acceptedAt = await until(`messages are accepted after ${fault}`, () => firstSince("accepted", at), 40_000);
  const readyAt = Math.max(answer.at, acceptedAt);
  const runs = await Promise.all(
    workers.map((worker) => until(`${worker} works after ${fault}`, () => firstSince("run", readyAt, worker), 40_000)),
  );
  return { fault, leaderMs: answer.at - at, acceptedMs: acceptedAt - at, workMs: Math.max(...runs) - readyAt };
}

test(`kill -9 of the stream's leader and of the consumer's, a rolling restart, a leader that stands still for ${stillS} s`, async () => {
  const { cluster, journal } = scene;
  const { names } = system.parts;
  const [stream, consumer] = [names.tasks, names.durable(workName)];
  const setup = { ackWaitMs: 10_000, concurrency: 50 };
  for (const worker of workers) await scene.spawn({ worker, ...setup });
  const publishers: WorkerProcess[] = [];
  for (const worker of ["p1", "p2"])
    publishers.push(
      await scene.spawn({ worker, ratePerSecond: ratePerSecond / 2, job: { do: "work", ms: 5 } }, publisherScript),
    );
  const beganAt = Date.now();
  probe = await Probe.start(cluster.urls, stream, consumer);
  /** Waits until two seconds in a row went at the full rate. @returns the rates of both. */
  const steady = (): Promise<number[]> => {
    let before = -1;
    return until(
      "they run at the full rate",
      async () => {
        const from = journal.of("completed").length;
        const beganMs = performance.now();
        await wait(1_000);
        const rate = ((journal.of("completed").length - from) / (performance.now() - beganMs)) * 1_000;
        const pair = [before, rate];
        before = rate;
        return pair.every((one) => one > ratePerSecond * 0.95) ? pair : undefined;
      },
      40_000,
    );
  };
  await until("all are at work", () => workers.every((worker) => firstSince("run", 0, worker)));
  const rates = await steady();
  const recoveries: Recovery[] = [];
  const caughtUp = async (): Promise<void> => {
    await cluster.ready();
    // What no run has begun. The stream holds what runs, and what the server has not deleted yet, besides.
    const pending = async (): Promise<number> =>
      (await system.parts.reader.consumer(stream, consumer))?.pending ?? Infinity;
    await until("the backlog is gone", async () => (await pending()) < 500, 60_000).catch(async (thrown: unknown) => {
      console.log(await system.parts.reader.consumer(stream, consumer), await system.parts.reader.state(stream));
      throw thrown;
    });
  };

  for (const [fault, ...asked] of [
    ["kill -9 of the stream's leader", stream],
    ["kill -9 of the consumer's leader", stream, consumer],
  ] as const) {
    const leader = await cluster.leaderOf(...asked);
    const at = Date.now();
    await leader.kill();
    recoveries.push(await recovery(fault, at, leader));
    await leader.start();
    await caughtUp();
  }
  for (const node of cluster.nodes.slice(0, restarts)) {
    const at = Date.now();
    await node.stop();
    recoveries.push(await recovery(`restart of ${node.name}`, at, node));
    await node.start();
    await caughtUp();
  }
  const leader = await cluster.leaderOf(stream, consumer);
  await cluster.lead(leader, stream);
  const at = Date.now();
  await leader.pause();
  recoveries.push(await recovery("SIGSTOP of the leader of both", at, leader));
  await wait(Math.max(0, at + 1_000 * stillS - Date.now()));
  leader.resume();
  await caughtUp();
  rates.push(...(await steady()));

  const endedAt = Date.now();
  for (const publisher of publishers) publisher.kill("SIGTERM");
  for (const publisher of publishers) expect(await publisher.ended).toEqual({ code: 0, signal: null });
  await untilDrained(system);
  const result = await accountOf(scene, system);
  console.log(
    [
      `messages a second before and after the faults: ${rates.map(Math.round).join(", ")}`,
      ...recoveries.map(
        ({ fault, leaderMs, acceptedMs, workMs }) =>
          `${fault}: a leader answered after ${leaderMs} ms, the first message was accepted after ${acceptedMs} ms, all four worked ${workMs} ms after that`,
      ),
      inWords(result),
      `${journal.of("run").length} runs, ${journal.of("stalled").length} stalls, ${journal.of("lost").length} deliveries lost, ${journal.of("refused").length} publishes refused`,
    ].join("\n"),
  );
  expect(result.lost).toEqual([]);
  expect(result.dead).toBe(0);
  expect(journal.of("refused")).toEqual([]);
  // They offered at that rate all the time, whatever was answered.
  const offered = journal.of("offered").reduce((sum, { reason }) => sum + Number(reason), 0);
  expect(result.accepted).toBe(offered);
  expect(offered / ((endedAt - beganAt) / 1_000)).toBeGreaterThan(ratePerSecond * 0.9);
  expect(recoveries.filter(({ workMs }) => workMs >= 1_000)).toEqual([]);
}, 240_000);
