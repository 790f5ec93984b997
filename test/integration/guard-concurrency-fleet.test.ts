/** Concurrency limits over real processes: never more at once than the limit says, and no stall when a holder is killed. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ActorSystem } from "godwit";
import { until } from "../support/embedded/until.ts";
import type { Entry } from "../support/faults/journal.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job } from "../support/faults/work.ts";

let scene: Scene;
let system: ActorSystem;

beforeEach(async () => {
  scene = await Scene.open();
  system = await scene.connect();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

interface Span {
  key: string;
  id: string;
  worker: string;
  fromNs: number;
  untilNs: number;
}

/** When which handler ran: from its entry to its end, or to the death of its worker. */
function spans(deaths: Record<number, number> = {}): Span[] {
  const same = (one: Entry) => (other: Entry) =>
    other.id === one.id && other.pid === one.pid && other.deliveries === one.deliveries;
  const ends = [...scene.journal.of("done"), ...scene.journal.of("aborted")];
  return scene.journal.of("run").map((run) => ({
    key: run.key ?? "",
    id: run.id,
    worker: run.worker,
    fromNs: run.ns ?? 0,
    untilNs: ends.find(same(run))?.ns ?? deaths[run.pid] ?? Infinity,
  }));
}

/** The most that ran at once, of each key. */
function peaks(all: readonly Span[]): Record<string, number> {
  const most: Record<string, number> = {};
  for (const key of new Set(all.map((span) => span.key))) {
    const edges = all
      .filter((span) => span.key === key)
      .flatMap(({ fromNs, untilNs }) => [
        { atNs: fromNs, by: 1 },
        { atNs: untilNs, by: -1 },
      ])
      .toSorted((a, b) => a.atNs - b.atNs || a.by - b.by);
    let now = 0;
    most[key] = 0;
    for (const { by } of edges) most[key] = Math.max(most[key], (now += by));
  }
  return most;
}

const workers = ["w1", "w2", "w3", "w4"];

test("A per-key concurrency limit of 1 over four processes never overlaps, and does not stall when a holder is killed", async () => {
  const keys = ["a", "b", "c", "d", "e"];
  const each = 40;
  const setup = { concurrency: 8, concurrencyLimit: { limit: 1, keyed: true } };
  const processes = await Promise.all(workers.map((worker) => scene.spawn({ worker, ...setup })));
  const jobs = Array.from({ length: each }, (): Job[] => keys.map((key) => ({ do: "work", ms: 20, key }))).flat();
  const beganMs = performance.now();
  await system.tellMany(workName, jobs);
  await until("a quarter is done", () => scene.journal.of("done").length >= jobs.length / 4);
  // One that holds: it is in a handler right now.
  const victim = await until("one holds a key", () => {
    const open = spans().find((span) => span.untilNs === Infinity);
    return processes.find(({ setup: { worker } }) => worker === open?.worker);
  });
  victim.kill("SIGKILL");
  await victim.ended;
  const deaths = { [victim.pid]: Number(process.hrtime.bigint()) };
  const killedMs = performance.now();
  await untilDrained(system, 60_000);
  const all = spans(deaths);
  const free = all.filter(({ worker }) => worker !== victim.setup.worker);
  const gaps = keys.map((key) => {
    const starts = free.filter((span) => span.key === key).map(({ fromNs }) => fromNs);
    const sorted = starts.toSorted((a, b) => a - b);
    return Math.max(...sorted.slice(1).map((at, index) => at - (sorted[index] as number))) / 1e6;
  });
  console.log(
    `${jobs.length} messages of ${keys.length} keys, 20 ms each: ${Math.round(killedMs - beganMs)} ms until the kill, ${Math.round(performance.now() - killedMs)} ms after it; longest gap of a key ${gaps.map(Math.round).join(", ")} ms; ${scene.journal.of("deferred").length} deferrals, ${all.length} runs`,
  );
  expect(peaks(all)).toEqual(Object.fromEntries(keys.map((key) => [key, 1])));
  expect(new Set(all.map(({ id }) => id)).size).toBe(jobs.length);
  expect(new Set(scene.journal.of("done").map(({ id }) => id)).size).toBe(jobs.length);
  expect(new Set(free.map(({ worker }) => worker)).size).toBe(3);
  // The lease of 10 s, and what a message may wait beyond it until it looks again.
  expect(Math.max(...gaps)).toBeLessThan(12_000);
  expect(scene.journal.of("dead")).toEqual([]);
});

test("A limit of 3 over four processes is used in full and never exceeded", async () => {
  const setup = { concurrency: 8, concurrencyLimit: { limit: 3, keyed: false } };
  await Promise.all(workers.map((worker) => scene.spawn({ worker, ...setup })));
  const jobs = Array.from({ length: 120 }, (): Job => ({ do: "work", ms: 20 }));
  const beganMs = performance.now();
  await system.tellMany(workName, jobs);
  await untilDrained(system, 60_000);
  const all = spans();
  console.log(
    `120 messages of 20 ms under a limit of 3: ${Math.round(performance.now() - beganMs)} ms (800 at best), ${scene.journal.of("deferred").length} deferrals; by worker ${workers.map((worker) => all.filter((span) => span.worker === worker).length).join(", ")}`,
  );
  expect(peaks(all)).toEqual({ "": 3 });
  expect(all).toHaveLength(120);
  expect(scene.journal.of("problem")).toEqual([]);
});
