/** A herd: thousands of messages that fail in the same second do not come back in the same second. */
import { expect, test } from "vitest";
import type { RetryConfig } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { mostIn } from "../support/limits/starts.ts";
import { sized } from "../support/size.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

const spanMs = 100;
/** As dense in both sizes. */
const spread = sized({ full: { count: 10_000, windowMs: 20_000 }, short: { count: 2_000, windowMs: 4_000 } });

/** When each message ran for the second time, ms. */
async function secondRuns(
  name: string,
  count: number,
  windowMs: number,
  jitter: RetryConfig["jitter"],
): Promise<number[]> {
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

/** What each span would hold if the retries were spread evenly. */
function evenly(count: number, windowMs: number): number {
  return (count * spanMs) / windowMs;
}

function print(times: readonly number[], even: number): void {
  console.log(`busiest ${spanMs} ms of ${times.length} retries: ${mostIn(times, spanMs)}; ${even} if spread evenly`);
}

// Again, where the machine stood still: a stop of 200 ms brings as many at once by itself. A herd comes back every time.
test(
  `full jitter, the default, keeps the busiest 100 ms of ${spread.count} retries below three times the even spread`,
  { retry: 2 },
  async () => {
    const even = evenly(spread.count, spread.windowMs);
    const times = await secondRuns("spread", spread.count, spread.windowMs, undefined);
    print(times, even);
    expect(mostIn(times, spanMs)).toBeLessThanOrEqual(3 * even);
  },
);

// Few of them, or a busy machine would spread them by its slowness.
test("without jitter they come back as the herd that they were", async () => {
  const even = evenly(400, 4_000);
  const times = await secondRuns("herd", 400, 4_000, "none");
  print(times, even);
  expect(mostIn(times, spanMs)).toBeGreaterThan(3 * even);
});
