/** Dead letters: a message given up on is kept whole, with why and where from, and can be sent again. */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import { describe, expect, test } from "vitest";
import { Terminal, type ActorSystem, type Context, type DeadInfo } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage, type PlainClient } from "../support/stage.ts";
import { placeLike } from "../support/place.ts";

const stage = useStage({ maxPayloadBytes: 256 * 1_024 });

const whole = (body: Uint8Array): string => Buffer.from(body).toString("hex");

/** JSON as large as the server takes it, without any header. */
function largestBody(client: PlainClient): Buffer {
  const limitBytes = client.nc.info?.max_payload ?? 0;
  const text = randomBytes(limitBytes).toString("base64");
  return Buffer.from(JSON.stringify(text.slice(0, limitBytes - 2)));
}

describe("a dead letter", () => {
  test("has the body byte for byte, the headers, the reason, every error and the origin", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Doomed = actorOf({ name: "pay.doomed", retry: { attempts: 3, base: 1 } }, (_input, ctx) => {
      throw new TypeError(`failure ${ctx.attempt}`);
    });
    const recorder = record(await system.work([Doomed]));
    const bytes = Buffer.from('{"spaced" :  [1,2,  3.0], "ünï":"✓"}');
    const sequence = await client.publish(stage.names.taskSubject("pay.doomed", "high"), bytes, {
      "Godwit-Id": "order 7",
      "X-Tenant": "acmé",
    });
    await recorder.until("dead");
    const letter = await onlyDead(system);
    expect(letter).toMatchObject({
      id: "order 7",
      actor: "pay.doomed",
      reason: "exhausted",
      error: { name: "TypeError", message: "failure 3" },
      origin: { stream: stage.names.tasks, sequence, subject: `${stage.namespace}.task.high.pay.doomed` },
      attempts: 3,
      deliveries: 3,
      stalls: 0,
    });
    expect(letter.history.map(({ attempt, name, message }) => [attempt, name, message])).toEqual([
      [1, "TypeError", "failure 1"],
      [2, "TypeError", "failure 2"],
      [3, "TypeError", "failure 3"],
    ]);
    const { at: firstAt = 0 } = letter.history[0] ?? {};
    expect(Date.parse(letter.origin.storedAt)).toBeLessThanOrEqual(firstAt);
    expect(Date.parse(letter.diedAt)).toBeGreaterThanOrEqual(letter.history[2]?.at ?? Infinity);
    const shown = await system.dead.show(letter.sequence);
    expect(whole(shown.body)).toBe(whole(bytes));
    expect(Object.fromEntries(shown.headers)).toEqual({ "Godwit-Id": ["order 7"], "X-Tenant": ["acmé"] });
    expect(await client.count(stage.names.tasks), "it has left the queue").toBe(0);
    const kept = await client.last(
      stage.names.dead,
      stage.names.deadSubject("pay.doomed", stage.names.tasks, sequence),
    );
    expect(whole(kept?.data ?? new Uint8Array())).toBe(whole(bytes));
  });

  test("has the stack of the last error and of its causes, and the record of its runs has not", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let runs: string | undefined;
    const unluckyHandler = (): never => {
      const cause = new RangeError("too far", { cause: "a wall" });
      cause.cause = Object.assign(new Error("root"), { cause }); // Round and round.
      throw new TypeError("outer", { cause });
    };
    const Doomed = actorOf({ name: "traced", retry: { attempts: 2, base: 1 } }, unluckyHandler, {
      onDead: async () => {
        const { runsBucket } = stage.names;
        runs = (await client.last(`KV_${runsBucket}`, `$KV.${runsBucket}.>`))?.string();
      },
    });
    const recorder = record(await system.work([Doomed]));
    await system.tell(Doomed, {}, { id: "t1" });
    await client.publish(stage.names.taskSubject("traced"), "{", { "Godwit-Id": "bad" });
    await recorder.until("dead", 2);
    const { stack } = await onlyDead(system, { id: "t1" });
    expect(stack).toMatch(
      /^TypeError: outer\n    at unluckyHandler [^]*\ncaused by: RangeError: too far\n    at unluckyHandler [^]*/,
    );
    expect(stack?.length).toBeLessThanOrEqual(2_000);
    expect(await onlyDead(system, { id: "bad" }), "no handler ran").not.toHaveProperty("stack");
    expect(runs).toContain("outer");
    expect(runs).not.toContain("unluckyHandler");
  });

  test("is stored once, however often it is buried", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let deaths = 0;
    const Doomed = actorOf(
      { name: "once" },
      () => {
        throw new Terminal("no");
      },
      { onDead: () => void (deaths += 1) },
    );
    const subject = stage.names.deadSubject("once", stage.names.tasks, 1);
    await system.tell("once", {}, { id: "m" });
    const task = await client.last(stage.names.tasks, stage.names.taskSubject("once"));
    // Somebody (a worker that died before its ack) has buried it already.
    const info: DeadInfo = {
      v: 1,
      id: "m",
      actor: "once",
      reason: "terminal",
      error: { name: "Terminal", message: "no" },
      origin: {
        stream: stage.names.tasks,
        sequence: 1,
        subject: stage.names.taskSubject("once"),
        storedAt: task?.time.toISOString() ?? "never",
      },
      diedAt: new Date().toISOString(),
      attempts: 1,
      deliveries: 1,
      stalls: 0,
      history: [],
    };
    await client.publish(subject, "earlier", { "Godwit-Dead": JSON.stringify(info) });
    const recorder = record(await system.work([Doomed]));
    await recorder.until("dead");
    expect(await client.count(stage.names.dead)).toBe(1);
    expect((await client.last(stage.names.dead, subject))?.string()).toBe("earlier");
    expect(await client.count(stage.names.tasks)).toBe(0);
    expect(deaths).toBe(1);
  });

  test("keeps what does not decode, and what does not fit the schema, without a run", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let runs = 0;
    let deaths = 0;
    const Strict = actorOf({ name: "strict", input: z.object({ n: z.number() }) }, () => void (runs += 1), {
      onDead: () => void (deaths += 1),
    });
    const recorder = record(await system.work([Strict]));
    const subject = stage.names.taskSubject("strict");
    const bad: Record<string, { body: Buffer; type?: string; reason: string }> = {
      "cut-json": { body: Buffer.from('{"n": 1'), reason: "undecodable" },
      empty: { body: Buffer.alloc(0), reason: "undecodable" },
      "not-utf8": { body: Buffer.from([0x22, 0xff, 0xfe, 0x22]), reason: "undecodable" },
      "cut-msgpack": { body: Buffer.from([0x81, 0xa1, 0x6e]), type: "application/msgpack", reason: "undecodable" },
      noise: { body: randomBytes(2_000), type: "application/msgpack", reason: "undecodable" },
      "unknown-type": { body: Buffer.from('{"n":1}'), type: "text/xml", reason: "undecodable" },
      "wrong-shape": { body: Buffer.from('{"n":"one"}'), reason: "invalid" },
      "no-object": { body: Buffer.from("null"), reason: "invalid" },
    };
    // Noise could by chance begin with one whole value, but not be one.
    for (const [id, { body, type }] of Object.entries(bad)) {
      await client.publish(subject, body, { "Godwit-Id": id, ...(type && { "Content-Type": type }) });
    }
    const dead = await recorder.until("dead", Object.keys(bad).length);
    expect(Object.fromEntries(dead.map(({ data }) => [data.id, data.reason]))).toEqual(
      Object.fromEntries(Object.entries(bad).map(([id, { reason }]) => [id, reason])),
    );
    for (const { data } of dead) expect(data).toMatchObject({ deliveries: 1, attempt: 0 });
    const kept: Record<string, string> = {};
    for (const letter of await listDead(system)) {
      kept[letter.id] = whole((await system.dead.show(letter.sequence)).body);
      expect(letter).toMatchObject({ attempts: 0, history: [] });
    }
    expect(kept).toEqual(Object.fromEntries(Object.entries(bad).map(([id, { body }]) => [id, whole(body)])));
    const invalid = await onlyDead(system, { id: "wrong-shape" });
    expect(invalid.error.message).toContain("message for strict does not fit its schema: n:");
    expect(runs).toBe(0);
    expect(deaths, "there is no input to hand to onDead").toBe(0);
    expect(recorder.of("retry")).toEqual([]);
  });

  test('with onInvalid: "retry" waits for a worker that knows the new shape', async () => {
    const system = await stage.connect();
    const retry = { attempts: 20, base: 100, jitter: "none", backoff: "fixed" } as const;
    const seen: unknown[] = [];
    const Old = actorOf({ name: "rolling", input: z.object({ v: z.literal(1) }), onInvalid: "retry", retry }, () => {});
    const New = actorOf(
      { name: "rolling", input: z.object({ v: z.literal(2) }), onInvalid: "retry", retry },
      (input) => void seen.push(input),
    );
    const old = await system.work([Old]);
    const before = record(old);
    await system.tell("rolling", { v: 2 });
    const [refused] = await before.until("retry");
    expect(refused?.data).toMatchObject({ error: { code: "INVALID_MESSAGE" }, delayMs: 100, attempt: 0 });
    await old.stop();
    const after = record(await system.work([New]));
    await after.until("completed");
    expect(seen).toEqual([{ v: 2 }]);
    expect(await listDead(system)).toEqual([]);
  });

  test('with onInvalid: "retry" is made in the end, as invalid; undecodable bytes are dead at once all the same', async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Strict = actorOf(
      { name: "patient", input: z.object({ n: z.number() }), onInvalid: "retry", retry: { attempts: 3, base: 1 } },
      () => {},
    );
    const recorder = record(await system.work([Strict]));
    await client.publish(stage.names.taskSubject("patient"), '{"n":"x"}', { "Godwit-Id": "shape" });
    await client.publish(stage.names.taskSubject("patient"), "{", { "Godwit-Id": "bytes" });
    const dead = await recorder.until("dead", 2);
    const byId = Object.fromEntries(dead.map(({ data }) => [data.id, [data.reason, data.deliveries]]));
    expect(byId).toEqual({ shape: ["invalid", 3], bytes: ["undecodable", 1] });
  });

  test("is what a message becomes that is older than its actor's expiresIn, whoever sent it", async () => {
    const system = await stage.connect();
    const ages: number[] = [];
    const config = { name: "late", expiresIn: 1_000, subscribe: ["orders.placed"] };
    const Late = actorOf(config, (_input, ctx) => void ages.push(ctx.ageMs));
    await (await system.work([Late])).stop();
    const client = await stage.client();
    await client.publish(stage.names.taskSubject("late"), '"by another program"');
    await system.publish("orders.placed", "an event");
    await system.tell("late", "its sender gives it longer", { expiresIn: "1h" });
    const stored = await client.last(stage.names.tasks, stage.names.taskSubject("late"));
    await expect.poll(() => Date.now() - (stored?.time.getTime() ?? Infinity), patient).toBeGreaterThan(1_000);
    const recorder = record(await system.work([Late]));
    await recorder.until("completed", 1);
    const dead = await recorder.until("dead", 2);
    expect(dead.map(({ data }) => [data.reason, data.attempt])).toEqual([
      ["expired", 0],
      ["expired", 0],
    ]);
    expect(ages).toHaveLength(1);
    expect(ages[0]).toBeGreaterThan(1_000);
  });

  test("is what an expired message becomes, without a run", async () => {
    const system = await stage.connect();
    let runs = 0;
    const deaths: unknown[] = [];
    const Late = actorOf({ name: "late" }, () => void (runs += 1), {
      onDead: (input, error) => void deaths.push([input, error.message]),
    });
    const sent = await system.tell(Late, { n: 1 }, { expiresIn: 1, id: "e" });
    await new Promise((resolve) => setTimeout(resolve, 5)); // Time itself is what is waited for.
    const recorder = record(await system.work([Late]));
    const [dead] = await recorder.until("dead");
    expect(dead?.data).toMatchObject({ id: "e", reason: "expired", attempt: 0, sequence: sent.sequence });
    expect(runs).toBe(0);
    expect(deaths).toEqual([[{ n: 1 }, expect.stringContaining("expiresIn")]]);
    expect(await onlyDead(system)).toMatchObject({ reason: "expired", attempts: 0 });
  });

  test("of a message whose errors are long has at most 4 KB of why, the newest errors kept", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Wordy = actorOf({ name: "wordy", retry: { attempts: 12, base: 1, max: 1 } }, (_input, ctx) => {
      throw new Error(`${ctx.attempt}: ${"ärger ".repeat(1_000)}`);
    });
    const recorder = record(await system.work([Wordy]));
    await system.tell(Wordy, { n: 1 });
    await recorder.until("dead");
    const letter = await onlyDead(system);
    const why = (await client.last(stage.names.dead, `${stage.namespace}.dead.>`))?.header.get("Godwit-Dead") ?? "";
    expect(Buffer.byteLength(why)).toBeLessThanOrEqual(4_096);
    expect(letter.attempts).toBe(12);
    expect(letter.error.message).toMatch(/^12: ärger/);
    expect(letter.stack).toMatch(/^Error: 12: ärger/);
    const attempts = letter.history.map(({ attempt }) => attempt);
    expect(attempts).toEqual(attempts.toSorted((a, b) => a - b));
    expect(attempts.at(-1)).toBe(12);
  });
});

