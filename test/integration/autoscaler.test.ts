/** The autoscaler's loop: on a real queue it asks for the processes that this needs; it stops cleanly, and stands trouble. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { Autoscaler, type AutoscalerOptions, type AutoscalerParts } from "../../src/fleet/autoscaler.ts";
import { readQueues } from "../../src/observe/backlog.ts";
import { actorOf, gate } from "../support/actors.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

const options: AutoscalerOptions = { min: 1, max: 8, everyMs: 100, drainTargetMs: 5_000, shrinkAfterMs: 1_000 };
const host = { look: () => ({ cpuUse: 0, cores: 2, memoryBytes: 1e12, memoryUsedBytes: 0 }) };

const idle: AutoscalerParts = {
  loads: () => [],
  queues: async () => new Map(),
  processes: () => 1,
  hosts: () => 1,
  resize: () => undefined,
  onKept: () => undefined,
  onProblem: (error) => {
    throw error;
  },
  host,
};

test("a backlog has it ask for more processes, and for one again when all is done", { timeout: 60_000 }, async () => {
  const system = await stage.connect();
  const held = gate();
  const slow = actorOf<number>({ name: "slow", concurrency: 10 }, () => Promise.race([pause(20), held.opened]));
  await system.tellMany("slow", Array(2_000).fill(1));
  await system.work([slow]);
  const sizes = [1];
  const kept: string[] = [];
  const scaler = new Autoscaler(
    {
      ...idle,
      loads: () => [system.load()],
      queues: (durables) => readQueues(system.parts.reader, durables),
      // As if those that it asks for were there at once.
      processes: () => sizes.at(-1) ?? 1,
      resize: (processes) => void sizes.push(processes),
      onKept: (_processes, why) => void kept.push(why),
    },
    options,
  );
  scaler.start();
  // 2,000 × 20 ms ÷ 5 s are 8 slots; 4,000 more are 24, of ten in a process.
  await expect.poll(() => kept, patient).toContain("1 is needed");
  await system.tellMany("slow", Array(4_000).fill(1));
  await expect.poll(() => sizes.at(-1), patient).toBeGreaterThanOrEqual(2);
  held.open();
  await expect.poll(() => sizes.at(-1), { ...patient, timeout: 40_000 }).toBe(1);
  await scaler.stop();
});

test("a look that fails keeps the number, is reported once, and the next one goes on", async () => {
  const problems: string[] = [];
  let looks = 0;
  const resized: number[] = [];
  const kept: [number, string][] = [];
  const scaler = new Autoscaler(
    {
      ...idle,
      onKept: (processes, why) => void kept.push([processes, why]),
      loads: () => {
        looks += 1;
        if (looks % 10 < 5) throw new Error(`away ${Math.floor(looks / 10)}`);
        return [];
      },
      resize: (processes) => void resized.push(processes),
      onProblem: (error) => void problems.push(error.message),
    },
    { ...options, everyMs: 1 },
    3,
  );
  scaler.start();
  await expect.poll(() => looks, patient).toBeGreaterThan(25);
  await scaler.stop();
  expect(problems.slice(0, 3)).toEqual(["away 0", "away 1", "away 2"]);
  expect(resized).toEqual([]);
  expect(kept).toEqual([[3, "how many are needed is not known"]]);
});

test("looks do not overlap, and once it is stopped nothing is resized", async () => {
  let under = 0;
  let most = 0;
  const answer = gate();
  const resized: number[] = [];
  const actor = { concurrency: 1, running: 1, handled: 10, handledMs: 1e6, deferred: 0, guarded: false, durables: [] };
  const scaler = new Autoscaler(
    {
      ...idle,
      loads: () => [{ pid: 1, ceiling: 1, cpuMs: 0, rssBytes: 1, actors: { mail: actor } }],
      queues: async () => {
        under += 1;
        most = Math.max(most, under);
        await answer.opened;
        under -= 1;
        return new Map([["mail", { pending: 1e6, deliveries: 0, paused: false }]]);
      },
      resize: (processes) => void resized.push(processes),
    },
    { ...options, everyMs: 1 },
  );
  scaler.start();
  scaler.start();
  await expect.poll(() => under, patient).toBe(1);
  await pause(50);
  const stopped = scaler.stop();
  answer.open();
  await stopped;
  expect([most, under, resized]).toEqual([1, 0, []]);
});
