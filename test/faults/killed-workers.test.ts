/** Four workers, one of which is killed every two seconds, for a minute in full: nothing is lost, nothing dies of it, nothing waits for long. */
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ActorSystem } from "godwit";
import { untilDrained, type WorkerProcess } from "../support/faults/cast.ts";
import { dice, newSeed } from "../support/faults/dice.ts";
import type { Entry } from "../support/faults/journal.ts";
import { Scene } from "../support/faults/scene.ts";
import { sized } from "../support/size.ts";
import { inWords } from "./kit/checker.ts";
import { accountOf, publisherScript } from "./kit/cluster-scene.ts";

const kills = sized({ full: 30, short: 10 });
const everyMs = 2_000;
/** No multiple of `everyMs`: what one kill makes run again would be running at the next, time after time, like a message that kills. */
const ackWaitMs = 3_000;
/** Beyond the ack-wait: a new worker's start on a busy machine, and what is in front of a message. */
const littleMs = 1_000;
const ratePerSecond = 200;

let scene: Scene;
let system: ActorSystem;

beforeEach(async () => {
  scene = await Scene.open();
  system = await scene.connect();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

/** For each message that a killed worker had in hand, how long after the kill it ran again; Infinity where it did not. */
function waitsMs(killedAt: ReadonlyMap<number, number>): number[] {
  const runs = new Map<string, Entry[]>();
  const over = new Set<string>();
  for (const entry of scene.journal.entries) {
    if (entry.what === "run") runs.set(entry.id, [...(runs.get(entry.id) ?? []), entry]);
    // It is over too for whom it is done but not confirmed: its ack may have arrived.
    else if (entry.what === "done") over.add(`${entry.pid} ${entry.id}`);
  }
  const waits: number[] = [];
  for (const [id, its] of runs) {
    for (const [index, { pid }] of its.entries()) {
      const at = killedAt.get(pid);
      if (at === undefined || over.has(`${pid} ${id}`)) continue;
      const next = its[index + 1];
      waits.push(next === undefined ? Infinity : next.at - at);
    }
  }
  return waits;
}

test(`kill -9 of a random worker every 2 s, ${kills} times`, async () => {
  const seed = newSeed();
  const roll = dice(seed);
  const { journal } = scene;
  const workers: WorkerProcess[] = [];
  const killedAt = new Map<number, number>();
  let spawned = 0;
  const start = async (slot: number): Promise<void> => {
    workers[slot] = await scene.spawn({ worker: `w${++spawned}`, ackWaitMs, concurrency: 20 });
  };
  await Promise.all([0, 1, 2, 3].map(start));
  const job = { do: "work", ms: 100 };
  const publisher = await scene.spawn({ worker: "p", ratePerSecond, job }, publisherScript);
  const beganMs = performance.now();
  for (let kill = 1; kill <= kills; kill++) {
    await wait(Math.max(0, beganMs + kill * everyMs - performance.now()));
    const slot = roll(workers.length);
    const worker = workers[slot] as WorkerProcess;
    killedAt.set(worker.pid, Date.now());
    worker.kill("SIGKILL");
    await worker.ended;
    await start(slot);
  }
  publisher.kill("SIGTERM");
  expect(await publisher.ended).toEqual({ code: 0, signal: null });
  await untilDrained(system);
  const result = await accountOf(scene, system);
  const waits = waitsMs(killedAt).toSorted((a, b) => a - b);
  console.log(
    `seed ${seed}: ${kills} workers killed; ${waits.length} messages in their hands, run again ${waits[waits.length >> 1]} ms (median) to ${waits.at(-1)} ms later, ack-wait ${ackWaitMs} ms; ` +
      `${journal.of("stalled").length} stalls; ${inWords(result)}`,
  );
  expect(waits.length).toBeGreaterThan(kills);
  expect(waits.at(-1)).toBeLessThan(ackWaitMs + littleMs);
  expect(result).toMatchObject({ lost: [], dead: 0, waiting: 0, afterAck: [] });
  expect(result.completed).toBe(result.accepted);
  expect(result.accepted).toBeGreaterThan(((ratePerSecond * kills * everyMs) / 1_000) * 0.9);
}, 150_000);
