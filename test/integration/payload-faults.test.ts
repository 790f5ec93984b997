/** Bodies in the object store, and a server that is killed while they are written and read: none is lost, none is dead. */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { listDead } from "../support/dead.ts";
import { until } from "../support/embedded/until.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job } from "../support/faults/work.ts";

let scene: Scene;

beforeEach(async () => void (scene = await Scene.open()));
afterEach(async (context) => scene.close(context.task.result?.state === "fail"));

test("a server killed twice under 40 large bodies: each task is completed", async () => {
  const count = 40;
  const sender = await scene.connect();
  await scene.work({ worker: "a", concurrency: 4 });
  const jobs = Array.from({ length: count }, (): Job & { padding: string } => ({
    do: "work",
    padding: randomBytes(900_000).toString("base64"),
  }));
  let n = 0;
  const sending = sender.tellMany(workName, jobs, { id: () => `n${n++}` });
  for (const share of [5, 15]) {
    await until(`${share} are done`, () => scene.journal.of("completed").length >= share, 40_000);
    await scene.killServer();
    await scene.restartServer();
  }
  expect((await sending).failures).toEqual([]);
  const completed = () => new Set(scene.journal.of("completed").map(({ id }) => id)).size;
  await until("all are done", () => completed() === count, 40_000);
  await untilDrained(sender);
  expect(await listDead(sender)).toEqual([]);
});
