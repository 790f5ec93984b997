/** Payloads on their way out: compressed where that helps, through the object store where they are too large, refused beyond the limit. */
import { randomBytes } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Terminal, type Context } from "../../src/index.ts";
import { decode } from "../../src/message/codec.ts";
import { defaultPayload } from "../../src/message/limits.ts";
import { actorOf } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage, type PlainClient } from "../support/stage.ts";

const maxPayloadBytes = 64 * 1_024;
const stage = useStage({ maxPayloadBytes });

/** Text that does not get much smaller. */
const noise = (length: number): string => randomBytes(length).toString("base64").slice(0, length);

/** No byte of it is more likely than another. */
const incompressible = new Uint8Array(randomBytes(20_000));

/** Byte arrays come back as Buffers, which are byte arrays. */
function same(one: unknown, other: unknown): boolean {
  return other instanceof Uint8Array ? Buffer.from(other).equals(one as Uint8Array) : one === other;
}

/** The names of the bodies in the object store, of those that are deleted none. */
async function bodies(client: PlainClient): Promise<string[]> {
  const stream = `OBJ_${stage.names.payloadsBucket}`;
  const { state } = await client.jsm.streams.info(stream, { subjects_filter: "$O.*.C.>" });
  return Object.keys(state.subjects ?? {});
}

describe("a body above the threshold", () => {
  test("is compressed, and comes out as it went in; a smaller one, and one that would not get smaller, are not", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: unknown[] = [];
    const recorder = record(
      await system.work([actorOf({ name: "text", concurrency: 1 }, (input) => void seen.push(input))]),
    );
    const bodyOf = async (sequence: number) => client.jsm.streams.getMessage(stage.names.tasks, { seq: sequence });
    const sent: unknown[] = [];
    for (const [text, compressed] of [
      ["x".repeat(16_000), false],
      ["x".repeat(20_000), true],
      ["é".repeat(100_000), true],
      [incompressible, false],
    ] as const) {
      const { sequence } = await system.tell("other", text);
      const stored = await bodyOf(sequence);
      expect(stored?.header.get("Content-Encoding")).toBe(compressed ? "gzip" : "");
      const bytes = compressed ? gunzipSync(stored?.data ?? "") : (stored?.data ?? new Uint8Array());
      expect(same(decode(bytes, "application/msgpack"), text)).toBe(true);
      expect((stored?.data.length ?? 0) < 1_000).toBe(compressed);
      await system.tell("text", text);
      sent.push(text);
    }
    await recorder.until("completed", sent.length);
    expect(seen.map((one, n) => same(one, sent[n]))).toEqual([true, true, true, true]);
  });

  test("is compressed as the actor says, else as the system does, whatever sends it", async () => {
    const system = await stage.connect({ payload: { compressAbove: false }, codec: "json" });
    const client = await stage.client();
    const Small = actorOf({ name: "small", payload: { compressAbove: 100 } }, (input) => input);
    const text = "x".repeat(5_000);
    await system.tell("plain", text);
    await system.tell(Small, text);
    await system.tell(Small, text, { delay: "1h", id: "later" });
    await system.tellMany(Small, [text, "x"]);
    await system.publish("plain", text);
    const encodings: unknown[] = [];
    for (const [stream, sequence] of [
      [stage.names.tasks, 1],
      [stage.names.tasks, 2],
      [stage.names.schedule, 1],
      [stage.names.tasks, 3],
      [stage.names.tasks, 4],
      [stage.names.events, 1],
    ] as const) {
      const stored = await client.jsm.streams.getMessage(stream, { seq: sequence });
      encodings.push(stored?.header.get("Content-Encoding"));
    }
    expect(encodings).toEqual(["", "gzip", "gzip", "gzip", "", ""]);
    await system.work([Small]);
    expect(await system.ask(Small, text)).toBe(text);
  });

  test("is sent by tellMany in any number and size, and each comes out", async () => {
    const system = await stage.connect();
    let count = 0;
    const Text = actorOf<{ n: number; text: string }>({ name: "text", concurrency: 50 }, ({ n, text }) => {
      if (text.length === n * 700) count += 1;
    });
    const recorder = record(await system.work([Text]));
    const { accepted, failures } = await system.tellMany(
      "text",
      Array.from({ length: 300 }, (_, n) => ({ n, text: "y".repeat(n * 700) })),
    );
    expect({ accepted, failures }).toEqual({ accepted: 300, failures: [] });
    await recorder.until("completed", 300);
    expect(count).toBe(300);
  });
});

