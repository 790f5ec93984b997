/** What holds the event loop past the ack-wait beside a handler, and what ends late in other ways: each is counted, and its message ends. */
import { expect, test } from "vitest";
import { Snooze, type ActorConfig } from "../../src/index.ts";
import { actorOf, type Hooks } from "../support/actors.ts";
import { record, type Recorder } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

function spin(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs;);
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const short = { ackWait: "1s", stalls: 1, retry: { attempts: 2, base: 1, max: 1 } } as const;
const blockMs = 1_300;

/** One message for an actor, and what its worker says of it. */
async function one(
  config: Partial<ActorConfig>,
  handler: (ran: number) => unknown = () => undefined,
  hooks: Hooks<unknown> = {},
): Promise<{ seen: Recorder; runs: () => number }> {
  const system = await stage.connect();
  let ran = 0;
  const Late = actorOf({ name: "late", ...short, ...config }, () => handler(++ran), hooks);
  const seen = record(await system.work([Late as never]));
  if (config.subscribe === undefined) await system.tell("late", 1, { id: "m" });
  else await system.publish("happened", 1, { id: "m" });
  return { seen, runs: () => ran };
}

async function noRecordStays(): Promise<void> {
  const client = await stage.client();
  await expect.poll(() => client.count(`KV_${stage.names.runsBucket}`), patient).toBe(0);
}

test.each([
  ["holds the loop", 0],
  ["holds the loop and goes on", 100],
])("a body whose asynchronous check %s ends as stalled", async (_what, restMs) => {
  const validate = async (value: unknown): Promise<{ value: unknown }> => {
    await pause(5);
    spin(blockMs);
    if (restMs > 0) await pause(restMs);
    return { value };
  };
  const { seen, runs } = await one({ input: { "~standard": { version: 1, vendor: "test", validate } } });
  const [dead] = await seen.until("dead", 1, 60_000);
  expect(dead?.data).toMatchObject({ reason: "stalled" });
  expect(runs()).toBe(0);
  expect(seen.of("blocked").some(({ data }) => data.actors.includes("late"))).toBe(true);
  await noRecordStays();
});

test.each<[string, Partial<ActorConfig>]>([
  ["concurrency", { concurrencyLimit: { name: "keyed", limit: 5, key: held } }],
  ["rate", { rateLimit: { name: "keyed", limit: 50, per: "1s", key: held } }],
])(
  "a key function of a %s limit that holds the loop ends its message as stalled, and is named",
  async (_what, limit) => {
    const { seen, runs } = await one(limit);
    const [dead] = await seen.until("dead", 1, 60_000);
    expect(dead?.data).toMatchObject({ reason: "stalled" });
    expect(runs()).toBe(0);
    expect(seen.of("blocked").some(({ data }) => data.certain && data.actors.includes("late"))).toBe(true);
  },
);

function held(): string {
  spin(blockMs);
  return "key";
}

test("a handler that holds the loop and snoozes has stalled, and is not called for ever", async () => {
  const { seen, runs } = await one({}, () => {
    spin(blockMs);
    throw new Snooze("10ms");
  });
  const [dead] = await seen.until("dead", 1, 60_000);
  expect(dead?.data).toMatchObject({ reason: "stalled" });
  expect(runs()).toBeLessThanOrEqual(4);
});

test("an event whose handler holds the loop for many ack-waits is completed by its first run", async () => {
  const { seen, runs } = await one({ subscribe: ["happened"], result: { ttl: "1m" } }, () => spin(4_000));
  await seen.until("completed");
  await noRecordStays();
  expect(runs()).toBe(1);
});

test("an onDead that holds the loop is called once, and its message ends", async () => {
  let buried = 0;
  const onDead = (): void => {
    buried += 1;
    spin(blockMs);
  };
  const { seen, runs } = await one({}, () => Promise.reject(new Error("no")), { onDead });
  await seen.until("dead");
  const client = await stage.client();
  await expect.poll(() => client.count(stage.names.tasks), patient).toBe(0);
  await noRecordStays();
  expect({ buried, ran: runs() }).toEqual({ buried: 1, ran: 2 });
});

test("a handler that goes on after it held the loop is not started beside itself in its worker", async () => {
  const { seen, runs } = await one({}, async () => {
    await pause(1);
    spin(3_500);
    await pause(1_500);
  });
  await seen.until("completed");
  await noRecordStays();
  expect(runs()).toBe(1);
});
