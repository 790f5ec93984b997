/** Clocks: what a host's clock shows decides neither when a message expires nor when a delayed one is due. */
import { afterEach, describe, expect, test, vi } from "vitest";
import type { ActorSystem } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { record, type Recorder } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const hostNow = Date.now.bind(Date);

/** This host's clock is ahead by so much, or behind, until the test ends. */
function skew(ms: number): void {
  vi.spyOn(Date, "now").mockImplementation(() => hostNow() + ms);
}
afterEach(() => void vi.restoreAllMocks());

const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function work(
  system: ActorSystem,
  onRun: (spanHeader: string | undefined) => void = () => {},
): Promise<Recorder> {
  return record(
    await system.work([actorOf({ name: "sink" }, (_input, ctx) => onRun(ctx.headers.get("Godwit-Expires-In")))]),
  );
}

describe("a message with an expiry", () => {
  test.each([60_000, -60_000])("is run by a worker whose clock is off by %i ms, while there is time", async (offMs) => {
    const system = await stage.connect();
    await system.tell("sink", 1, { expiresIn: "30s" });
    skew(offMs);
    const recorder = await work(await stage.connect());
    expect(await recorder.until("completed")).toHaveLength(1);
  });

  test("is not run after its time by a worker whose clock is behind", async () => {
    const system = await stage.connect();
    await system.tell("sink", 1, { expiresIn: 50 });
    await after(500);
    skew(-60_000);
    const recorder = await work(await stage.connect());
    expect((await recorder.until("dead"))[0]?.data).toMatchObject({ reason: "expired" });
  });

  test.each([60_000, -60_000])("of a sender whose clock is off by %i ms lives as long as any other", async (offMs) => {
    skew(offMs);
    const system = await stage.connect();
    await system.tell("sink", 1, { expiresIn: "30s" });
    await system.tell("sink", 2, { expiresIn: 50, id: "short" });
    vi.restoreAllMocks();
    await after(500);
    const recorder = await work(await stage.connect());
    expect(await Promise.all([recorder.until("completed"), recorder.until("dead")])).toMatchObject([[{}], [{}]]);
  });

  test.each([60_000, -60_000])("tells its age, where the host's clock is off by %i ms too", async (offMs) => {
    skew(offMs);
    const ages: number[] = [];
    const system = await stage.connect();
    const worker = await system.work([actorOf({ name: "sink" }, (_input, ctx) => void ages.push(ctx.ageMs))]);
    await system.tell("sink", 1);
    await record(worker).until("completed");
    expect(ages[0]).toBeGreaterThan(0);
    expect(ages[0]).toBeLessThan(30_000);
  });

  test("of a sender of before, in that one's wall-clock time, still expires", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const subject = stage.names.taskSubject("sink", "normal");
    await client.publish(subject, "1", { "Godwit-Expires": String(hostNow() - 1_000) });
    await client.publish(subject, "1", { "Godwit-Expires": String(hostNow() + 60_000) });
    const recorder = await work(system);
    expect(await Promise.all([recorder.until("completed"), recorder.until("dead")])).toMatchObject([[{}], [{}]]);
  });

  test("that died of it is run when it is sent again", async () => {
    const system = await stage.connect();
    await system.tell("sink", 1, { expiresIn: 1 });
    await after(200);
    const recorder = await work(system);
    await recorder.until("dead");
    for await (const { sequence } of system.dead.list()) await system.dead.requeue(sequence);
    expect(await recorder.until("completed")).toHaveLength(1);
  });
});

describe("a delayed message", () => {
  test.each([60_000, -60_000])("of a sender whose clock is off by %i ms is due when it should be", async (offMs) => {
    skew(offMs);
    const system = await stage.connect();
    const recorder = await work(system);
    const sentMs = performance.now();
    await system.tell("sink", 1, { delay: 1_500 });
    const { accepted } = await system.tellMany("sink", [2, 3], { delay: 1_500 });
    expect(accepted).toBe(2);
    await recorder.until("completed", 3);
    const tookMs = performance.now() - sentMs;
    expect(tookMs).toBeGreaterThan(1_300);
    expect(tookMs).toBeLessThan(20_000);
  });

  test("expires by the time since it was due", async () => {
    const system = await stage.connect();
    const spans: unknown[] = [];
    const recorder = await work(system, (span) => void spans.push(span));
    await system.tell("sink", 1, { delay: 2_000, expiresIn: 1_900 });
    expect(await recorder.until("completed")).toHaveLength(1);
    expect(spans).toEqual(["1900"]);
    await system.tell("later", 1, { delay: 200, expiresIn: 100 });
    await after(1_500);
    const late = record(await system.work([actorOf({ name: "later" }, () => {})]));
    expect((await late.until("dead"))[0]?.data).toMatchObject({ reason: "expired" });
  });
});
