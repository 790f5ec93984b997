/** Circuit breakers over several processes: a dead dependency is probed by one call of the whole fleet at a time, and nothing is lost. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/embedded/until.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { sized } from "../support/size.ts";
import { breakerWork, type BreakerSetup } from "../support/guard/breaker-work.ts";

const workerScript = fileURLToPath(new URL("../../dist/test/support/guard/breaker-worker.js", import.meta.url));

/** How long the dependency is dead. */
const deadS = sized({ full: 20, short: 8 });

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

test(
  `four processes, a dependency dead for ${deadS} s: at most one probe per resetAfter, no attempt burned, all completes`,
  { timeout: 90_000 },
  async () => {
    const resetAfterMs = 1_000;
    const system = await scene.connect();
    // What fails before the opening comes again after it, and fails no second time.
    const setup: BreakerSetup = { downFile, resetAfterMs, attempts: 2, retryAfterMs: 3_000, concurrency: 4 };
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
    await wait(1_000 * deadS);
    up();
    const healedMs = Date.now();
    await until("all is completed", () => scene.journal.of("completed").length >= count, 25_000);
    await untilDrained(system);

    const calls = scene.journal.of("call").filter(({ at }) => at > openedMs && at < healedMs);
    // The first probe comes resetAfter after the opening; what comes much earlier is none.
    const probes = calls.filter(({ at }) => at > openedMs + resetAfterMs / 2);
    const late = calls.filter(({ at }) => at <= openedMs + resetAfterMs / 2).map(({ at }) => at - openedMs);
    const gaps = probes.slice(1).map(({ at }, index) => at - (probes[index]?.at ?? 0));
    const recoveredMs =
      (scene.journal.of("breaker").find((e) => e.reason === "closed" && e.at > openedMs)?.at ?? 0) - healedMs;
    const lastMs = Math.max(0, ...late);
    console.log(
      `dead for ${deadS} s, resetAfter 1 s: ${probes.length} probes, at least ${Math.min(...gaps)} ms apart; attempts that began after the first opening: ${late.length}, the last ${lastMs} ms after it; closed ${recoveredMs} ms after it healed; deferred ${scene.journal.of("deferred").length}`,
    );
    expect(probes.length).toBeGreaterThanOrEqual(deadS / 2);
    expect(probes.length).toBeLessThanOrEqual(deadS);
    expect(lastMs).toBeLessThanOrEqual(250);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(resetAfterMs);
    expect(scene.journal.of("dead")).toEqual([]);
    expect(scene.journal.of("problem")).toEqual([]);
    expect(scene.journal.count("completed")).toMatchObject({ messages: count });
  },
);

/** One worker process opens the circuit. @returns when it did. */
async function trip(setup: Partial<BreakerSetup> & { resetAfterMs: number }): Promise<void> {
  const system = await scene.connect();
  down();
  await scene.spawn({ downFile, attempts: 50, ...setup, worker: "first" }, workerScript);
  await system.tellMany(breakerWork, [1, 2, 3, 4, 5]);
  await until("it is open", () => !Number.isNaN(firstOpening()));
}

test("a prober killed in its probe: another probes after resetAfter, and its message is not lost", async () => {
  const resetAfterMs = 3_000;
  await trip({ resetAfterMs, dieInProbe: true, ackWaitMs: 1_000 });
  const opened = scene.journal.of("call").length;
  await scene.spawn({ downFile, resetAfterMs, worker: "second", dieInProbe: true, ackWaitMs: 1_000 }, workerScript);
  await until("one has died in its probe", () => scene.journal.of("call").length > opened, 20_000);
  const died = scene.journal.of("call")[opened];
  up();
  await scene.spawn({ downFile, resetAfterMs, worker: "third", ackWaitMs: 1_000, attempts: 50 }, workerScript);
  const survivors = scene.journal.of("ready").filter(({ worker }) => worker !== died?.worker);
  expect(survivors.length).toBeGreaterThan(0);
  await until("the next probes", () => scene.journal.of("call").length > opened + 1, 20_000);
  const next = scene.journal.of("call")[opened + 1];
  const gapMs = (next?.at ?? 0) - (died?.at ?? 0);
  console.log(`killed in its probe: the next probe ${gapMs} ms later, resetAfter ${resetAfterMs} ms`);
  expect(gapMs).toBeGreaterThanOrEqual(resetAfterMs);
  expect(next?.pid).not.toBe(died?.pid);
  await until("all is completed", () => scene.journal.count("completed").messages === 5, 30_000);
  expect(scene.journal.of("dead")).toEqual([]);
});

test("a server that is killed and comes back while the circuit is open: it stays open, its probe closes it, all completes", async () => {
  const resetAfterMs = 2_000;
  await trip({ resetAfterMs });
  const opened = scene.journal.of("call").length;
  await scene.killServer();
  await scene.restartServer();
  await scene.spawn({ downFile, resetAfterMs, worker: "second", attempts: 50 }, workerScript);
  await until("two probes", () => scene.journal.of("call").length === opened + 2, 30_000);
  const probes = scene.journal.of("call").slice(opened);
  expect((probes[1]?.at ?? 0) - (probes[0]?.at ?? 0)).toBeGreaterThanOrEqual(resetAfterMs);
  expect((probes[0]?.at ?? 0) - firstOpening()).toBeGreaterThanOrEqual(resetAfterMs - 5);
  up();
  await until("all is completed", () => scene.journal.count("completed").messages === 5, 30_000);
  expect(scene.journal.of("dead")).toEqual([]);
});
