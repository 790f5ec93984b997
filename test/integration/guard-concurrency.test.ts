/** Concurrency limits in few processes: who waits, who is put back, who is refused, and what happens when the server cannot be told. */
import { once } from "node:events";
import { headers as newHeaders } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ActorConfig, ActorSystem } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName } from "../support/faults/work.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

interface Order {
  customer: string;
}

type Key = (input: unknown) => string;
const customerOf: Key = (order) => (order as Order).customer;
const isBad: (input: unknown) => boolean = (order) => customerOf(order) === "bad";

/** An actor's config with a limit for each key. */
function keyed(key: Key, limit = 1): ActorConfig {
  return { name: "pack", concurrencyLimit: { name: "orders", limit, key } };
}

const ofCustomers = keyed(customerOf);

/** Takes the bucket of limits away. @returns what brings it back, empty. */
async function removeBucket({ parts }: ActorSystem): Promise<() => Promise<unknown>> {
  const { streams } = parts.connection.jsm;
  const name = `KV_${stage.names.limitsBucket}`;
  const { config } = await streams.info(name);
  await streams.delete(name);
  return () => streams.add(config);
}

/** How often the bucket of limits has been written to. */
async function writes(): Promise<number> {
  return (await stage.client()).lastSequence(`KV_${stage.names.limitsBucket}`);
}

describe("messages that wait", () => {
  test("of a busy key do not keep those of other keys, and run when it is free", async () => {
    const system = await stage.connect();
    const blocked = gate();
    const done: string[] = [];
    const Pack = actorOf<Order, void>({ ...ofCustomers, concurrency: 4 }, async ({ customer }) => {
      if (customer === "busy") await blocked.opened;
      done.push(customer);
    });
    const recorder = record(await system.work([Pack]));
    await system.tellMany(
      Pack,
      Array.from({ length: 30 }, () => ({ customer: "busy" })),
    );
    await recorder.until("deferred", 10);
    const others = Array.from({ length: 100 }, (_, at) => ({ customer: `c${at % 10}` }));
    await system.tellMany(Pack, others);
    await expect.poll(() => done.length, { ...patient, timeout: 30_000 }).toBe(100);
    expect(done).not.toContain("busy");
    blocked.open();
    await recorder.until("completed", 130);
    for (const { data } of recorder.of("deferred")) expect(data.reason).toBe("concurrency-limited");
    expect(recorder.of("started").map(({ data }) => data.attempt)).toEqual(Array.from({ length: 130 }, () => 1));
  });

  test("only for what KV says keep no place in line for a permit afterwards", async () => {
    const [crowded, quick] = [await stage.connect(), await stage.connect()];
    const blocked = gate();
    const receive = async ({ customer }: Order): Promise<void> => {
      if (customer === "slow") await blocked.opened;
      else await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const Crowded = actorOf<Order, void>({ ...ofCustomers, name: "crowded", concurrency: 4 }, receive);
    const Quick = actorOf<Order, void>({ ...ofCustomers, name: "quick", concurrency: 4 }, receive);
    const crowd = record(await crowded.work([Crowded]));
    const recorder = record(await quick.work([Quick]));
    // They take all the places in which to wait: others are put back.
    await crowded.tellMany(
      Crowded,
      Array.from({ length: 40 }, () => ({ customer: "slow" })),
    );
    await crowd.until("deferred", 4);
    await quick.tellMany(
      Quick,
      Array.from({ length: 200 }, () => ({ customer: "hot" })),
    );
    const asking = setInterval(() => void crowded.tell(Crowded, { customer: "hot" }), 700);
    try {
      expect(await recorder.until("completed", 200, 8_000)).toHaveLength(200);
    } finally {
      clearInterval(asking);
      blocked.open();
    }
  });

  test("are handed the permit that comes free here, with hardly a word to the server", async () => {
    const system = await stage.connect();
    const Pack = actorOf<Order, void>(ofCustomers, () => undefined);
    const recorder = record(await system.work([Pack]));
    const before = await writes();
    await system.tellMany(
      Pack,
      Array.from({ length: 200 }, () => ({ customer: "one" })),
    );
    await recorder.until("completed", 200);
    const count = (await writes()) - before;
    console.log(`200 messages of one key in one process: ${count} writes to the bucket`);
    expect(count).toBeLessThan(60);
  });

  test("in another process get their turn beside a deep backlog here", async () => {
    const here = await stage.connect();
    const there = await stage.connect();
    const done: string[] = [];
    const limit = { name: "shared", limit: 1 };
    const handle = async (who: string): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 10));
      done.push(who);
    };
    const Deep = actorOf({ name: "deep", concurrencyLimit: limit }, () => handle("deep"));
    const Rare = actorOf({ name: "rare", concurrencyLimit: limit }, () => handle("rare"));
    const deep = record(await here.work([Deep]));
    const rare = record(await there.work([Rare]));
    await here.tellMany(
      Deep,
      Array.from({ length: 300 }, () => ({})),
    );
    await expect.poll(() => done.length, patient).toBeGreaterThan(10);
    await there.tellMany(
      Rare,
      Array.from({ length: 5 }, () => ({})),
    );
    await rare.until("completed", 5);
    expect(deep.of("completed").length).toBeLessThan(200);
    await deep.until("completed", 300);
  });

  test("go back at once when the worker stops, and its permit is free for the next one", async () => {
    const system = await stage.connect();
    const limit = { name: "orders", limit: 1 };
    const running = gate();
    const Slow = actorOf({ name: "pack", concurrencyLimit: limit }, async (_input, ctx) => {
      running.open();
      await once(ctx.signal, "abort");
    });
    const worker = await system.work([Slow]);
    const recorder = record(worker);
    await system.tell(Slow, {});
    await running.opened;
    await system.tell(Slow, {});
    await expect.poll(() => worker.stats.actors["pack"]?.inHand, patient).toBe(2);
    await worker.stop({ grace: 0 });
    expect(recorder.of("deferred").map(({ data }) => data.delayMs)).toEqual([0]);
    await system.close();

    const next = await stage.connect();
    const Quick = actorOf({ name: "pack", concurrencyLimit: limit }, () => undefined);
    const beganMs = performance.now();
    const quick = record(await next.work([Quick]));
    await quick.until("completed", 2);
    // Far from the lease, which would be waited for had the permit stayed.
    expect(performance.now() - beganMs).toBeLessThan(8_000);
    expect(quick.of("deferred")).toEqual([]);
  });
});

