/** Limits: what is full says so to its senders, by name, and nobody else notices. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { Terminal } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage({ maxPayloadBytes: 32 * 1_024 });

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("one actor's full queue", () => {
  const full = (namespace: string, subject: string): object => ({
    name: "QueueFullError",
    code: "QUEUE_FULL",
    stream: `${namespace}_TASKS`,
    message: expect.stringMatching(
      new RegExp(
        `^The stream ${namespace}_TASKS takes no more for '${namespace}\\.task\\.${subject}' \\(.+\\); .+\\.$`,
      ),
    ),
  });

  test("refuses its messages and nobody else's, keeps what it has, and takes more once it is drained", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 5 } });
    const client = await stage.client();
    const seen: unknown[] = [];
    const Busy = actorOf({ name: "busy" }, (n) => void seen.push(n));
    for (const n of upTo(5)) await system.tell(Busy, n);
    const refusal = full(stage.namespace, "normal\\.busy");
    await expect(system.tell(Busy, 5)).rejects.toMatchObject(refusal);
    await expect(system.tell("busy", 5)).rejects.toMatchObject(refusal);
    await expect(system.ask(Busy, 5, { timeout: "20s" }), "an ask does not wait in vain").rejects.toMatchObject(
      refusal,
    );
    await system.tell("other", 1);
    await system.tell("busy.too", 1);
    await system.tell(Busy, "urgent", { lane: "high" });
    await system.tell(Busy, "later", { delay: "1h" });
    await system.publish("busy", 1);
    expect(await client.count(stage.names.tasks)).toBe(8);

    const recorder = record(await system.work([Busy]));
    await recorder.until("completed", 6);
    expect(seen.filter((n) => typeof n === "number")).toEqual(upTo(5));
    for (const n of upTo(5)) await system.tell(Busy, n);
    await recorder.until("completed", 11);
  });

  test("is told to tellMany for each message that did not fit, by index, and the rest is stored", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 10 } });
    const client = await stage.client();
    const { accepted, duplicates, failures } = await system.tellMany("busy", upTo(25), { id: (n) => `n${n}` });
    expect({ accepted, duplicates }).toEqual({ accepted: 10, duplicates: 0 });
    expect(failures.map(({ index }) => index)).toEqual(upTo(25).slice(10));
    for (const { error } of failures) expect(error).toMatchObject(full(stage.namespace, "normal\\.busy"));
    expect(await client.count(stage.names.tasks)).toBe(10);
  });

  test("names the limit that was reached", async () => {
    const system = await stage.connect({
      limits: { maxPerActor: 2, maxBytes: 50_000 },
      payload: { compressAbove: false },
    });
    await system.tellMany("busy", upTo(2));
    await expect(system.tell("busy", 3)).rejects.toMatchObject({
      limit: { messages: 2 },
      message: expect.stringContaining("2 messages"),
    });
    const large = "x".repeat(30_000);
    await system.tell("large", large, { codec: "json" });
    await expect(system.tell("large", large, { codec: "json" })).rejects.toMatchObject({
      code: "QUEUE_FULL",
      limit: { bytes: 50_000 },
      message: expect.stringContaining("50000 bytes"),
    });
  });

  test("slows a tellMany that was told to wait, which goes on by itself, loses nothing and holds little", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 100 } });
    const seen: number[] = [];
    const Busy = actorOf({ name: "busy", concurrency: 50 }, (n: number) => void seen.push(n));
    let taken = 0;
    function* bodies(): Generator<number> {
      for (const n of upTo(5_000)) {
        taken += 1;
        yield n;
      }
    }
    const sending = system.tellMany(Busy, bodies(), { id: (n) => `n${n}`, whenFull: "wait" });
    const client = await stage.client();
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(100);
    expect(taken, "no more bodies are taken than a window holds").toBeLessThan(5_000);
    const recorder = record(await system.work([Busy]));
    expect(await sending).toEqual({ accepted: 5_000, duplicates: 0, failures: [] });
    await recorder.until("completed", 5_000);
    expect(seen.toSorted((a, b) => a - b)).toEqual(upTo(5_000));
  });

  test.each([
    ["in messages", "small"],
    ["in the object store", randomBytes(50_000).toString("base64")],
  ])("lets a tellMany that waits with bodies %s end with its system", async (_where, body) => {
    const system = await stage.connect({ limits: { maxPerActor: 1 } });
    const sending = system.tellMany("busy", [body, body, body], { whenFull: "wait" });
    const client = await stage.client();
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(1);
    await system.close();
    const { accepted, failures } = await sending;
    expect(accepted).toBe(1);
    expect(failures.map(({ error }) => (error as { code?: string }).code)).toEqual(["CLOSED", "CLOSED"]);
  });

  test("refuses an unknown way to meet it", async () => {
    const system = await stage.connect();
    await expect(system.tellMany("busy", [1], { whenFull: "later" as "wait" })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining('"whenFull"'),
    });
    const mistyped = { whenFul: "wait" } as { whenFull?: "wait" };
    await expect(system.tellMany("busy", [1], mistyped)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(/^tellMany\(\) has no option "whenFul"; it takes .*"whenFull"\.$/),
    });
  });

  test("does not make a repeat of what it has an error", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 1 } });
    await system.tell("busy", 1, { id: "a" });
    expect(await system.tell("busy", 1, { id: "a" })).toMatchObject({ duplicate: true });
    await expect(system.tell("busy", 1, { id: "b" })).rejects.toMatchObject({ code: "QUEUE_FULL" });
  });

  test("does not use up the id of what it refused", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 1 } });
    const Busy = actorOf({ name: "busy" }, () => {});
    await system.tell("busy", 1, { id: "a" });
    await expect(system.tell("busy", 2, { id: "b" })).rejects.toMatchObject({ code: "QUEUE_FULL" });
    const recorder = record(await system.work([Busy]));
    await recorder.until("completed", 1);
    expect(await system.tell("busy", 2, { id: "b" })).toMatchObject({ id: "b", duplicate: false });
    await recorder.until("completed", 2);
  });

  test("counts what runs, since that is not done", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 2 } });
    const { opened, open } = gate();
    const Slow = actorOf({ name: "slow" }, () => opened);
    const recorder = record(await system.work([Slow]));
    await system.tell(Slow, 1);
    await system.tell(Slow, 2);
    await recorder.until("started", 2);
    await expect(system.tell(Slow, 3)).rejects.toMatchObject({ code: "QUEUE_FULL" });
    open();
    await recorder.until("completed", 2);
    await system.tell(Slow, 3);
    await recorder.until("completed", 3);
  });

  test("fails the run of a handler that sends to it, which is tried again", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 1 } });
    const Sink = actorOf({ name: "sink" }, () => {});
    const Parent = actorOf(
      { name: "parent", retry: { attempts: 50, base: 20, max: 20, jitter: "none" } },
      async (_, ctx) => {
        await ctx.tell(Sink, {});
      },
    );
    await system.tell("sink", "in the way");
    const recorder = record(await system.work([Parent]));
    await system.tell(Parent, {});
    const [retry] = await recorder.until("retry");
    expect(retry?.data.error).toMatchObject({ code: "QUEUE_FULL" });
    await system.work([Sink]);
    await recorder.until("completed");
  });

  test("keeps a dead letter where it is when its requeue finds no room", async () => {
    const system = await stage.connect({ limits: { maxPerActor: 1 } });
    const Doomed = actorOf({ name: "doomed" }, () => {
      throw new Terminal("no");
    });
    const worker = await system.work([Doomed]);
    const recorder = record(worker);
    await system.tell(Doomed, 1, { id: "d" });
    await recorder.until("dead");
    await worker.stop();
    await system.tell(Doomed, 2);
    const letter = await onlyDead(system);
    await expect(system.dead.requeue(letter.sequence)).rejects.toMatchObject({ code: "QUEUE_FULL" });
    expect(await onlyDead(system)).toMatchObject({ id: "d", sequence: letter.sequence });
  });
});

test("a full stream refuses everybody, by name, until there is room", async () => {
  const system = await stage.connect({ limits: { maxBytes: 100_000 } });
  const client = await stage.client();
  const body = "x".repeat(10_000);
  const { accepted, failures } = await system.tellMany(
    "one",
    upTo(20).map(() => body),
  );
  expect(accepted).toBeGreaterThan(5);
  expect(failures.length).toBe(20 - accepted);
  const refusal = {
    code: "QUEUE_FULL",
    stream: stage.names.tasks,
    message: expect.stringContaining(`The stream ${stage.names.tasks} takes no more for`),
  };
  for (const { error } of failures) expect(error).toMatchObject(refusal);
  await expect(system.tell("two", body)).rejects.toMatchObject(refusal);
  expect(await client.count(stage.names.tasks), "no old task was lost for a new one").toBe(accepted);
  const One = actorOf({ name: "one" }, () => {});
  const recorder = record(await system.work([One]));
  await recorder.until("completed", accepted);
  await system.tell("two", body);
});

describe("a message above the payload limit", () => {
  test("is refused before it is sent, with both sizes", async () => {
    const system = await stage.connect({ payload: { maxBytes: 32 * 1_024 } });
    const client = await stage.client();
    const limitBytes = 32 * 1_024;
    for (const send of [
      () => system.tell("big", "x".repeat(limitBytes)),
      () => system.tell("big", "x".repeat(limitBytes), { delay: "1h" }),
      () => system.ask("big", "x".repeat(limitBytes)),
      () => system.publish("big", "x".repeat(limitBytes)),
    ]) {
      await expect(send()).rejects.toMatchObject({
        name: "PayloadTooLargeError",
        code: "PAYLOAD_TOO_LARGE",
        limitBytes,
        sizeBytes: expect.any(Number),
        message: expect.stringMatching(
          /^The body for 't\d+\.(task\.normal|schedule|event)\.big\S*' has \d{5} bytes and payload\.maxBytes allows 32768; .+\.$/,
        ),
      });
    }
    const { accepted, failures } = await system.tellMany("big", ["x", "x".repeat(limitBytes), "y"]);
    expect(accepted).toBe(2);
    expect(failures).toMatchObject([{ index: 1, error: { code: "PAYLOAD_TOO_LARGE" } }]);
    expect(await client.lastSequence(stage.names.tasks)).toBe(2);
    expect(await client.lastSequence(stage.names.schedule)).toBe(0);
    expect(await client.lastSequence(stage.names.events)).toBe(0);
  });

  test("of the server counts its headers, and takes a body up to the last byte; one more travels beside the message", async () => {
    const system = await stage.connect({ payload: { compressAbove: false } });
    const client = await stage.client();
    const limitBytes = 32 * 1_024;
    const send = async (lengthBytes: number, id: string): Promise<number> => {
      const { sequence } = await system.tell("brim", "x".repeat(lengthBytes), { id, codec: "json" });
      const stored = await client.jsm.streams.getMessage(stage.names.tasks, { seq: sequence });
      return stored?.data.length ?? -1;
    };
    // In JSON a text has two bytes more than letters.
    const probe = await client.jsm.streams.getMessage(stage.names.tasks, {
      seq: (await system.tell("brim", "", { id: "a", codec: "json" })).sequence,
    });
    const headerBytes = Buffer.byteLength(
      `NATS/1.0\r\n${(probe?.header.keys() ?? []).map((name) => `${name}: ${probe?.header.get(name)}\r\n`).join("")}\r\n`,
    );
    const fits = limitBytes - headerBytes - 2;
    expect(await send(fits, "b")).toBe(fits + 2);
    expect(await send(fits + 1, "c")).toBe(0);
  });
});

test("a limit that is no positive whole number is refused", async () => {
  for (const limits of [{ maxPerActor: 0 }, { maxBytes: -1 }, { maxPerActor: 1.5 }, { maxBytes: "10GB" as never }]) {
    await expect(stage.connect({ limits })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(
        /^The options of ActorSystem\.connect\(\) cannot be used: "limits\.max\w+" must be /,
      ),
    });
  }
});
