/** Circuit breakers over several processes: a dead dependency is probed by one call of the whole fleet at a time, and nothing is lost. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/embedded/until.ts";
import { Scene, untilDrained } from "../support/faults/scene.ts";
import { breakerWork, type BreakerSetup } from "../support/guard/breaker-work.ts";

const workerScript = fileURLToPath(new URL("../../dist/test/support/guard/breaker-worker.js", import.meta.url));

let scene: Scene;
let downFile: string;

beforeEach(async () => {
  scene = await Scene.open();
  downFile = join(scene.folder, "down");
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

const down = (): void => writeFileSync(downFile, "");
const up = (): void => rmSync(downFile);

/** The first call that failed opens nothing; the circuit's own word does. */
function firstOpening(): number {
  return scene.journal.of("breaker").find((entry) => entry.reason === "open")?.at ?? Number.NaN;
}

test("four processes, a dependency dead for 8 s: at most one probe per resetAfter, no attempt burned, all completes", async () => {
  const resetAfterMs = 1_000;
  const system = await scene.connect();
  const setup: BreakerSetup = { downFile, resetAfterMs, attempts: 2, concurrency: 4 };
  await Promise.all(["a", "b", "c", "d"].map((worker) => scene.spawn({ ...setup, worker }, workerScript)));
  const count = 2_000;
  const bodies = Array.from({ length: count }, (_, n) => ({ n }));
  await system.tellMany(breakerWork, bodies.slice(0, 40));
  await until("some are completed", () => scene.journal.of("completed").length === 40);
  down();
  await system.tellMany(breakerWork, bodies.slice(40));
  await until("it is open", () => !Number.isNaN(firstOpening()));
  const openedMs = firstOpening();
  // How long the dependency is dead is the test's subject.
  await wait(8_000);
  up();
  const healedMs = Date.now();
  await until("all is completed", () => scene.journal.of("completed").length >= count, 25_000);
  await untilDrained(system);

  const calls = scene.journal.of("call").filter(({ at }) => at > openedMs && at < healedMs);
  const probes = calls.filter(({ at }) => at > openedMs + 250);
  const late = calls.filter(({ at }) => at <= openedMs + 250).map(({ at }) => at - openedMs);
  const gaps = probes.slice(1).map(({ at }, index) => at - (probes[index]?.at ?? 0));
  const recoveredMs =
    (scene.journal.of("breaker").find((e) => e.reason === "closed" && e.at > openedMs)?.at ?? 0) - healedMs;
  const lastMs = Math.max(0, ...late);
  console.log(
    `dead for 8 s, resetAfter 1 s: ${probes.length} probes, at least ${Math.min(...gaps)} ms apart; attempts that began after the first opening: ${late.length}, the last ${lastMs} ms after it; closed ${recoveredMs} ms after it healed; deferred ${scene.journal.of("deferred").length}`,
  );
  expect(probes.length).toBeGreaterThanOrEqual(5);
  expect(probes.length).toBeLessThanOrEqual(8);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(resetAfterMs);
  expect(scene.journal.of("dead")).toEqual([]);
  expect(scene.journal.of("problem")).toEqual([]);
  expect(scene.journal.count("completed")).toMatchObject({ messages: count });
});
