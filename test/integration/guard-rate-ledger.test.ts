/** Rate ledger: processes that reserve slots at the same moment never get the same ones. */
import { expect, test } from "vitest";
import { Bucket } from "../../src/broker/bucket.ts";
import { Bus } from "../../src/broker/bus.ts";
import { Pipeline } from "../../src/broker/pipeline.ts";
import { Publisher } from "../../src/broker/publisher.ts";
import { ServerClock } from "../../src/broker/server-clock.ts";
import { RateLedger } from "../../src/guard/rate-limit/ledger.ts";
import { recordKey, type RateRecord } from "../../src/guard/rate-limit/record.ts";
import { ratePlan } from "../../src/guard/rate-limit/slots.ts";
import { SharedState } from "../../src/guard/shared-state.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

/** A ledger as another process would have it, that hears of nobody. */
async function ledgerOf(problems: Error[]) {
  const { connection, names } = (await stage.connect()).parts;
  const pipeline = new Pipeline(connection);
  const bucket = new Bucket(names.limitsBucket, pipeline, new Publisher(connection, pipeline));
  const state = new SharedState<RateRecord>(bucket, new Bus(connection), names);
  const clock = new ServerClock(pipeline, `KV_${names.limitsBucket}`);
  const settings = { name: "api", plan: ratePlan({ limit: 100, per: 1_000, burst: 1 }), keyed: false };
  const ledger = new RateLedger({
    state,
    clock,
    settings,
    key: recordKey("api"),
    leastTtlMs: 10_000,
    quiet: false,
    onProblem: (error) => problems.push(error),
    onHealthy: () => undefined,
  });
  return { ledger, clock };
}

test("slots are reserved once, however many reserve at the same moment", async () => {
  const problems: Error[] = [];
  const parties = await Promise.all([1, 2, 3, 4].map(() => ledgerOf(problems)));
  const slots: number[] = [];
  for (let round = 0; round < 10; round++) {
    const taken = await Promise.all(parties.map(({ ledger }) => ledger.take(3, 0, Infinity)));
    slots.push(...taken.flatMap((some) => some ?? []));
  }
  expect(problems).toEqual([]);
  expect(slots.length).toBe(120);
  const sorted = slots.toSorted((a, b) => a - b);
  const gaps = sorted.slice(1).map((slotMs, n) => slotMs - (sorted[n] as number));
  expect(Math.min(...gaps), "ms between two slots").toBeGreaterThanOrEqual(10.4);
  expect(Math.max(...gaps), "none is left out").toBeLessThan(500);
});

test("the server's time is the same to all, and known to a few ms", async () => {
  const parties = await Promise.all([1, 2, 3].map(() => ledgerOf([])));
  for (const { clock } of parties) await clock.ready();
  const times = parties.map(({ clock }) => clock.nowMs());
  const errorMs = Math.max(...parties.map(({ clock }) => clock.errorMs));
  expect(errorMs).toBeLessThan(10);
  expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(2 * errorMs + 1);
  // One server on this host: its wall clock is ours.
  expect(Math.abs((times[0] as number) - Date.now())).toBeLessThanOrEqual(errorMs + 5);
});
