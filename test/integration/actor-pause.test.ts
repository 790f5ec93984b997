/** An actor paused for the whole fleet, and resumed. */
import { expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import type { ActorConfig, ActorSystem } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

/** Resolves when whatever was sent before could have been delivered: a later message of another actor was. */
async function marker(system: ActorSystem): Promise<void> {
  const worker = await system.work([actorOf({ name: "marker" }, () => "here")]);
  await system.ask("marker", 1);
  await worker.stop();
}

/** An actor that notes what it ran; `first` fails once, `slow` waits for the gate. */
function noting(ran: unknown[], config: Partial<ActorConfig> = {}, held = gate()) {
  const own: ActorConfig = { name: "a.b", retry: { base: 50, jitter: "none" }, ...config };
  return actorOf(own, async (input, ctx) => {
    ran.push(input);
    if (input === "slow") await held.opened;
    if (input === "first" && ctx.attempt === 1) throw new Error("once");
  });
}

test("what runs goes on, what comes and what is to be tried again waits, and all of it runs when it is resumed", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  const ran: unknown[] = [];
  const held = gate();
  const worker = await system.work([noting(ran, { retry: { base: 400, jitter: "none" } }, held)]);
  const seen = record(worker);
  await system.tell("a.b", "slow");
  await system.tell("a.b", "first");
  await seen.until("retry");
  expect(await inspector.pause("a.b")).toEqual({
    actor: "a.b",
    durables: [
      { stream: stage.names.tasks, durable: "a=2Eb" },
      { stream: stage.names.schedule, durable: "a=2Eb" },
    ],
  });
  expect((await inspector.durables()).map(({ pausedUntilMs }) => pausedUntilMs)).toEqual([
    Date.UTC(2200, 0, 1),
    Date.UTC(2200, 0, 1),
  ]);
  held.open();
  await seen.until("completed");
  await system.tell("a.b", "second");
  await system.tell("a.b", "third", { delay: 1 });
  // Its time has come, and so has that of the retry, which was stored before it.
  const { reader } = system.parts;
  await expect.poll(() => reader.count(stage.names.schedule, stage.names.dueSubject("a.b")), patient).toBe(1);
  await system.tell("timer", 1, { delay: 600 });
  await expect.poll(() => reader.count(stage.names.schedule, stage.names.dueSubject("timer")), patient).toBe(1);
  await marker(system);
  expect(ran).toEqual(["slow", "first"]);
  expect(await inspector.resume("a.b")).toMatchObject({ actor: "a.b", was: true });
  await seen.until("completed", 4);
  expect(ran.map(String).toSorted()).toEqual(["first", "first", "second", "slow", "third"]);
  expect(await inspector.resume("a.b")).toMatchObject({ was: false });
});

test("it outlives every worker, and holds for one with other settings and for durables that are new", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  const ran: unknown[] = [];
  await (await system.work([noting(ran)])).stop();
  await inspector.pause("a.b");
  const changed = noting(ran, { ackWait: "20s", lanes: ["high"], subscribe: ["orders.placed"] });
  const worker = await system.work([changed]);
  const seen = record(worker);
  await system.tell("a.b", "normal");
  await system.tell("a.b", "high", { lane: "high" });
  await system.publish("orders.placed", "event");
  await marker(system);
  expect(ran).toEqual([]);
  expect((await inspector.durables()).filter(({ actor }) => actor === "a.b").map((one) => one.pausedUntilMs)).toEqual(
    Array(4).fill(Date.UTC(2200, 0, 1)),
  );
  await inspector.resume("a.b");
  await seen.until("completed", 3);
  expect(ran.map(String).toSorted()).toEqual(["event", "high", "normal"]);
});

test("it ends by itself when its time is over, and a second one replaces the first", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  const ran: unknown[] = [];
  const worker = await system.work([noting(ran)]);
  const seen = record(worker);
  const long = await inspector.pause("a.b", { for: "1h" });
  expect(Date.parse(long.until ?? "") - Date.now()).toBeGreaterThan(3_500_000);
  const before = Date.now();
  const { until } = await inspector.pause("a.b", { for: 700 });
  await system.tell("a.b", 1);
  await seen.until("started");
  expect(Date.now()).toBeGreaterThanOrEqual(before + 690);
  expect(Date.parse(until ?? "")).toBeLessThanOrEqual(Date.now());
  expect((await inspector.durables()).every((durable) => durable.pausedUntilMs === undefined)).toBe(true);
});

test("refuses what it cannot do", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  for (const call of [() => inspector.pause("no.one"), () => inspector.resume("no.one")]) {
    await expect(call()).rejects.toMatchObject({ code: "NOT_FOUND", message: expect.stringContaining("no.one") });
  }
  await expect(inspector.pause("no one")).rejects.toMatchObject({ code: "INVALID_NAME" });
  await (await system.work([noting([])])).stop();
  await expect(inspector.pause("a.b", { for: 0 })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
  await expect(inspector.pause("a.b", { for: "soon" as never })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
});
