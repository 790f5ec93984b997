/** Attempts through server kills: a server that was killed hands out anew what it has forgotten, and each run that failed counts once. */
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DeadSummary } from "../../src/index.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { listDead } from "../support/dead.ts";
import { dice, newSeed } from "../support/faults/dice.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName } from "../support/faults/work.ts";
import { until } from "../support/embedded/until.ts";
import { sized } from "../support/size.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

/** What a letter says that is not so. Runs of one message may overlap: one that fails when another has decided that it dies is too late. */
function wrongOf({ id, attempts: told, history }: DeadSummary): string[] {
  const { journal } = scene;
  const wrong: string[] = [];
  const listed = new Set(history.map(({ message }) => message));
  const failures = [...journal.of("retry", id), ...journal.of("dead", id)];
  const decidedAt = history.at(-1)?.at ?? 0;
  const untold = failures.filter(({ at, error }) => at < decidedAt && !listed.has(error ?? ""));
  if (untold.length > 0) wrong.push(`${untold.length} failures are not told`);
  if (listed.size !== history.length) wrong.push("a failure is told twice");
  if (told !== history.length) wrong.push(`${told} attempts, and ${history.length} errors`);
  if (told > journal.of("run", id).length) wrong.push(`${told} attempts in ${journal.of("run", id).length} runs`);
  if (history.some(({ attempt }, index) => attempt !== index + 1)) wrong.push("its errors are not numbered");
  if (told < attempts) wrong.push(`dead after ${told} attempts`);
  return wrong;
}

const kills = sized({ full: 20, short: 6 });
const perKill = 100;
const attempts = 4;

test(`a server killed ${kills} times under messages that always fail: each dead letter tells every failure before it, once`, async () => {
  const seed = newSeed();
  const roll = dice(seed);
  const { journal } = scene;
  const system = await scene.connect();
  for (const worker of ["a", "b"]) await scene.spawn({ worker, attempts, concurrency: 50, ackWaitMs: 2_000 });
  const sent: string[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const before = journal.of("run").length;
    const jobs = Array.from({ length: perKill }, () => ({ do: "fail" as const, ms: roll(60) }));
    await system.tellMany(workName, jobs, { id: (_job, index) => `${kill}-${index}` });
    sent.push(...jobs.map((_job, index) => `${kill}-${index}`));
    await until("some have failed", () => journal.of("run").length > before + perKill);
    await wait(roll(300));
    await scene.killServer();
    await wait(roll(200));
    await scene.restartServer();
  }
  await untilDrained(system, 60_000);
  const letters = await listDead(system);
  const wrong = letters.flatMap((letter) => wrongOf(letter).map((what) => `${letter.id}: ${what}`));
  const runs = journal.count("run").entries;
  const later = runs - letters.reduce((sum, letter) => sum + letter.attempts, 0);
  console.log(
    `server killed ${kills} times: ${letters.length} dead letters, ${runs} runs, ${later} of them too late for their letter; seed ${seed}`,
  );
  expect(letters.map(({ id }) => id).toSorted()).toEqual(sent.toSorted());
  expect(wrong).toEqual([]);
}, 180_000);
