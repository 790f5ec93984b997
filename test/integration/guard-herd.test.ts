/** A herd: ten thousand messages that fail in the same second do not come back in the same second. */
import { expect, test } from "vitest";
import type { RetryConfig } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { mostIn } from "../support/limits/starts.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

const spanMs = 100;
/** What each span would hold if the retries were spread evenly. */
const even = 50;

/** When each message ran for the second time, ms. As many fail at once as make `even` over the window. */
async function secondRuns(name: string, windowMs: number, jitter: RetryConfig["jitter"]): Promise<number[]> {
  const count = (even * windowMs) / spanMs;
  const system = await stage.connect();
  const at: number[] = [];
  const all = gate();
  const retry: RetryConfig = { base: windowMs, max: windowMs, ...(jitter !== undefined && { jitter }) };
  const Fragile = actorOf({ name, concurrency: 500, retry }, (_n, ctx) => {
    if (ctx.attempt === 1) throw new Error("the dependency is down");
    if (at.push(performance.now()) === count) all.open();
  });
  await system.tellMany(
    Fragile,
    Array.from({ length: count }, (_, n) => n),
  );
  await system.work([Fragile]);
  await all.opened;
  return at;
}

test("full jitter, the default, keeps the busiest 100 ms of 10,000 retries below three times the even spread", async () => {
  const times = await secondRuns("spread", 20_000, undefined);
  console.log(`busiest ${spanMs} ms of ${times.length} retries: ${mostIn(times, spanMs)}; ${even} if spread evenly`);
  expect(mostIn(times, spanMs)).toBeLessThanOrEqual(3 * even);
});

test("without jitter they come back as the herd that they were", async () => {
  const times = await secondRuns("herd", 2_000, "none");
  console.log(`busiest ${spanMs} ms of ${times.length} retries: ${mostIn(times, spanMs)}; ${even} if spread evenly`);
  expect(mostIn(times, spanMs)).toBeGreaterThan(3 * even);
});
