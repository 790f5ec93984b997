/** Health watch over workers that are made up: what it makes of slow answers, arrivals, and two workers of one actor. */
import { afterEach, expect, test } from "vitest";
import type { ConsumerState } from "../../src/broker/stream-reader.ts";
import { HealthWatch, type HealthWatchOptions, type WatchedWorker } from "../../src/observe/health-watch.ts";
import { patient } from "../support/stage.ts";

const pending = { pending: 5 } as ConsumerState;
const idle = { pending: 0 } as ConsumerState;
let watch: HealthWatch | undefined;

afterEach(() => watch?.stop());

/** @param arrived how many messages have come through each of its durables. */
function workerOf(id: string, durables: readonly string[], arrived: () => number = () => 0): WatchedWorker {
  const looks: WatchedWorker["looks"] = () => {
    const own = durables.map((durable_name) => ({ stream: "TASKS", spec: { durable_name }, arrived: arrived() }));
    return new Map([["pay", { restraint: undefined, durables: own }]]);
  };
  return { identity: { id }, state: "running", stats: { unhealthyReasons: [] }, looks };
}

function start(workers: WatchedWorker[], consumer: HealthWatchOptions["reader"]["consumer"]): HealthWatch {
  watch = new HealthWatch({ windowMs: 100, workers: () => workers, connection: { up: true }, reader: { consumer } });
  watch.start();
  return watch;
}

test("a server that answers slowly about many durables does not keep it green", async () => {
  const durables = Array.from({ length: 30 }, (_, n) => `pay${n}`);
  const seen = start([workerOf("one", durables)], async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return pending;
  });
  await expect.poll(() => seen.report().healthy, patient).toBe(false);
});

test("of two workers with the actor the worse is told, whichever comes last", async () => {
  const seen = start([workerOf("ill", ["refused"]), workerOf("well", ["fine"])], async (_, durable) =>
    durable === "refused" ? pending : idle,
  );
  await expect.poll(() => seen.report().actors["pay"]?.healthy, patient).toBe(false);
});

test("what arrives while the server is asked is no silence", async () => {
  let asked = 0;
  const seen = start([workerOf("one", ["pay"], () => asked)], async () => {
    asked += 1;
    return pending;
  });
  await expect.poll(() => asked, patient).toBeGreaterThan(0);
  await expect.poll(() => seen.report().actors["pay"]?.says, patient).toBe("it consumes");
});
