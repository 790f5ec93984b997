/** Rate limits shared by a fleet: eight worker processes, counted at the start of their handlers. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Fleet, machineMs } from "../support/limits/fleet.ts";
import { mostIn } from "../support/limits/starts.ts";
import type { LimitWorkerSetup } from "../support/limits/worker.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const workers = 8;

let fleet: Fleet;
beforeEach(() => {
  fleet = new Fleet();
});
afterEach(() => fleet.end());

function setup(worker: string, limit: number, more: Partial<LimitWorkerSetup> = {}): LimitWorkerSetup {
  const actor = { name: "limited", concurrency: 32, rateLimit: { name: "api", limit, per: 1_000 } };
  return { servers: stage.url, namespace: stage.namespace, worker, actor, ...more };
}

/** Counts what is asked of the limits bucket. */
async function countOperations() {
  const { nc } = await stage.client();
  const bucket = `KV_${stage.names.limitsBucket}`;
  const count = { writes: 0, reads: 0 };
  nc.subscribe(`$KV.${stage.names.limitsBucket}.>`, { callback: () => void (count.writes += 1) });
  nc.subscribe(`$JS.API.STREAM.MSG.GET.${bucket}`, { callback: () => void (count.reads += 1) });
  await nc.flush();
  return count;
}

/** Eight workers, a deep backlog, `seconds` of it from second 3 on. */
async function measure(limit: number, seconds: number) {
  const system = await stage.connect();
  await system.tellMany("limited", upTo(limit * (seconds + 15)).map(String));
  await Promise.all(upTo(workers).map((n) => fleet.spawn(setup(`w${n}`, limit))));
  const operations = await countOperations();
  const beganMs = machineMs();
  await sleep(3_000);
  const before = { ...operations };
  const fromMs = machineMs();
  await sleep(seconds * 1_000);
  const untilMs = machineMs();
  const counted = { writes: operations.writes - before.writes, reads: operations.reads - before.reads };
  const starts = fleet.starts();
  const inSpan = starts.filter((at) => at >= fromMs && at < untilMs);
  const spanSeconds = (untilMs - fromMs) / 1_000;
  return {
    most: mostIn(starts, 1_000),
    perSecond: inSpan.length / spanSeconds,
    writesPerSecond: counted.writes / spanSeconds,
    readsPerSecond: counted.reads / spanSeconds,
    beganMs,
  };
}

const round = (value: number): string => value.toFixed(1);

describe("eight worker processes", () => {
  test("start no more than 100 in any second, and use at least 93 of them, for 20 s", async () => {
    const { most, perSecond, writesPerSecond, readsPerSecond } = await measure(100, 20);
    console.log(
      `limit 100/s: at most ${most} in a second, ${round(perSecond)} used, ${round(writesPerSecond)} KV writes/s, ${round(readsPerSecond)} KV reads/s`,
    );
    expect(most).toBeLessThanOrEqual(100);
    expect(perSecond).toBeGreaterThanOrEqual(93);
    expect(writesPerSecond + readsPerSecond).toBeLessThan(20);
  });

  test("ask the server no more often when ten times as many messages go through", async () => {
    const { most, perSecond, writesPerSecond, readsPerSecond } = await measure(1_000, 8);
    console.log(
      `limit 1,000/s: at most ${most} in a second, ${round(perSecond)} used, ${round(writesPerSecond)} KV writes/s, ${round(readsPerSecond)} KV reads/s`,
    );
    expect(most).toBeLessThanOrEqual(1_000);
    expect(writesPerSecond + readsPerSecond).toBeLessThan(30);
  });
});
