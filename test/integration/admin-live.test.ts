/** Live frames over real workers: what they say agrees with what was sent, and nothing is asked while nobody watches. */
import { once } from "node:events";
import { describe, expect, test, vi } from "vitest";
import type { ActorFrame, Frame } from "../../src/admin/api.ts";
import { Inspector } from "../../src/admin/inspector.ts";
import type { Live } from "../../src/admin/live/live.ts";
import { on, Terminal } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { freeze } from "../support/freeze.ts";
import { useLive } from "../support/live.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const liveOf = useLive();

/** The first frame that fits. */
function frameWhere(live: Live, fits: (frame: Frame) => boolean): Promise<Frame> {
  return new Promise((resolve) => {
    const end = live.watch({
      onFrame: (frame) => {
        if (!fits(frame)) return;
        end();
        resolve(frame);
      },
    });
  });
}

function actorIn(frame: Frame, name: string): ActorFrame | undefined {
  return frame.actors.find(({ actor }) => actor === name);
}

describe("a frame", () => {
  test("tells of what ran: rate, error share, times, dead letters", async () => {
    const system = await stage.connect();
    const Mail = actorOf<number>({ name: "mail" }, (n) => {
      if (n % 4 === 0) throw new Terminal("every fourth");
    });
    const worker = await system.work([Mail]);
    const live = liveOf(system);
    await system.tellMany(
      "mail",
      Array.from({ length: 400 }, (_, n) => n),
    );
    const frame = await frameWhere(live, (one) => actorIn(one, "mail")?.dead === 100 && one.totals.rate > 0);
    const mail = actorIn(frame, "mail");
    expect(mail).toMatchObject({ depth: 0, inFlight: 0, dead: 100, workers: 1, running: 0, errorShare: 0.25 });
    // All of it was done since the worker began, less than ten seconds ago.
    expect(mail?.rate).toBeGreaterThan(400 / 11);
    expect(mail?.rate).toBeLessThanOrEqual(400);
    expect(mail?.p99Ms).toBeGreaterThanOrEqual(mail?.p50Ms ?? Infinity);
    expect(mail?.queuedP95Ms).toBeGreaterThan(0);
    expect(frame.totals).toMatchObject({ dead: 100, workers: 1, errorShare: 0.25 });
    expect(frame.workers).toMatchObject([
      { pid: process.pid, state: "running", actors: ["mail"], live: { healthy: true } },
    ]);
    expect(frame.problems).toEqual([]);
    const { times, actors } = live.history();
    expect(actors["mail"]?.rate).toHaveLength(times.length);
    expect(actors["mail"]?.errorShare.at(-1)).toBe(0.25);
    await worker.stop();
  });

  test("tells of what waits: depth by lane, the oldest, scheduled, in flight, paused", async () => {
    const system = await stage.connect();
    const door = gate();
    const Slow = actorOf({ name: "slow", concurrency: 1, subscribe: ["news"] }, () => door.opened);
    const worker = await system.work([Slow]);
    const started = once(worker, "started");
    await system.tell("slow", 0);
    await started;
    await new Inspector(system).pause("slow");
    for (const lane of ["high", "normal", "normal"] as const) await system.tell("slow", 1, { lane });
    await system.publish("news", 1);
    for (const delay of ["1h", "2h"] as const) await system.tell("slow", 1, { delay });
    const live = liveOf(system);
    const frame = await frameWhere(live, (one) => actorIn(one, "slow")?.scheduled === 2);
    const slow = actorIn(frame, "slow");
    expect(slow).toMatchObject({
      lanes: { critical: 0, high: 1, normal: 2, low: 0 },
      depth: 4,
      inFlight: 1,
      running: 1,
      concurrency: 1,
      paused: true,
    });
    expect(slow?.oldestMs).toBeGreaterThan(0);
    expect(slow?.oldestMs).toBeLessThan(60_000);
    expect(slow?.p50Ms).toBeUndefined();
    door.open();
    await new Inspector(system).resume("slow");
    const after = await frameWhere(live, (one) => actorIn(one, "slow")?.depth === 0);
    expect(actorIn(after, "slow")?.oldestMs).toBeUndefined();
    expect(actorIn(after, "slow")?.paused).toBe(false);
    await worker.stop();
  });

  test("tells of what waits also beside a stream made by others that allows no direct look", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const stream = `${stage.namespace}_ORDERS`;
    await client.jsm.streams.add({ name: stream, subjects: [`${stage.namespace}-orders.>`], allow_direct: false });
    const subject = `${stage.namespace}-orders.new`;
    const Orders = actorOf({ name: "orders", subscribe: [on({ stream, subject })] }, () => undefined);
    const worker = await system.work([Orders]);
    await new Inspector(system).pause("orders");
    await client.publish(subject, "1");
    for (const lane of ["high", "normal", "normal"] as const) await system.tell("orders", 1, { lane });
    const live = liveOf(system);
    const frame = await frameWhere(live, (one) => actorIn(one, "orders")?.depth === 4);
    expect(frame.problems).toEqual([]);
    expect(actorIn(frame, "orders")?.lanes).toEqual({ critical: 0, high: 1, normal: 2, low: 0 });
    expect(actorIn(frame, "orders")?.oldestMs).toBeGreaterThan(0);
    await worker.stop();
  });

  test("tells the age of the oldest by the server's clock, whatever this host's says", async () => {
    const system = await stage.connect();
    const worker = await system.work([actorOf({ name: "skewed" }, () => undefined)]);
    await new Inspector(system).pause("skewed");
    await system.tell("skewed", 1);
    const { now } = Date;
    const clock = vi.spyOn(Date, "now").mockImplementation(() => now() + 3_600_000);
    try {
      const frame = await frameWhere(liveOf(system), (one) => actorIn(one, "skewed")?.depth === 1);
      expect(actorIn(frame, "skewed")?.oldestMs).toBeLessThan(60_000);
    } finally {
      clock.mockRestore();
    }
    await new Inspector(system).resume("skewed");
    await worker.stop();
  });

  test("says that the server is gone, and goes on when it is back", async () => {
    const system = await stage.connect();
    const live = liveOf(system);
    await frameWhere(live, () => true);
    const { connection } = system.parts;
    // The client gives its connection up and makes another.
    await freeze(stage.pid);
    try {
      const cut = await frameWhere(live, ({ problems }) => problems.length > 0);
      expect(cut.problems[0]).toMatch(/could not be read|There is no connection to the NATS server/);
      const asBefore = await frameWhere(live, ({ stale }) => stale === true);
      const { times } = live.history();
      expect(times).not.toContain(Date.parse(asBefore.at));
    } finally {
      process.kill(stage.pid, "SIGCONT");
    }
    await frameWhere(live, ({ problems }) => problems.length === 0);
    expect(connection.up).toBe(true);
  }, 60_000);
});

test("nothing is asked while nobody watches; two who watch share the rounds", async () => {
  const system = await stage.connect();
  const live = liveOf(system);
  const worker = await system.work([actorOf({ name: "mail" }, () => undefined)]);
  const client = await stage.client();
  let questions = 0;
  client.nc.subscribe(stage.names.workersSubject, { callback: () => void (questions += 1) });
  await client.nc.flush();
  expect(live.running).toBe(false);
  const seen: Frame[][] = [[], []];
  const ends = seen.map((list) => live.watch({ onFrame: (frame) => list.push(frame) }));
  await expect.poll(() => seen.map((list) => list.length), patient).toEqual([3, 3]);
  expect(seen[0]).toEqual(seen[1]);
  expect(questions).toBe(3);
  for (const end of ends) end();
  await expect.poll(() => live.running, patient).toBe(false);
  // All who want one frame meanwhile share it.
  const [one, other] = await Promise.all([live.frame(), live.frame()]);
  expect(one).toBe(other);
  await worker.stop();
}, 40_000);