describe("onDead", () => {
  test("is called with the input, defaults applied, and the error, before the message is settled", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const calls: { input: unknown; error: Error; left: number }[] = [];
    const Doomed = actorOf(
      { name: "undo", input: z.object({ n: z.number().default(5) }) },
      () => {
        throw new Terminal("declined");
      },
      {
        onDead: async (input, error) => {
          calls.push({ input, error, left: await client.count(stage.names.tasks) });
        },
      },
    );
    const recorder = record(await system.work([Doomed]));
    await system.tell("undo", {});
    await recorder.until("dead");
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ input: { n: 5 }, error: { name: "Terminal", message: "declined" }, left: 1 });
  });

  test("that throws does not keep the message from being settled", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Doomed = actorOf(
      { name: "undo.broken", retry: { attempts: 1 }, result: { ttl: "1m" } },
      () => {
        throw new Error("first");
      },
      {
        onDead: () => {
          throw new Error("second");
        },
      },
    );
    const recorder = record(await system.work([Doomed]));
    await system.tell(Doomed, {}, { id: "x" });
    const [dead] = await recorder.until("dead");
    expect(dead?.data).toMatchObject({ reason: "exhausted", error: { message: "first" } });
    expect(await client.count(stage.names.tasks)).toBe(0);
    expect(await onlyDead(system)).toMatchObject({ error: { message: "first" } });
    expect(await system.result(Doomed, "x")).toMatchObject({ state: "failed" });
  });
});

