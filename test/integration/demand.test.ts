/** `godwit_processes_wanted` on a real server: Little's law for what waits and arrives, and nothing for what sleeps. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import type { ActorSystem } from "../../src/index.ts";
import { DemandWatch } from "../../src/observe/demand-watch.ts";
import { readQueues } from "../../src/observe/backlog.ts";
import { actorOf } from "../support/actors.ts";
import { readPage } from "../support/observe/scrape.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

async function wanted(system: ActorSystem): Promise<number | undefined> {
  return readPage(await system.metrics()).get("godwit_processes_wanted");
}

test("1,000 messages asleep in backoff and 1,000 in the schedule want no process, where KEDA's own scaler sees a lag", async () => {
  const retry = { attempts: 9, base: "1h", max: "1h", jitter: "none" } as const;
  const Failing = actorOf({ name: "failing", concurrency: 50, retry }, () => {
    throw new Error("not now");
  });
  const system = await stage.connect();
  const worker = await system.work([Failing]);
  await system.tellMany("failing", Array(1_000).fill(1));
  await system.tellMany("failing", Array(1_000).fill(1), { delay: "1h" });
  await expect.poll(() => worker.stats.actors["failing"]?.retry, patient).toBe(1_000);
  await expect.poll(() => wanted(system), patient).toBe(1);
  // What it adds up: https://keda.sh/docs/scalers/nats-jetstream/
  const { jsm } = await stage.client();
  const info = await jsm.consumers.info(stage.names.tasks, "failing");
  expect(info.num_pending + info.num_ack_pending).toBe(1_000);
  // Not because too little waits for so quick a handler: were these awake, they would be wanted for.
  const [load] = [system.load()];
  const { serviceMs } = { serviceMs: (load.actors["failing"]?.handledMs ?? 0) / 1_000 };
  const awake = new DemandWatch({ drainTargetMs: serviceMs, utilisation: 0.8 });
  const queue = { pending: info.num_ack_pending, deliveries: 0, paused: false };
  expect(awake.look([load], new Map([["failing", queue]]))?.processes).toBe(20);
});

test("two workers of one process with a backlog want what Little's law says", { timeout: 60_000 }, async () => {
  const serviceMs = 100;
  const Slow = actorOf({ name: "slow", concurrency: 2 }, () => pause(serviceMs));
  const system = await stage.connect({ drainTarget: "10s" });
  // Beforehand: what this process does to send would make the handlers slow.
  await system.tellMany("slow", Array(2_000).fill(1));
  await system.work([Slow]);
  await system.work([Slow]);
  const { jsm } = await stage.client();
  const pendingNow = async (): Promise<number> => (await jsm.consumers.info(stage.names.tasks, "slow")).num_pending;
  // Four slots in a process, 10 s in which all is to be done.
  const little = (pending: number): number => Math.ceil(((pending / 10) * (serviceMs / 1_000)) / 4);
  await expect.poll(async () => (system.load().actors["slow"]?.handled ?? 0) > 100, patient).toBe(true);
  expect(Math.abs(((await wanted(system)) ?? 0) - little(await pendingNow()))).toBeLessThanOrEqual(1);
});

test(
  "what arrives is wanted for at its rate, redeliveries included, and a paused actor for nothing",
  { timeout: 60_000 },
  async () => {
    const serviceMs = 20;
    const system = await stage.connect();
    const retry = { attempts: 2, base: "1ms", max: "1ms" } as const;
    const worker = await system.work([
      actorOf({ name: "slow", concurrency: 4, retry }, async (_, { attempt }) => {
        await pause(serviceMs);
        if (attempt === 1) throw new Error("once more");
      }),
    ]);
    const watch = new DemandWatch({ drainTargetMs: 3_000, utilisation: 0.8 });
    const look = async (): Promise<number | undefined> => {
      const load = system.load();
      const durables = new Map(Object.entries(load.actors).map(([actor, its]) => [actor, its.durables]));
      return watch.look([load], await readQueues(system.parts.reader, durables))?.need;
    };
    const beganMs = performance.now();
    let need: number | undefined;
    let sent = 0;
    // 40 a second, each of them run twice.
    while (performance.now() - beganMs < 6_000) {
      await system.tell("slow", 1);
      sent += 1;
      await pause(Math.max(0, beganMs + sent * 25 - performance.now()));
      if (sent % 20 === 0) need = await look();
    }
    const tookS = (performance.now() - beganMs) / 1_000;
    const meanMs = ((its) => (its?.handledMs ?? 0) / (its?.handled ?? 1))(system.load().actors["slow"]);
    const little = (((2 * sent) / tookS) * (meanMs / 1_000)) / 0.8 / 4;
    expect(need).toBeGreaterThan(0.8 * little);
    expect(need).toBeLessThan(1.2 * little);

    await expect.poll(() => worker.stats.actors["slow"]?.completed, patient).toBe(sent);
    const { jsm } = await stage.client();
    await jsm.consumers.pause(stage.names.tasks, "slow", new Date(Date.now() + 3_600_000));
    await system.tellMany("slow", Array(10_000).fill(1));
    expect(await look()).toBeLessThan(1.2 * little);
    await jsm.consumers.resume(stage.names.tasks, "slow");
    expect(await look()).toBeGreaterThan(10);
  },
);

test("a process without workers wants none", async () => {
  const system = await stage.connect();
  expect(await wanted(system)).toBeUndefined();
});

test(
  "what a rate limit or a concurrency limit holds back wants what it gets, however much waits",
  { timeout: 60_000 },
  async () => {
    const system = await stage.connect();
    const common = { concurrency: 10 };
    const actors = {
      rated: { ...common, rateLimit: { name: "api", limit: 40, per: "1s" } },
      limited: { ...common, concurrencyLimit: { name: "db", limit: 2 } },
    } as const;
    const names = Object.keys(actors);
    for (const name of names) await system.tellMany(name, Array(2_400).fill(1));
    await system.work(Object.entries(actors).map(([name, config]) => actorOf({ name, ...config }, () => pause(50))));
    const watch = new DemandWatch({ drainTargetMs: 5_000, utilisation: 0.8 });
    const slots: number[][] = [];
    for (let n = 0; n < 8; n++) {
      const load = system.load();
      const durables = new Map(Object.entries(load.actors).map(([actor, its]) => [actor, its.durables]));
      const demand = watch.look([load], await readQueues(system.parts.reader, durables));
      slots.push(names.map((actor) => demand?.slots.get(actor) ?? Number.NaN));
      await pause(500);
    }
    // 2,400 × 50 ms ÷ 5 s would be 24 slots. At first nobody knows more than what runs.
    expect(Math.max(...slots.slice(1).flat())).toBeLessThan(8);
    expect(Math.min(...(slots.at(-1) as number[]))).toBeGreaterThan(0.5);
  },
);
