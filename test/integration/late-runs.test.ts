/** Runs that end when their message is no longer their worker's: each counts, and the message ends. */
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";
import { Hard } from "../support/isolation/actors.ts";

const stage = useStage();

function spin(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs;);
}
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const short = { ackWait: "1s", retry: { attempts: 2, base: 1, max: 1 } } as const;

test("a handler that holds the loop for longer than the ack-wait runs once: its late end is noted, and its result and answer leave", async () => {
  const system = await stage.connect();
  let ran = 0;
  const Late = actorOf({ name: "late", ...short, result: { ttl: "1m" } }, () => {
    ran += 1;
    spin(1_600);
    return { ran };
  });
  const worker = await system.work([Late]);
  const seen = record(worker);
  expect(await system.ask(Late, 1, { id: "m", timeout: "20s" })).toEqual({ ran: 1 });
  await seen.until("completed");
  const client = await stage.client();
  await expect.poll(() => client.count(stage.names.tasks), patient).toBe(0);
  // As long as a redelivery would take.
  await pause(2_500);
  expect(ran).toBe(1);
  expect(await system.result("late", "m")).toEqual({ state: "completed", value: { ran: 1 } });
  expect(seen.of("dead")).toEqual([]);
});

test("also one that goes on for a while after it held the loop", async () => {
  const system = await stage.connect();
  let ran = 0;
  const Late = actorOf({ name: "late", ...short }, async () => {
    ran += 1;
    await pause(1);
    spin(1_600);
    await pause(50);
  });
  const worker = await system.work([Late]);
  const seen = record(worker);
  await system.tell(Late, 1);
  await seen.until("completed");
  await pause(2_500);
  expect(ran).toBe(1);
});

test("a handler that holds the loop and throws is dead after its attempts", async () => {
  const system = await stage.connect();
  let ran = 0;
  const Poison = actorOf({ name: "poison", ...short }, () => {
    ran += 1;
    spin(1_600);
    throw new Error("no");
  });
  const worker = await system.work([Poison]);
  const seen = record(worker);
  await system.tell(Poison, 1);
  const [dead] = await seen.until("dead");
  expect(dead?.data).toMatchObject({ reason: "exhausted" });
  expect(ran).toBe(2);
});

test.each(["none", "thread"] as const)(
  "a body whose check holds the loop ends as stalled, and the check is named, and each stall counted (isolate: %s)",
  async (isolate) => {
    const system = await stage.connect();
    const input = {
      "~standard": {
        version: 1,
        vendor: "test",
        validate: (value: unknown) => {
          spin(1_400);
          return { value };
        },
      },
    } as const;
    const config = { ackWait: "1s", stalls: 1, input } as const;
    const Slow =
      isolate === "none"
        ? actorOf({ name: "slow", ...config }, () => undefined)
        : class extends Hard {
            static override readonly config = { ...Hard.config, ...config } as never;
          };
    const { name } = Slow.config as { name: string };
    const worker = await system.work([Slow as never]);
    const seen = record(worker);
    await system.tell(name, { do: "answer" });
    const [dead] = await seen.until("dead", 1, 40_000);
    expect(dead?.data).toMatchObject({ reason: "stalled" });
    expect(seen.of("started")).toEqual([]);
    expect(seen.of("blocked").some(({ data }) => data.certain && data.actors.includes(name))).toBe(true);
    const { stalls } = await onlyDead(system, { actor: name });
    expect(stalls).toBeGreaterThanOrEqual(3);
    expect(worker.perActor()[name]?.stalls, "each is counted").toBe(stalls);
    const client = await stage.client();
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(0);
  },
);

test("a message that failed once and completed leaves no record behind, and one that died neither", async () => {
  const system = await stage.connect();
  const Flaky = actorOf<number>({ name: "flaky", concurrency: 100, ...short }, (body, ctx) => {
    if (ctx.attempt === 1 || body % 10 === 0) throw new Error("no");
  });
  const worker = await system.work([Flaky]);
  const seen = record(worker);
  await system.tellMany(
    Flaky,
    Array.from({ length: 300 }, (_, index) => index),
  );
  await seen.until("completed", 270);
  await seen.until("dead", 30);
  const client = await stage.client();
  await expect.poll(() => client.count(`KV_${stage.names.runsBucket}`), patient).toBe(0);
});