describe("a requeued dead letter", () => {
  /** An actor that fails until it is mended, and what it was given when it then succeeded. */
  function mendable(name: string) {
    const seen: { id: string; input: unknown; attempt: number; headers: Context["headers"] }[] = [];
    const state = { broken: true };
    const Mendable = actorOf({ name }, (input, ctx) => {
      if (state.broken) throw new Terminal("still broken");
      seen.push({ id: ctx.id, input, attempt: ctx.attempt, headers: ctx.headers });
    });
    return { Mendable, seen, mend: () => (state.broken = false) };
  }

  async function requeueAll(system: ActorSystem): Promise<void> {
    for (const letter of await listDead(system)) await system.dead.requeue(letter.sequence);
  }

  test("keeps its id, body, lane and headers, begins anew, and is no dead letter any more", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable, seen, mend } = mendable("mend");
    const recorder = record(await system.work([Mendable]));
    const sent = await system.tell(
      Mendable,
      { when: new Date(0), big: 2n ** 60n },
      { id: "user@example.com", lane: "low", headers: { "X-Tenant": "acme" } },
    );
    await recorder.until("dead");
    mend();
    const letter = await onlyDead(system);
    const requeued = await system.dead.requeue(letter.sequence);
    expect(requeued.id).toBe("user@example.com");
    expect(requeued.sequence).toBeGreaterThan(sent.sequence);
    const [completed] = await recorder.until("completed");
    expect(completed?.data).toMatchObject({ id: "user@example.com", deliveries: 1, attempt: 1 });
    expect(seen).toMatchObject([{ id: "user@example.com", attempt: 1 }]);
    expect(seen[0]?.input).toEqual({ when: new Date(0), big: 2n ** 60n });
    expect(seen[0]?.headers.get("X-Tenant")).toBe("acme");
    expect(await listDead(system)).toEqual([]);
    expect(await client.count(stage.names.tasks)).toBe(0);
    await expect(system.dead.requeue(letter.sequence)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("keeps its lane", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable } = mendable("laned");
    const worker = await system.work([Mendable]);
    const recorder = record(worker);
    await system.tell(Mendable, 1, { lane: "critical" });
    await recorder.until("dead");
    await worker.stop();
    await requeueAll(system);
    expect(await client.last(stage.names.tasks, stage.names.taskSubject("laned", "critical"))).toBeDefined();
  });

  test("keeps its lane also when it had been delayed", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable, seen, mend } = mendable("delayed");
    const worker = await system.work([Mendable]);
    const recorder = record(worker);
    await system.tell(Mendable, "body", { lane: "high", delay: "100ms", id: "later on" });
    await recorder.until("dead");
    await worker.stop();
    expect(await onlyDead(system)).toMatchObject({
      id: "later on",
      origin: { stream: stage.names.schedule, subject: stage.names.dueSubject("delayed", "high") },
    });
    await requeueAll(system);
    expect(await client.last(stage.names.tasks, stage.names.taskSubject("delayed", "high"))).toBeDefined();
    mend();
    const again = record(await system.work([Mendable]));
    await again.until("completed");
    expect(seen).toMatchObject([{ id: "later on", input: "body" }]);
  });

  test("that fails again is a dead letter again, with the same id", async () => {
    const system = await stage.connect();
    const { Mendable } = mendable("hopeless");
    const recorder = record(await system.work([Mendable]));
    await system.tell(Mendable, { n: 1 }, { id: "again" });
    await recorder.until("dead", 1);
    await requeueAll(system);
    await recorder.until("dead", 2);
    expect(await onlyDead(system)).toMatchObject({ id: "again", attempts: 1 });
  });

  test("that had expired runs, since whoever requeues it wants that", async () => {
    const system = await stage.connect();
    const { Mendable, seen, mend } = mendable("stale");
    mend();
    await system.tell(Mendable, { n: 1 }, { expiresIn: 1, id: "old" });
    await new Promise((resolve) => setTimeout(resolve, 5)); // Time itself is what is waited for.
    const recorder = record(await system.work([Mendable]));
    await recorder.until("dead");
    await requeueAll(system);
    await recorder.until("completed");
    expect(seen).toMatchObject([{ id: "old" }]);
  });

  test("at the payload limit, with control headers of a plain client, is whole", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable, seen, mend } = mendable("full");
    const recorder = record(await system.work([Mendable]));
    const fields = {
      "Nats-TTL": "1h",
      "Nats-Expected-Stream": stage.names.tasks,
      "Nats-Expected-Last-Sequence": "0",
      "Nats-Expected-Last-Subject-Sequence": "0",
      "X-Note": "kept",
    };
    const limitBytes = client.nc.info?.max_payload ?? 0;
    const headerBytes = Buffer.byteLength(
      `NATS/1.0\r\n${Object.entries(fields)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join("")}\r\n`,
    );
    // A JSON text of random letters, so that it neither compresses nor ends early.
    const body = Buffer.from(
      JSON.stringify(
        randomBytes(limitBytes)
          .toString("base64")
          .slice(0, limitBytes - headerBytes - 2),
      ),
    );
    expect(body.length + headerBytes).toBe(limitBytes);
    const sequence = await client.publish(stage.names.taskSubject("full"), body, fields);
    const [dead] = await recorder.until("dead");
    expect(dead?.data).toMatchObject({ id: placeLike(stage.names.tasks, sequence), reason: "terminal" });
    const letter = await onlyDead(system);
    const shown = await system.dead.show(letter.sequence);
    expect(whole(shown.body)).toBe(whole(body));
    expect(Object.fromEntries(shown.headers)).toEqual(
      Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, [value]])),
    );

    mend();
    await system.dead.requeue(letter.sequence);
    await recorder.until("completed");
    expect(seen).toHaveLength(1);
    expect(seen[0]).toMatchObject({
      id: placeLike(stage.names.tasks, sequence),
      input: JSON.parse(body.toString()) as unknown,
    });
    expect(seen[0]?.headers.get("X-Note")).toBe("kept");
    expect(seen[0]?.headers.get("Nats-TTL"), "what the server acts on is not repeated").toBeUndefined();
    expect(await listDead(system)).toEqual([]);
    const chunks = async (): Promise<string[]> => {
      const { state } = await client.jsm.streams.info(`OBJ_${stage.names.bodiesBucket}`, { subjects_filter: ">" });
      return Object.keys(state.subjects ?? {}).filter((subject) => subject.includes(".C."));
    };
    await expect.poll(chunks, { ...patient, message: "no chunk is left" }).toEqual([]);
  });

  test("at the payload limit, without any header, is whole too", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable, seen, mend } = mendable("brim");
    const recorder = record(await system.work([Mendable]));
    const body = largestBody(client);
    const sequence = await client.publish(stage.names.taskSubject("brim"), body);
    await recorder.until("dead");
    mend();
    await requeueAll(system);
    await recorder.until("completed");
    expect(seen).toMatchObject([
      { id: placeLike(stage.names.tasks, sequence), input: JSON.parse(body.toString()) as unknown },
    ]);
  });

  test("at the payload limit that fails again is whole in its next dead letter, and can be requeued again", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable, seen, mend } = mendable("brim.again");
    const recorder = record(await system.work([Mendable]));
    const body = largestBody(client);
    await client.publish(stage.names.taskSubject("brim.again"), body);
    await recorder.until("dead", 1);
    await requeueAll(system);
    await recorder.until("dead", 2);
    const shown = await system.dead.show((await onlyDead(system)).sequence);
    expect(whole(shown.body)).toBe(whole(body));
    mend();
    await requeueAll(system);
    await recorder.until("completed");
    expect(seen).toMatchObject([
      { id: placeLike(stage.names.tasks, 1), input: JSON.parse(body.toString()) as unknown },
    ]);
  });

  test("is not made to fetch other objects by a planted header", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable, seen, mend } = mendable("planted");
    const recorder = record(await system.work([Mendable]));
    await client.publish(stage.names.taskSubject("planted"), JSON.stringify("x".repeat(262_142)));
    await recorder.until("dead", 1);
    mend();
    for (const object of [stage.names.deadSubject("planted", stage.names.tasks, 1), "a".repeat(24), ""]) {
      await client.publish(stage.names.taskSubject("planted"), '"own"', { "Godwit-Body-Object": object });
    }
    await recorder.until("completed", 3);
    expect(seen.map(({ input }) => input)).toEqual(["own", "own", "own"]);
    await client.publish(stage.names.taskSubject("planted"), "", { "Godwit-Body-Object": "a".repeat(24) });
    const dead = await recorder.until("dead", 2);
    expect(dead[1]?.data.reason).toBe("undecodable");
  });

  test("with headers as large as a server takes is kept, and does not go round for ever", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { Mendable } = mendable("headed");
    const recorder = record(await system.work([Mendable]));
    await client.publish(stage.names.taskSubject("headed"), "{}", { "X-Long": "é".repeat(31_000) });
    await recorder.until("dead");
    const { sequence } = await onlyDead(system);
    const shown = await system.dead.show(sequence);
    expect(shown.headers).toEqual([["X-Long", ["é".repeat(31_000)]]]);
  });
});

