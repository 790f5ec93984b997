/** What is read back is checked as input: garbage holds no message, is reported once, and counts as none. */
import { expect, test } from "vitest";
import { listWorkers } from "../../src/admin/workers.ts";
import { concurrencyKey } from "../../src/guard/concurrency-limit/limit.ts";
import { onceKey } from "../../src/guard/once/entry.ts";
import { recordKey } from "../../src/guard/rate-limit/record.ts";
import { encode } from "../../src/message/codec.ts";
import { actorOf } from "../support/actors.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

/** A logger that keeps what it is told. */
function listening() {
  const lines: string[] = [];
  const note = (fields: unknown, text?: string): void =>
    void lines.push(`${text ?? ""} ${JSON.stringify(fields)}`.replaceAll("\\", ""));
  const log = { debug: () => undefined, info: () => undefined, warn: note, error: note, child: () => log };
  return { log, lines };
}

test("a garbage entry of ctx.once holds no message: it is reported once, and its effect runs", async () => {
  const { log, lines } = listening();
  const system = await stage.connect({ log });
  const client = await stage.client();
  const { names } = stage;
  const garbage = [
    Buffer.from("no entry"),
    encode(null, "msgpack"),
    encode({ v: 1, state: "over" }, "msgpack"),
    encode({ v: 1, state: "running", holder: 7 }, "msgpack"),
    encode({ v: 1, state: "running", holder: "h", untilMs: 8e15 }, "msgpack"),
    encode({ v: 1, state: "done", lost: ["no text"] }, "msgpack"),
    encode({ state: "done", value: "of nobody" }, "msgpack"),
  ];
  for (const [at, value] of garbage.entries()) {
    const key = onceKey({ actor: "charges", id: `m${at}`, cause: "task" }, "charge");
    await client.publish(`$KV.${names.onceBucket}.${key}`, value);
  }
  const ran: string[] = [];
  const Charging = actorOf({ name: "charges" }, (_input, ctx) => ctx.once("charge", () => void ran.push(ctx.id)));
  const recorder = record(await system.work([Charging]));
  await Promise.all(garbage.map((_, at) => system.tell("charges", at, { id: `m${at}` })));
  await recorder.until("completed", garbage.length);
  expect(ran.toSorted()).toEqual(garbage.map((_, at) => `m${at}`));
  // A lease that is too long is no garbage, and nobody's.
  expect(lines.filter((line) => /is no entry of ctx.once/.test(line))).toHaveLength(garbage.length - 1);
});

test("garbage where limits and breakers stand holds no message, and is reported once", async () => {
  const { log, lines } = listening();
  const system = await stage.connect({ log });
  const client = await stage.client();
  const { names } = stage;
  const now = Date.now();
  const rate = { v: 1, limit: 1_000, perMs: 1_000, burst: 1, keyed: false, nextMs: 0, left: 1, heldMs: 0 };
  const garbage = {
    [`${names.limitsBucket}.${recordKey("pace")}`]: {},
    [`${names.limitsBucket}.${recordKey("burst")}`]: { ...rate, left: 1e9 },
    [`${names.limitsBucket}.${concurrencyKey("two")}`]: { v: 1, limit: 1, holders: "all", waiting: [] },
    [`${names.limitsBucket}.${concurrencyKey("few")}`]: {
      v: 1,
      limit: 2,
      holders: { other: { permits: -5, untilMs: now + 60_000 } },
      waiting: [],
    },
    [`${names.breakersBucket}.dependency`]: { v: 1, state: "open", probeAtMs: "never" },
  };
  for (const [key, value] of Object.entries(garbage)) await client.publish(`$KV.${key}`, JSON.stringify(value));
  const recorder = record(
    await system.work([
      actorOf({ name: "paced", rateLimit: { name: "pace", limit: 1_000, per: "1s" } }, () => undefined),
      actorOf({ name: "bursts", rateLimit: { name: "burst", limit: 1_000, per: "1s" } }, () => undefined),
      actorOf({ name: "twos", concurrencyLimit: { name: "two", limit: 2 } }, () => undefined),
      actorOf({ name: "fews", concurrencyLimit: { name: "few", limit: 2 } }, () => undefined),
      actorOf({ name: "calls", breaker: { name: "dependency" } }, () => undefined),
    ]),
  );
  for (const actor of ["paced", "bursts", "twos", "fews", "calls"]) await system.tell(actor, 1);
  await recorder.until("completed", 5);
  const reported = lines.filter((line) => /is no record of Godwit/.test(line));
  expect(reported).toHaveLength(Object.keys(garbage).length);
});