describe("one name", () => {
  const pack = (limit: number, withKey = false) =>
    actorOf<Order, void>(
      withKey ? keyed(customerOf, limit) : { name: "pack", concurrencyLimit: { name: "orders", limit } },
      () => undefined,
    );
  const other = actorOf({ name: "other", concurrencyLimit: { name: "orders", limit: 3 } }, () => undefined);

  test.each([
    ["another number", pack(2), /is 3 in actor other and 2 in actor pack/],
    ["a key", pack(3, true), /is 3 in actor other and 3 for each key in actor pack/],
  ])("with %s in one process is refused", async (_what, Pack, text) => {
    const system = await stage.connect();
    await expect(system.work([Pack, other])).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringMatching(text),
    });
  });

  test.each([false, true])(
    "with another number in use elsewhere is refused at start, until it is not (keyed: %s)",
    async (withKey) => {
      const here = await stage.connect();
      const there = await stage.connect();
      const worker = await here.work([pack(2, withKey)]);
      await expect(there.work([pack(3, withKey)])).rejects.toMatchObject({
        code: "INVALID_CONFIG",
        message: expect.stringMatching(/"orders" is 3 in actor pack, and 2 in workers that run now/),
      });
      await there.work([pack(2, withKey)]);
      await there.close();
      await worker.stop();
      const later = await stage.connect();
      await until("the number is free", () => later.work([pack(3, withKey)]).catch(() => undefined));
    },
  );
});

test("A rate limit whose name and key look like a concurrency limit's place in the bucket is another thing", async () => {
  const system = await stage.connect();
  const limit = { name: "orders", limit: 1 };
  const Pack = actorOf({ name: "pack", concurrencyLimit: limit }, () => undefined);
  const rateLimit = { name: "c", limit: 100, per: "1s", key: () => "orders" } as const;
  const Call = actorOf({ name: "call", rateLimit }, () => undefined);
  const recorder = record(await system.work([Pack, Call]));
  await system.tell(Pack, {});
  await system.tell(Call, {});
  await recorder.until("completed", 2);
  expect(recorder.of("problem")).toEqual([]);
});

describe("a key function", () => {
  const keys: [string, Key, RegExp][] = [
    [
      "throws",
      (order) => {
        if (isBad(order)) throw new TypeError("no customer");
        return customerOf(order);
      },
      /threw \(no customer\)/,
    ],
    ["gives no string", (order) => (isBad(order) ? (7 as never) : customerOf(order)), /gave number/],
    [
      "gives a promise",
      (order) => (isBad(order) ? (Promise.resolve("x") as never) : customerOf(order)),
      /gave a promise/,
    ],
  ];
  test.each(keys)("that %s makes its message a dead letter, and no other", async (_what, key, text) => {
    const system = await stage.connect();
    const Pack = actorOf<Order, void>(keyed(key), () => undefined);
    const recorder = record(await system.work([Pack]));
    await system.tell(Pack, { customer: "bad" });
    await system.tell(Pack, { customer: "good" });
    const dead = await recorder.until("dead");
    expect(dead[0]?.data).toMatchObject({ reason: "invalid", attempt: 0 });
    expect(dead[0]?.data.error.message).toMatch(/key function of the concurrency limit "orders" of actor pack/);
    expect(dead[0]?.data.error.message).toMatch(text);
    await recorder.until("completed");
    expect(recorder.of("problem")).toEqual([]);
  });

  test("may give any string", async () => {
    const system = await stage.connect();
    // A body could not carry all of them.
    const customers = ["", " ", "a.b", "*", ">", "é😀", "\ud800", "x".repeat(10_000), "=41"];
    const key: Key = (input) => customers[Number((input as Order).customer)] ?? "none";
    const Pack = actorOf<Order, void>(keyed(key), () => undefined);
    const recorder = record(await system.work([Pack]));
    await system.tellMany(
      Pack,
      customers.map((_, n) => ({ customer: String(n) })),
    );
    await recorder.until("completed", customers.length);
    expect(recorder.of("problem")).toEqual([]);
  });
});