describe("looking through dead letters", () => {
  test("filters by actor, reason and id, over more than a page, and purges one", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const one = actorOf({ name: "a.b", concurrency: 200 }, () => {
      throw new Terminal("no");
    });
    const two = actorOf({ name: "a", retry: { attempts: 1 } }, () => {
      throw new Error("no");
    });
    const recorder = record(await system.work([one, two]));
    const count = 620;
    await system.tellMany(
      one,
      Array.from({ length: count }, (_, n) => n),
      { id: (n) => `n${String(n)}` },
    );
    await system.tell(two, {}, { id: "n5" });
    await recorder.until("dead", count + 1, 40_000);
    const all = await listDead(system);
    expect(all).toHaveLength(count + 1);
    expect(new Set(all.map(({ id, actor }) => `${actor} ${id}`)).size).toBe(count + 1);
    expect(all.map(({ sequence }) => sequence)).toEqual(all.map(({ sequence }) => sequence).toSorted((a, b) => a - b));
    expect(await listDead(system, { actor: "a" })).toMatchObject([{ actor: "a", reason: "exhausted" }]);
    expect(await listDead(system, { actor: "a.b" })).toHaveLength(count);
    expect(await listDead(system, { id: "n5" })).toHaveLength(2);
    const victim = await onlyDead(system, { id: "n5", reason: "terminal" });
    await system.dead.purge(victim.sequence);
    expect(await client.count(stage.names.dead)).toBe(count);
    await expect(system.dead.show(victim.sequence)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining(`no dead letter ${victim.sequence}`),
    });
    await expect(system.dead.purge(victim.sequence)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});