test("permits and slots that are taken for longer than anybody takes any hold no message", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const bucket = `$KV.${stage.names.limitsBucket}`;
  const forEver = 8e15;
  const far = { v: 1, limit: 1_000, perMs: 1_000, burst: 1, keyed: false, nextMs: forEver, left: 1, heldMs: 0 };
  const taken = {
    v: 1,
    limit: 1,
    holders: { nobody: { permits: 1, untilMs: forEver } },
    waiting: [{ holder: "nobody", untilMs: forEver }],
  };
  await client.publish(`${bucket}.${recordKey("far")}`, JSON.stringify(far));
  await client.publish(`${bucket}.${concurrencyKey("taken")}`, JSON.stringify(taken));
  const recorder = record(
    await system.work([
      actorOf({ name: "far", rateLimit: { name: "far", limit: 1_000, per: "1s" } }, () => undefined),
      actorOf({ name: "taken", concurrencyLimit: { name: "taken", limit: 1 } }, () => undefined),
    ]),
  );
  for (const actor of ["far", "taken"]) await system.tell(actor, 1);
  const done = await recorder.until("completed", 2);
  expect(done.map(({ data }) => data.actor).toSorted()).toEqual(["far", "taken"]);
});

test("a garbage result counts as none, and is reported", async () => {
  const { log, lines } = listening();
  const system = await stage.connect({ log });
  const client = await stage.client();
  const { names } = stage;
  const put = (id: string, value: Uint8Array) =>
    client.publish(`$KV.${names.resultsBucket}.${names.resultKey("summed", id)}`, value);
  await put("a", Buffer.from("no result"));
  await put("b", encode({ v: 1, state: "completed", lost: 3 }, "msgpack"));
  await put("c", encode({ v: 1, state: "won" }, "msgpack"));
  await put(
    "d",
    encode({ v: 1, state: "failed", failure: { reason: 5, error: { name: {}, message: [] } } }, "msgpack"),
  );
  for (const id of ["a", "b", "c"]) expect(await system.result("summed", id)).toBeUndefined();
  expect(await system.result("summed", "d")).toMatchObject({
    state: "failed",
    error: { code: "TASK_FAILED", cause: { name: "Error", message: "no error was given" } },
  });
  expect(lines.filter((line) => /is no result/.test(line))).toHaveLength(3);
  await system.work([actorOf({ name: "summed", result: { ttl: "1m" } }, () => "sum")]);
  await system.tell("summed", 1, { id: "a" });
  expect(await system.result("summed", "a", { wait: "10s" })).toMatchObject({ state: "completed", value: "sum" });
});

test("what says nothing of an outcome answers no ask", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { names } = stage;
  await system.work([
    actorOf({ name: "answers" }, async (_input, ctx) => {
      const address = ctx.headers.get("Godwit-Reply") ?? "";
      client.nc.publish(names.replySubject(address), "garbage");
      client.nc.publish(names.replySubject(address), '{"not":"the answer"}');
      await client.nc.flush();
      return "the answer";
    }),
  ]);
  expect(await system.ask("answers", 1)).toBe("the answer");
});

test("a lease under another worker's name is nobody's", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { names } = stage;
  const worker = await system.work([actorOf({ name: "leases" }, () => undefined)]);
  const subject = `$KV.${names.workersBucket}.${worker.identity.id}`;
  await expect.poll(() => client.last(`KV_${names.workersBucket}`, subject), patient).toBeDefined();
  const lease = await client.last(`KV_${names.workersBucket}`, subject);
  const own = JSON.parse(Buffer.from(lease?.data ?? []).toString()) as object;
  await client.publish(`$KV.${names.workersBucket}.stranger`, JSON.stringify(own));
  await client.publish(`$KV.${names.workersBucket}.other`, JSON.stringify({ ...own, id: "victim" }));
  expect((await listWorkers(system.parts)).map(({ identity }) => identity.id)).toEqual([worker.identity.id]);
});

test("a trace header that no other message can carry stops no send of its handler, and goes no further", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const children: (string | undefined)[][] = [];
  const recorder = record(
    await system.work([
      actorOf({ name: "parents" }, async (_input, ctx) => {
        await ctx.tell("children", 1);
        await ctx.publish("told", 1);
      }),
      actorOf({ name: "children" }, (_input, ctx) => {
        children.push(["traceparent", "tracestate", "baggage"].map((name) => ctx.headers.get(name)));
      }),
    ]),
  );
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await client.publish(stage.names.taskSubject("parents"), "1", {
    traceparent,
    tracestate: "a=\u0001b\u007f",
    baggage: "k=v\tw",
  });
  await client.publish(stage.names.taskSubject("parents"), "2", { traceparent, baggage: "b".repeat(30_000) });
  await recorder.until("completed", 4);
  expect(children).toEqual([
    [traceparent, undefined, undefined],
    [traceparent, undefined, undefined],
  ]);
});
