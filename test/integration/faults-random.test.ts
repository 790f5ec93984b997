/** Faults at random for up to half a minute: killed workers, dropped connections, a killed server. All that was accepted is completed or dead. */
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dice, newSeed } from "../support/faults/dice.ts";
import type { Proxy } from "../support/faults/proxy.ts";
import { untilDrained, type WorkerProcess } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job } from "../support/faults/work.ts";
import { sized } from "../support/size.ts";
import { until } from "../support/embedded/until.ts";

const count = sized({ full: 5_000, short: 2_500 });
const seed = newSeed();

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

test(`${count} messages under faults at random`, async () => {
  const roll = dice(seed);
  const { journal } = scene;
  const system = await scene.connect();
  const proxies: Proxy[] = [];
  const workers: WorkerProcess[] = [];
  let spawned = 0;
  const start = async (slot: number): Promise<void> => {
    spawned += 1;
    const servers = (proxies[slot] as Proxy).url;
    workers[slot] = await scene.spawn({ worker: `w${spawned}`, servers, concurrency: 20, ackWaitMs: 1_000 });
  };
  for (let slot = 0; slot < 3; slot++) {
    proxies.push(await scene.proxy());
    await start(slot);
  }
  // One in fifty fails, so that the runs records are in it too.
  async function* bodies(): AsyncGenerator<Job> {
    for (let at = 0; at < count; at++) {
      if (at % 50 === 0) await wait(200);
      yield roll(50) === 0 ? { do: "fail", ms: 5 } : { do: "work", ms: 20 + roll(200) };
    }
  }
  const sending = system.tellMany(workName, bodies(), { id: (_job, index) => `m${index}` });
  let sent = false;
  const sentAll = sending.finally(() => (sent = true));
  const faults = { kills: 0, drops: 0, restarts: 0 };
  while (!sent) {
    await wait(300 + roll(400));
    const slot = roll(3);
    const fault = roll(8);
    if (fault < 2) {
      faults.kills += 1;
      workers[slot]?.kill("SIGKILL");
      await workers[slot]?.ended;
      await start(slot);
    } else if (fault < 7) {
      faults.drops += 1;
      proxies[slot]?.drop();
    } else if (faults.restarts < 2) {
      faults.restarts += 1;
      await scene.killServer();
      await scene.restartServer();
    }
  }
  const { accepted, duplicates, failures } = await sentAll;
  expect(failures).toEqual([]);
  expect(accepted + duplicates).toBe(count);
  await untilDrained(system, 40_000);

  const letters = new Map<string, string>();
  for await (const { id, reason } of system.dead.list()) letters.set(id, reason);
  const completed = new Set(journal.of("completed").map(({ id }) => id));
  // An ack that reached the server before its worker died was never confirmed to it; its handler had ended all the same.
  const done = new Set(journal.of("done").map(({ id }) => id));
  const missing = Array.from({ length: count }, (_, index) => `m${index}`).filter(
    (id) => !done.has(id) && !letters.has(id),
  );
  const runs = journal.count("run");
  console.log(
    `random faults, seed ${seed}: ${faults.kills} workers killed, ${faults.drops} connections dropped, ${faults.restarts} servers killed; ` +
      `${runs.entries} runs, ${journal.count("done").repeated} messages completed twice or more, ${letters.size} dead, ` +
      `${completed.size} confirmed, ${journal.of("stalled").length} stalls seen, ${journal.of("lost").length} deliveries lost`,
  );
  expect(missing).toEqual([]);
  expect([...letters.values()].filter((reason) => reason !== "exhausted")).toEqual([]);
  expect([...letters.keys()].filter((id) => completed.has(id))).toEqual([]);
  await until("the workers are idle", () => workers.every(({ running }) => running));
});
