/** A deploy that changes an actor's config, one worker after the other: no message runs twice, and none is left lying. */
import { expect, describe, test } from "vitest";
import type { ActorConfig } from "../../src/index.ts";
import { actorOf, gate, type Gate } from "../support/actors.ts";
import { patient, useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();
const ns = (ms: number): number => ms * 1_000_000;

/** Notes each run as `<body>#<attempt>`. "slow" waits for the gate, "first" fails once. */
function noting(ran: string[], config: Partial<ActorConfig> = {}, held: Gate = gate()) {
  const own: ActorConfig = { name: "a", concurrency: 50, retry: { base: 700, jitter: "none" }, ...config };
  return actorOf<string>(own, async (input, ctx) => {
    ran.push(`${input}#${ctx.attempt}`);
    if (input.startsWith("slow")) await held.opened;
    if (input.startsWith("first") && ctx.attempt === 1) throw new Error("once");
  });
}

const filtersOf = async (client: PlainClient, stream: string, durable: string): Promise<string[]> => {
  const { config } = await client.jsm.consumers.info(stream, durable);
  return (config.filter_subjects ?? [config.filter_subject ?? ""]).toSorted();
};

describe("the ack-wait of a durable", () => {
  const ackWait = async (client: PlainClient): Promise<number> =>
    ((await client.jsm.consumers.info(stage.names.tasks, "a")).config.ack_wait ?? 0) / ns(1);

  test("stays the longest that a live worker goes by, and shrinks when that one ends", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const ran: string[] = [];
    const held = gate();
    const older = await system.work([noting(ran, { ackWait: "6s" }, held)]);
    await system.tell("a", "slow");
    await expect.poll(() => ran.length, patient).toBe(1);
    const newer = await system.work([noting(ran, { ackWait: "1s" }, held)]);
    expect(await ackWait(client)).toBe(6_000);
    // The older one marks what it has every two seconds.
    await new Promise((resolve) => setTimeout(resolve, 3_500));
    held.open();
    await older.stop();
    expect(ran).toEqual(["slow#1"]);
    await expect.poll(() => ackWait(client), { timeout: 25_000, interval: 200 }).toBe(1_000);
    await newer.stop();
  });

  test("is raised before a worker with a longer one pulls, and shrinks under the one that was there first", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const ran: string[] = [];
    const first = await system.work([noting(ran, { ackWait: "2s" })]);
    const second = await system.work([noting(ran, { ackWait: "5s" })]);
    expect(await ackWait(client)).toBe(5_000);
    await second.stop();
    await expect.poll(() => ackWait(client), { timeout: 25_000, interval: 200 }).toBe(2_000);
    await first.stop();
    await (await system.work([noting(ran, { ackWait: "1s" })])).stop();
    expect(await ackWait(client), "nobody is left, and nothing in flight").toBe(1_000);
  });

  test("is left where a worker of an older release may go by it", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await (await system.work([noting([], { ackWait: "6s" })])).stop();
    const old = { v: 1, id: "old", host: "h", pid: 1, version: "0.1.0", node: "20", actors: ["a"] };
    const lease = Buffer.from(JSON.stringify({ ...old, startedAt: new Date().toISOString() }));
    await system.parts.workers.put("old", lease, { ttlMs: 30_000 });
    const worker = await system.work([noting([], { ackWait: "1s" })]);
    expect(await ackWait(client)).toBe(6_000);
    await worker.stop();
  });
});

describe("a subscription that a deploy adds", () => {
  test("stays while a worker that has it lives, whoever starts beside it, and goes after it", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const heard: string[] = [];
    const older = { subscribe: ["a.*"] };
    const newer = { subscribe: ["a.*", "b.>"] };
    const filters = () => filtersOf(client, stage.names.events, "a");
    const [a, b] = ["a.*", "b.>"].map((subject) => stage.names.eventSubject(subject));
    await (await system.work([noting(heard, older)])).stop();
    const wide = await system.work([noting(heard, newer)]);
    const narrow = await system.work([noting(heard, older)]);
    await (await stage.connect()).provision([noting(heard, older)]);
    expect(await filters()).toEqual([a, b]);
    await narrow.stop();
    await system.publish("b.c", "event");
    await expect.poll(() => heard, patient).toEqual(["event#1"]);
    await wide.stop();
    await (await system.work([noting(heard, older)])).stop();
    expect(await filters()).toEqual([a]);
  });
});

test("several workers with configs that differ start at once, and none undoes what another has set", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const configs = [1, 2, 3, 4, 5, 6].map((n): Partial<ActorConfig> => ({
    ackWait: n * 1_000,
    subscribe: [`e${n}`],
  }));
  const workers = await Promise.all(configs.map((config) => system.work([noting([], config)])));
  const filters = await filtersOf(client, stage.names.events, "a");
  expect(filters).toEqual([1, 2, 3, 4, 5, 6].map((n) => stage.names.eventSubject(`e${n}`)));
  for (const stream of [stage.names.tasks, stage.names.events, stage.names.schedule]) {
    expect((await client.jsm.consumers.info(stream, "a")).config.ack_wait).toBe(ns(6_000));
  }
  await Promise.all(workers.map((worker) => worker.stop()));
});