describe("without the server's word", () => {
  test("nothing starts: messages are put back, said once, and run when the bucket is there again", async () => {
    const Pack = actorOf<Order, void>(ofCustomers, () => undefined);
    await (await stage.connect()).provision([Pack]);
    // One that may makes it again.
    const system = await stage.connect({ provision: "check" });
    const recorder = record(await system.work([Pack]));
    const restore = await removeBucket(system);
    await system.tellMany(
      Pack,
      ["a", "b", "c"].map((customer) => ({ customer })),
    );
    await recorder.until("deferred", 3);
    expect(recorder.of("started")).toEqual([]);
    const problems = await recorder.until("problem");
    expect(problems[0]?.data.error.message).toMatch(/concurrency limit "orders" cannot be kept/);
    expect(problems).toHaveLength(1);
    await restore();
    await recorder.until("completed", 3);
    expect(recorder.of("problem")).toHaveLength(1);
    expect(recorder.of("completed").map(({ data }) => data.attempt)).toEqual([1, 1, 1]);
  });

  test("a notice of what is no record changes nothing, and such a record holds back what it concerns", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Pack = actorOf({ name: "pack", concurrencyLimit: { name: "orders", limit: 1 } }, () => undefined);
    const recorder = record(await system.work([Pack]));
    const bucket = stage.names.limitsBucket;
    for (const body of ["", "null", "{}", '{"v":2,"limit":1,"slots":[]}']) {
      const headers = newHeaders();
      headers.set("Godwit-Revision", "1000000");
      client.nc.publish(stage.names.noticeSubject(bucket, "=c.orders"), body, { headers });
    }
    await client.nc.flush();
    await system.tell(Pack, {});
    await recorder.until("completed");
    expect(recorder.of("problem")).toEqual([]);
    await client.publish(`$KV.${bucket}.=c.orders`, '{"v":2}');
    await system.tell(Pack, {});
    const [problem] = await recorder.until("problem");
    expect(problem?.data.error.message).toMatch(/"orders" cannot be kept \(.*no record that this version/);
    await client.jsm.streams.purge(`KV_${bucket}`);
    await recorder.until("completed", 2);
  });

  test("a handler whose permit the server does not know of any more is aborted, which counts as no attempt", async () => {
    const system = await stage.connect();
    const running = gate();
    const reasons: string[] = [];
    const Pack = actorOf({ name: "pack", concurrencyLimit: { name: "orders", limit: 1 } }, async (_input, ctx) => {
      if (reasons.length > 0) return;
      running.open();
      await once(ctx.signal, "abort");
      reasons.push((ctx.signal.reason as Error).message);
      throw new Error("aborted");
    });
    const recorder = record(await system.work([Pack]));
    await system.tell(Pack, {});
    await running.opened;
    const restore = await removeBucket(system);
    await restore();
    const [deferred] = await recorder.until("deferred");
    expect(deferred?.data).toMatchObject({ reason: "concurrency-limited" });
    expect(reasons).toEqual([expect.stringContaining('the permit of the concurrency limit "orders"')]);
    const [completed] = await recorder.until("completed");
    expect(completed?.data.attempt).toBe(1);
  });
});

describe("a holder that is cut off from the server", () => {
  let scene: Scene;
  beforeEach(async () => {
    scene = await Scene.open();
  });
  afterEach(async ({ task }) => {
    await scene.close(task.result?.state === "fail");
  });

  test("is aborted before anybody else starts", async () => {
    const { journal } = scene;
    const system = await scene.connect();
    const proxy = await scene.proxy();
    const setup = { ackWaitMs: 60_000, concurrencyLimit: { limit: 1, keyed: true } };
    await scene.work({ worker: "cut", servers: proxy.url, ...setup });
    await system.tell(workName, { do: "work", key: "k", at: { cut: { do: "obey", ms: 60_000 } } }, { id: "first" });
    await until("it runs", () => journal.of("run", "first").length === 1);
    await scene.work({ worker: "heir", ...setup });
    proxy.cut();
    const { names, connection } = system.parts;
    await until("the server has forgotten the pull of the cut one", async () => {
      const { num_waiting: pulls } = await connection.jsm.consumers.info(names.tasks, names.durable(workName));
      return pulls === 1;
    });
    await system.tell(workName, { do: "work", key: "k" }, { id: "second" });
    await until("the second is done", () => journal.of("done", "second").length === 1, 20_000);
    const aborted = journal.of("aborted", "first")[0]?.ns ?? Infinity;
    const began = journal.of("run", "second")[0]?.ns ?? 0;
    console.log(`cut off: aborted ${Math.round((began - aborted) / 1e6)} ms before another started`);
    expect(aborted).toBeLessThan(began);
    proxy.mend();
    await untilDrained(system);
    // It returned, so it is not run again for having been slow to.
    expect(journal.of("run", "first")).toHaveLength(1);
  });
});