describe("a body too large for a message", () => {
  test("travels through the object store, whatever sends it, and leaves nothing there once its task is done", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: string[] = [];
    const Large = actorOf<{ text: string }>({ name: "large" }, ({ text }) => {
      seen.push(text);
      return text.length;
    });
    const text = noise(300_000);
    const { sequence } = await system.tell(Large, { text }, { id: "one" });
    const stored = await client.jsm.streams.getMessage(stage.names.tasks, { seq: sequence });
    expect(stored?.data).toHaveLength(0);
    expect(stored?.header.get("Godwit-Body-Object")).toMatch(/^[A-Za-z0-9_-]{24}$/);
    expect(await bodies(client)).toHaveLength(1);
    expect(await system.tell(Large, { text }, { id: "one" })).toMatchObject({ duplicate: true });
    await expect.poll(() => bodies(client), patient).toHaveLength(1);

    const recorder = record(await system.work([Large]));
    await recorder.until("completed", 1);
    await system.tell(Large, { text }, { delay: 50 });
    expect(await system.ask(Large, { text })).toBe(300_000);
    const many = await system.tellMany(Large, [{ text }, { text: "small" }, { text }]);
    expect(many).toEqual({ accepted: 3, duplicates: 0, failures: [] });
    await recorder.until("completed", 6);
    expect(seen.filter((one) => one === text)).toHaveLength(5);
    await expect.poll(() => bodies(client), patient).toEqual([]);
  });

  test("of an event stays for its other readers", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: unknown[] = [];
    const reader = (name: string) =>
      actorOf({ name, subscribe: ["large.one"] }, (input, ctx: Context) => void seen.push([ctx.actor, input]));
    const first = await system.work([reader("a"), reader("b")]);
    const recorder = record(first);
    const text = noise(200_000);
    await system.publish("large.one", text);
    await recorder.until("completed", 2);
    const late = record(await system.work([actorOf({ name: "c", subscribe: ["large.one"], from: "all" }, () => {})]));
    await late.until("completed");
    expect(seen).toHaveLength(2);
    expect(seen).toEqual(
      expect.arrayContaining([
        ["a", text],
        ["b", text],
      ]),
    );
    expect(await bodies(client)).toHaveLength(1);
  });

  test("becomes a dead letter whole, is shown, requeued and done", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let broken = true;
    const seen: string[] = [];
    const Large = actorOf<string>({ name: "large" }, (text) => {
      if (broken) throw new Terminal("not now");
      seen.push(text);
    });
    const recorder = record(await system.work([Large]));
    const text = noise(200_000);
    await system.tell(Large, text, { id: "one" });
    await recorder.until("dead");
    // The dead letter has a copy, which does not depend on the object's life.
    await expect.poll(() => bodies(client), patient).toEqual([]);
    const { sequence } = await onlyDead(system);
    const shown = await system.dead.show(sequence);
    expect(decode(gunzipSync(shown.body), "application/msgpack")).toBe(text);
    broken = false;
    await system.dead.requeue(sequence);
    await recorder.until("completed");
    expect(seen).toEqual([text]);
    expect(await listDead(system)).toEqual([]);
    await expect.poll(() => bodies(client), patient).toEqual([]);
  });

  test("of a task that is retried is there for each run", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const text = noise(100_000);
    let runs = 0;
    const retry = { base: 10, max: 10, jitter: "none" } as const;
    const Large = actorOf<string>({ name: "large", retry }, (input) => {
      runs += 1;
      if (input !== text) throw new Terminal("another body");
      if (runs < 3) throw new Error("again");
    });
    const recorder = record(await system.work([Large]));
    await system.tell(Large, text);
    await recorder.until("completed");
    expect(runs).toBe(3);
    await expect.poll(() => bodies(client), patient).toEqual([]);
  });

  test("of 50 MB travels, and its object is gone after the expiry", async () => {
    const system = await stage.connect({ payload: { compressAbove: false } });
    const client = await stage.client();
    const body = randomBytes(50_000_000);
    const equal: boolean[] = [];
    const reader = (name: string) =>
      actorOf<Uint8Array>({ name, subscribe: ["huge"] }, (input) => void equal.push(body.equals(input)));
    const recorder = record(await system.work([reader("a"), reader("b")]));
    await system.publish("huge", body);
    await recorder.until("completed", 2, 40_000);
    expect(equal).toEqual([true, true]);
    const name = `OBJ_${stage.names.payloadsBucket}`;
    expect((await client.jsm.streams.info(name)).state.bytes).toBeGreaterThan(50_000_000);
    const impatient = await stage.connect({ payload: { maxAge: "1s" } });
    await impatient.tell("other", noise(100_000));
    await expect.poll(async () => (await client.jsm.streams.info(name)).state.bytes, patient).toBe(0);
  });

  test("is gone after its expiry: its task is a dead letter that says so", async () => {
    const system = await stage.connect({ payload: { maxAge: "1s" } });
    const client = await stage.client();
    await system.tell("large", noise(200_000), { id: "late" });
    expect(await bodies(client)).toHaveLength(1);
    await expect.poll(() => client.count(`OBJ_${stage.names.payloadsBucket}`), patient).toBe(0);
    const recorder = record(await system.work([actorOf({ name: "large" }, () => {})]));
    const [dead] = await recorder.until("dead");
    expect(dead?.data).toMatchObject({ id: "late", reason: "undecodable", attempt: 0 });
    expect(dead?.data.error.message).toMatch(/^The body, the object \S{24}, is gone from the object store: .*\.$/);
    // What was left of it says where the body was.
    const shown = await system.dead.show((await onlyDead(system)).sequence);
    expect(Object.fromEntries(shown.headers)["Godwit-Body-Object"]).toHaveLength(1);
  });

  test("whose bytes are gone, or others, though its entry is there, is a dead letter too", async () => {
    const system = await stage.connect({ payload: { compressAbove: false } });
    const client = await stage.client();
    const stream = `OBJ_${stage.names.payloadsBucket}`;
    const Large = actorOf<string>({ name: "large", concurrency: 1 }, () => {});
    await system.tell(Large, "x".repeat(100_000));
    await client.jsm.streams.purge(stream, { filter: `$O.${stage.names.payloadsBucket}.C.>` });
    await system.tell(Large, "x".repeat(100_000));
    const [chunks = ""] = await bodies(client);
    await client.jsm.streams.purge(stream, { filter: chunks });
    await client.publish(chunks, "y".repeat(50_005));
    await client.publish(chunks, "y".repeat(50_000));
    const recorder = record(await system.work([Large]));
    const dead = await recorder.until("dead", 2);
    expect(dead.map(({ data }) => data.error.message)).toEqual([
      expect.stringMatching(/^The body, the object \S+, is gone from the object store: /),
      expect.stringMatching(/^The body, the object \S+, is damaged; send it again\.$/),
    ]);
  });

  test("whose bucket somebody deleted is gone; the bucket is made again for others", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Large = actorOf<string>({ name: "large", concurrency: 1 }, () => {});
    await system.tell(Large, noise(100_000), { id: "gone" });
    await client.jsm.streams.delete(`OBJ_${stage.names.payloadsBucket}`);
    const recorder = record(await system.work([Large]));
    const [dead] = await recorder.until("dead");
    expect(dead?.data).toMatchObject({ id: "gone", reason: "undecodable" });
    await system.tell(Large, noise(100_000));
    await recorder.until("completed");
  });

  test("is refused where it would be gone before its delay is over, and beyond payload.maxBytes; nothing is stored", async () => {
    const system = await stage.connect({ payload: { maxAge: "1h", maxBytes: 500_000 } });
    const client = await stage.client();
    const Tiny = actorOf({ name: "tiny", payload: { maxBytes: 100 } }, () => {});
    const refusal = (pattern: RegExp) => ({ code: "PAYLOAD_TOO_LARGE", message: expect.stringMatching(pattern) });
    await expect(system.tell("large", noise(100_000), { delay: "2h" })).rejects.toMatchObject(
      refusal(/gone from the object store after 3600000 ms, before its delay is over/),
    );
    const limit = refusal(/^The body for '\S+' has \d+ bytes and payload\.maxBytes allows 500000; .*\.$/);
    // However small it would be when compressed: who receives it expands it.
    for (const send of [
      () => system.tell("large", "x".repeat(500_001)),
      () => system.ask("large", "x".repeat(500_001)),
      () => system.publish("large", "x".repeat(500_001)),
      () => system.tell("large", "x".repeat(500_001), { delay: "1m" }),
    ])
      await expect(send()).rejects.toMatchObject(limit);
    await expect(system.tell(Tiny, "x".repeat(101))).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      limitBytes: 100,
    });
    const many = await system.tellMany("large", ["a", "x".repeat(500_001), "b"]);
    expect(many).toMatchObject({ accepted: 2, failures: [{ index: 1, error: limit }] });
    expect(await client.lastSequence(stage.names.schedule)).toBe(0);
  });

  test("is refused at once where its headers are too large too, or where the object store has no room", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const headers = { "X-Long": "x".repeat(maxPayloadBytes) };
    await expect(system.tell("large", null, { headers })).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      limitBytes: maxPayloadBytes,
    });
    await expect.poll(() => bodies(client), patient).toEqual([]);
    const name = `OBJ_${stage.names.payloadsBucket}`;
    const { config } = await client.jsm.streams.info(name);
    await client.jsm.streams.update(name, { ...config, max_bytes: 50_000 });
    await expect(system.tell("large", noise(200_000))).rejects.toMatchObject({
      code: "PAYLOAD_TOO_LARGE",
      message: expect.stringMatching(/the object store t\d+_payloads did not take its \d+ bytes \(.*maximum bytes.*\)/),
    });
    expect(await client.lastSequence(stage.names.tasks)).toBe(0);
  });

  test("has the life that the system was given last", async () => {
    const client = await stage.client();
    const stream = `OBJ_${stage.names.payloadsBucket}`;
    const ages: number[] = [];
    for (const maxAge of ["1h", "2h"] as const) {
      const system = await stage.connect({ payload: { maxAge } });
      await system.tell("large", noise(100_000));
      ages.push((await client.jsm.streams.info(stream)).config.max_age / 3_600e9);
    }
    expect(ages).toEqual([1, 2]);
  });
});

test("a dead letter as large as any body that is taken can be opened", async () => {
  const system = await stage.connect({ payload: { compressAbove: false } });
  const Doomed = actorOf({ name: "doomed" }, () => {
    throw new Terminal("no");
  });
  const recorder = record(await system.work([Doomed]));
  // With its five bytes of MessagePack before it as large as may be; the letter has headers besides.
  const body = new Uint8Array(defaultPayload.maxBytes - 5).fill(7);
  await system.tell("doomed", body);
  await recorder.until("dead", 1, 60_000);
  const { sequence } = await onlyDead(system);
  const opened = await system.dead.show(sequence);
  expect(opened.body.length).toBe(defaultPayload.maxBytes);
});
