/** A breaker and a concurrency limit on one actor: the probe has to wait for a permit as any other run does. */
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("a circuit closes again although others keep the permits of its actor busy", async () => {
  const system = await stage.connect();
  const concurrencyLimit = { name: "db", limit: 1 };
  let down = true;
  const Guarded = actorOf(
    {
      name: "guarded",
      retry: { attempts: 10, backoff: () => 10 },
      breaker: { name: "api", volume: 1, resetAfter: "400ms" },
      concurrencyLimit,
    },
    () => {
      if (down) throw new Error("down");
    },
  );
  const Busy = actorOf({ name: "busy", concurrencyLimit }, () => sleep(500));
  const worker = await system.work([Guarded, Busy]);
  const recorder = record(worker);
  await system.tell(Guarded, {});
  await recorder.until("retry");
  down = false;
  await system.tellMany(
    Busy,
    Array.from({ length: 100 }, () => ({})),
  );
  await system.tell(Guarded, {});
  const completed = (): number => worker.stats.actors.guarded?.completed ?? 0;
  await expect.poll(completed, patient).toBe(2);
}, 40_000);
