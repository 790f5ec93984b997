/** A bucket or stream that is deleted under a running system: a bucket is made again, or it is named, and nothing stops that does not need it. */
import { describe, test } from "vitest";
import type { SystemOptions } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { consult, said } from "../support/doctor/consult.ts";
import { logged } from "../support/logged.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const retry = { base: 1, max: 1, jitter: "none" } as const;

/** Fails once for an input of -1. */
const actor = (name: string) =>
  actorOf<number>({ name, concurrency: 2, ackWait: "2s", retry, result: { ttl: "1m" } }, (input, ctx) => {
    if (input === -1 && ctx.attempt === 1) throw new Error("once more");
    return input;
  });

const buckets = ["results", "runs", "limits", "breakers", "once", "workers"];

async function missingBuckets(): Promise<string[]> {
  const found = await streams();
  return buckets.filter((bucket) => !found.includes(`KV_${stage.namespace}_${bucket}`));
}

async function drop(stream: string): Promise<void> {
  const { jsm } = await stage.client();
  await jsm.streams.delete(stream);
}

async function streams(): Promise<string[]> {
  const found: string[] = [];
  for await (const name of (await stage.client()).jsm.streams.names()) found.push(name);
  return found;
}

async function timed<T>(call: Promise<T>): Promise<number> {
  const beganMs = performance.now();
  await call;
  return performance.now() - beganMs;
}

describe.concurrent("a part that is deleted under a running system", () => {
  test("buckets that are deleted under a running worker are made again, as they were, without being needed", async ({
    expect,
  }) => {
    const { log, lines } = logged();
    const system = await stage.connect({ log, limits: { sizes: { runs: 50_000_000 } } });
    await system.work([actor("one")]);
    for (const bucket of buckets) await drop(`KV_${stage.namespace}_${bucket}`);
    await expect.poll(missingBuckets, patient).toEqual([]);
    const { jsm } = await stage.client();
    expect((await jsm.streams.info(`KV_${stage.names.runsBucket}`)).config.max_bytes).toBe(50_000_000);
    expect(lines()).toContainEqual(
      expect.objectContaining({ level: "warn", message: expect.stringContaining("is gone") }),
    );
    expect(system.endpoint.health(1_000)).toMatchObject({ reasons: [] });
  });

  test("without the runs bucket, which is made again, what fails goes on as well", async ({ expect }) => {
    const system = await stage.connect();
    const worker = await system.work([actor("one")]);
    const recorder = record(worker);
    await drop(`KV_${stage.names.runsBucket}`);
    await system.tell("one", -1);
    for (let n = 0; n < 20; n++) await system.tell("one", n);
    expect((await recorder.until("completed", 21, 10_000)).length).toBe(21);
  });

  test("a tell to an actor with results is accepted at once without the results bucket, and the bucket is made again", async ({
    expect,
  }) => {
    const system = await stage.connect();
    const One = actor("one");
    await drop(`KV_${stage.names.resultsBucket}`);
    expect(await timed(system.tell(One, 1, { id: "a" }))).toBeLessThan(5_000);
    await system.work([One]);
    expect(await system.result(One, "a", { wait: "10s" })).toEqual({ state: "completed", value: 1 });
  });

  const mayNot: SystemOptions = { provision: "check" };

  test("without the runs bucket, and no right to make it, only what fails waits; log, health and doctor name it", async ({
    expect,
  }) => {
    await stage.connect().then((system) => system.provision([actor("one")]));
    const { log, lines } = logged();
    const system = await stage.connect({ ...mayNot, log });
    const worker = await system.work([actor("one")]);
    const recorder = record(worker);
    const bucket = `KV_${stage.names.runsBucket}`;
    await drop(bucket);
    for (let n = 0; n < 4; n++) await system.tell("one", -1);
    for (let n = 0; n < 20; n++) await system.tell("one", n);
    await recorder.until("completed", 20, 10_000);
    const named = expect.stringContaining(`stream ${bucket} does not exist`);
    expect(system.endpoint.health(1_000)).toMatchObject({ healthy: false, restart: false, reasons: [named] });
    expect(lines().filter(({ level, stream }) => level === "error" && stream === bucket)).toHaveLength(1);
    expect(said(await consult(system), "stream-missing")).toMatchObject([{ level: "fault", subject: bucket }]);
    // Somebody who may makes it.
    await stage.connect();
    await recorder.until("completed", 24, 15_000);
    await expect.poll(() => system.endpoint.health(1_000).reasons, patient).toEqual([]);
  });

  test("without the results bucket, and no right to make it, tasks are accepted at once and completed", async ({
    expect,
  }) => {
    const One = actor("one");
    await stage.connect().then((system) => system.provision([One]));
    const system = await stage.connect(mayNot);
    const recorder = record(await system.work([One]));
    await drop(`KV_${stage.names.resultsBucket}`);
    for (let n = 0; n < 5; n++) expect(await timed(system.tell(One, n))).toBeLessThan(5_000);
    await recorder.until("completed", 5, 10_000);
  });

  test("a stream with work that is deleted is named at once, and not made by a running worker", async ({ expect }) => {
    const { log, lines } = logged();
    const system = await stage.connect({ log });
    await system.work([actor("one")]);
    await drop(stage.names.dead);
    await expect
      .poll(() => system.endpoint.health(60_000).reasons, { ...patient, timeout: 20_000 })
      .toEqual([expect.stringContaining(`stream ${stage.names.dead} is gone`)]);
    expect(lines().filter(({ level, stream }) => level === "error" && stream === stage.names.dead)).toHaveLength(1);
  });

  test("a bucket that is made again brings no other stream along, which may be about to be restored", async ({
    expect,
  }) => {
    const system = await stage.connect();
    await system.work([actor("one")]);
    await drop(stage.names.dead);
    await drop(`KV_${stage.names.runsBucket}`);
    await expect.poll(missingBuckets, patient).toEqual([]);
    expect(await streams()).not.toContain(stage.names.dead);
  });

  test("without the stream of dead letters, what dies holds no slot of what is healthy", async ({ expect }) => {
    const Fragile = actorOf<number>({ name: "fragile", concurrency: 1, retry: { attempts: 1 } }, (input) => {
      if (input < 0) throw new Error("as asked");
    });
    const system = await stage.connect();
    const recorder = record(await system.work([Fragile]));
    await drop(stage.names.dead);
    for (let n = 0; n < 3; n++) await system.tell(Fragile, -1);
    await system.tell(Fragile, 1);
    // In one slot they would wait for 30 s each.
    await recorder.until("completed", 1, 20_000);
    expect(recorder.of("dead")).toEqual([]);
  });

  test("several systems that miss the same buckets at once make each of them, and go on", async ({ expect }) => {
    const systems = await Promise.all([1, 2, 3].map(() => stage.connect()));
    const recorders = await Promise.all(systems.map(async (system) => record(await system.work([actor("one")]))));
    for (const bucket of buckets) await drop(`KV_${stage.namespace}_${bucket}`);
    await Promise.all(systems.flatMap((system) => [-1, 1, -1, 2].map((n) => system.tell("one", n))));
    await expect.poll(() => recorders.flatMap((one) => one.of("completed")).length, patient).toBe(12);
    await expect.poll(missingBuckets, patient).toEqual([]);
    for (const system of systems) expect(system.endpoint.health(60_000).reasons).toEqual([]);
  });
});
