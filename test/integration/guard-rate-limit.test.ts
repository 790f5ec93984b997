/** Rate limits in one or a few workers: the bound, bursts, keys, penalties, clashes, and a server that is away. */
import { headers as newHeaders } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { ConfigError, type ActorConfig, type Context } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { mostIn } from "../support/limits/starts.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** An actor that notes when its handlers start. */
function noting(config: ActorConfig, starts: number[] = []) {
  const NoteStart = actorOf<number>(config, () => void starts.push(performance.now()));
  return { NoteStart, starts };
}

describe("a rate limit", () => {
  test("is kept by three workers together, and nearly all of it is used", async () => {
    const system = await stage.connect();
    const starts: number[] = [];
    const limited: ActorConfig = { name: "limited", concurrency: 20, rateLimit: { name: "api", limit: 50, per: "1s" } };
    await system.tellMany("limited", upTo(250));
    for (const one of [system, await stage.connect(), await stage.connect()]) {
      await one.work([noting(limited, starts).NoteStart]);
    }
    await expect.poll(() => starts.length, { timeout: 30_000 }).toBe(250);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(50);
    expect((starts.at(-1) as number) - (starts[0] as number), "250 at 48 in a second").toBeLessThan(7_000);
  });

  test("with a burst lets so many start at once", async () => {
    const system = await stage.connect();
    const { NoteStart, starts } = noting({
      name: "burst",
      concurrency: 20,
      rateLimit: { name: "api", limit: 20, per: "1s", burst: 10 },
    });
    await system.tellMany(NoteStart, upTo(60));
    await system.work([NoteStart]);
    await expect.poll(() => starts.length, { timeout: 30_000 }).toBe(60);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(20);
    expect(mostIn(starts, 100), "at once").toBeGreaterThanOrEqual(8);
    expect((starts.at(-1) as number) - (starts[0] as number)).toBeLessThan(6_000);
  });

  test("is kept when a handler that begins slowly holds up those that were let through with it", async () => {
    const system = await stage.connect();
    const starts: number[] = [];
    const rateLimit = { name: "api", limit: 20, per: "1s", burst: 10 } as const;
    const Slow = actorOf<number>({ name: "slow", concurrency: 20, rateLimit }, () => {
      // The first of the third group.
      if (starts.push(performance.now()) === 21)
        for (const endMs = performance.now() + 200; performance.now() < endMs;);
    });
    await system.tellMany(Slow, upTo(50));
    await system.work([Slow]);
    await expect.poll(() => starts.length, patient).toBe(50);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(20);
  });

  test("leaves no message behind when they come one by one, far apart or close together", async () => {
    const system = await stage.connect();
    const { NoteStart, starts } = noting({ name: "single", rateLimit: { name: "api", limit: 5, per: "1s" } });
    await system.work([NoteStart]);
    for (const n of upTo(4)) {
      await system.tell(NoteStart, n);
      await expect.poll(() => starts.length, patient).toBe(n + 1);
    }
    await Promise.all(upTo(8).map((n) => system.tell(NoteStart, n)));
    await expect.poll(() => starts.length, patient).toBe(12);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(5);
  });

  test("is one for all actors that name it, tasks and delayed tasks alike, and for messages that come again", async () => {
    const system = await stage.connect();
    const starts: number[] = [];
    const rateLimit = { name: "api", limit: 20, per: "1s" } as const;
    const One = noting({ name: "one", rateLimit }, starts).NoteStart;
    const again = new Set<number>();
    const Two = actorOf<number>({ name: "two", rateLimit, retry: { base: 50, jitter: "none" } }, (n) => {
      starts.push(performance.now());
      if (again.has(n)) return;
      again.add(n);
      throw new Error("the first time");
    });
    await system.tellMany(One, upTo(20));
    await system.tellMany(One, upTo(10), { delay: "1s" });
    await system.tellMany(Two, upTo(20));
    await system.work([One, Two]);
    await expect.poll(() => starts.length, { timeout: 30_000 }).toBe(70);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(20);
  });

  test("holds nothing up when the worker stops: what waits for its slot is put back, and runs elsewhere", async () => {
    const system = await stage.connect();
    const limited: ActorConfig = { name: "slow", rateLimit: { name: "api", limit: 2, per: "1s" } };
    const { NoteStart, starts } = noting(limited);
    await system.tellMany(NoteStart, upTo(4));
    const worker = await system.work([NoteStart]);
    await expect.poll(() => starts.length, patient).toBeGreaterThanOrEqual(1);
    const stoppedAtMs = performance.now();
    await worker.stop();
    expect(performance.now() - stoppedAtMs).toBeLessThan(1_000);
    await system.work([NoteStart]);
    await expect.poll(() => starts.length, patient).toBe(4);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(2);
  });

  test("is not pulled for while it has no slot: what waits stays with the server", async () => {
    const system = await stage.connect();
    const { NoteStart, starts } = noting({ name: "rare", rateLimit: { name: "api", limit: 1, per: "1h" } });
    await system.tellMany(NoteStart, upTo(50));
    const recorder = record(await system.work([NoteStart]));
    await expect.poll(() => starts.length, patient).toBe(1);
    // What the first pull still brings is put back until the next hour; what comes now must not be touched.
    await system.tellMany(NoteStart, upTo(50));
    const { jsm } = await stage.client();
    await expect
      .poll(async () => (await jsm.consumers.info(stage.names.tasks, "rare")).num_pending, patient)
      .toBeGreaterThan(90);
    expect(recorder.of("deferred").length).toBeLessThan(10);
    expect(starts.length).toBe(1);
  });
});

describe("by keys", () => {
  const byKey = (limit: number, key = (input: unknown) => String(input)): ActorConfig => ({
    name: "keyed",
    concurrency: 10,
    rateLimit: { name: "tenant", limit, per: "1s", key },
  });

  test("each key has the limit to itself, and one that is blocked hinders no other", async () => {
    const system = await stage.connect();
    const starts = new Map<string, number[]>();
    const Keyed = actorOf<string>(byKey(10), (key) => {
      const own = starts.get(key) ?? [];
      starts.set(key, [...own, performance.now()]);
    });
    await system.tellMany(
      Keyed,
      upTo(60).map(() => "busy"),
    );
    const recorder = record(await system.work([Keyed]));
    await expect.poll(() => starts.get("busy")?.length ?? 0, patient).toBeGreaterThan(2);
    const toldAtMs = performance.now();
    await Promise.all(upTo(30).map((n) => system.tell(Keyed, `other${n}`)));
    await expect.poll(() => starts.size, patient).toBe(31);
    const othersMs = [...starts].filter(([key]) => key !== "busy").map(([, [atMs = 0]]) => atMs - toldAtMs);
    expect(Math.max(...othersMs), "ms until the last of the others started").toBeLessThan(1_500);
    await expect.poll(() => starts.get("busy")?.length, { timeout: 30_000 }).toBe(60);
    const busy = starts.get("busy") as number[];
    expect(mostIn(busy, 1_000)).toBeLessThanOrEqual(10);
    expect((busy.at(-1) as number) - (busy[0] as number), "60 at 9.6 in a second").toBeLessThan(9_000);
    expect(recorder.of("deferred").length, "put back about once each").toBeLessThan(240);
  });

  test("of any text, however long", async () => {
    const system = await stage.connect();
    const seen: string[] = [];
    const keys = ["", "a b", "x".repeat(5_000), `${"x".repeat(5_000)}y`, "ünï.*.>", "\u0000"];
    const Keyed = actorOf<string>(byKey(1), (key) => void seen.push(key));
    await system.tellMany(Keyed, keys);
    await system.work([Keyed]);
    await expect.poll(() => seen.length, patient).toBe(keys.length);
    expect(seen.toSorted()).toEqual(keys.toSorted());
  });

  test("a message without a key is a dead letter that says why, and the others go on", async () => {
    const system = await stage.connect();
    const seen: unknown[] = [];
    const key = (input: unknown): string => (input as { tenant: { name: string } }).tenant.name;
    const Keyed = actorOf(byKey(100, key), (input) => void seen.push(input));
    const recorder = record(await system.work([Keyed]));
    await system.tell("keyed", { tenant: 7 }, { id: "number" });
    await system.tell("keyed", {}, { id: "nothing" });
    await system.tell("keyed", { tenant: { name: "a" } });
    const dead = await recorder.until("dead", 2);
    expect(dead.map(({ data }) => data.reason)).toEqual(["invalid", "invalid"]);
    const why = Object.fromEntries(dead.map(({ data }) => [data.id, data.error.message]));
    expect(why["number"]).toMatch(/key function of the rate limit "tenant" of actor keyed gave undefined/);
    expect(why["nothing"]).toMatch(
      /key function of the rate limit "tenant" of actor keyed threw \(.*\); it must give a string/,
    );
    await expect.poll(() => seen, patient).toEqual([{ tenant: { name: "a" } }]);
  });
});

describe("penalize", () => {
  test("holds back every worker at once, also slots that were reserved", async () => {
    const system = await stage.connect();
    const other = await stage.connect();
    const starts: number[] = [];
    let heldAtMs = 0;
    const config: ActorConfig = { name: "fined", concurrency: 20, rateLimit: { name: "api", limit: 100, per: "1s" } };
    const receive = async (n: number, ctx: Context): Promise<void> => {
      starts.push(performance.now());
      if (n !== 60) return;
      await ctx.rateLimit("api").penalize("2s");
      heldAtMs = performance.now();
    };
    await system.tellMany("fined", upTo(200));
    for (const one of [system, other]) await one.work([actorOf<number>(config, receive)]);
    await expect.poll(() => starts.length, { timeout: 30_000 }).toBe(200);
    const inHold = starts.filter((at) => at > heldAtMs + 100 && at < heldAtMs + 1_900);
    expect(inHold).toEqual([]);
    expect(heldAtMs).toBeGreaterThan(0);
    expect(starts.filter((at) => at < heldAtMs).length, "it was in full swing").toBeGreaterThan(30);
    expect(starts.filter((at) => at > heldAtMs + 1_900).length).toBeGreaterThan(100);
    expect(mostIn(starts, 1_000)).toBeLessThanOrEqual(100);
  });

  test("with keys holds back the message's own", async () => {
    const system = await stage.connect();
    const starts: { key: string; atMs: number }[] = [];
    const config: ActorConfig = {
      name: "fined",
      rateLimit: { name: "tenant", limit: 50, per: "1s", key: String },
    };
    const Fined = actorOf<string>(config, async (key, ctx) => {
      starts.push({ key, atMs: performance.now() });
      if (key === "bad" && starts.filter((one) => one.key === "bad").length === 1) {
        await ctx.rateLimit("tenant").penalize("1500ms");
      }
    });
    await system.work([Fined]);
    await (await stage.connect()).work([Fined]);
    await system.tell(Fined, "bad");
    await expect.poll(() => starts.length, patient).toBe(1);
    await Promise.all(upTo(6).map((n) => system.tell(Fined, n % 2 === 0 ? "bad" : "good")));
    await expect.poll(() => starts.length, patient).toBe(7);
    const of = (key: string): number[] => starts.filter((one) => one.key === key).map((one) => one.atMs);
    const [first = 0, ...later] = of("bad");
    expect(Math.min(...later) - first).toBeGreaterThan(1_450);
    expect(Math.max(...of("good")) - first).toBeLessThan(1_450);
  });

  test("of a limit that nobody declared, or that goes by keys which the message has not, is a mistake", async () => {
    const system = await stage.connect();
    const errors: unknown[] = [];
    const Plain = actorOf({ name: "plain" }, (_, ctx) => {
      for (const name of ["nobody", "tenant"]) {
        try {
          ctx.rateLimit(name);
        } catch (error) {
          errors.push(error);
        }
      }
    });
    const Keyed = actorOf({ name: "keyed", rateLimit: { name: "tenant", limit: 1, per: "1s", key: String } }, () => 0);
    await system.work([Plain, Keyed]);
    await system.tell(Plain, 1);
    await expect.poll(() => errors.length, patient).toBe(2);
    expect(errors.every((error) => error instanceof ConfigError)).toBe(true);
    expect(String(errors[0])).toMatch(/has the rate limit "nobody" \(those there are: tenant\)/);
    expect(String(errors[1])).toMatch(/goes by keys/);
  });
});

describe("one name", () => {
  const limited = (name: string, limit: number, more: object = {}) =>
    actorOf({ name, rateLimit: { name: "api", limit, per: "1s", ...more } }, () => undefined);

  test("has the same numbers in one process", async () => {
    const system = await stage.connect();
    await expect(system.work([limited("a", 5), limited("b", 6)])).rejects.toThrow(
      "The rate limit api is 6 in 1000 ms in the actor b and 5 in 1000 ms in another one; give both the same numbers, or different names.",
    );
    await expect(system.work([limited("a", 5), limited("b", 5, { key: String })])).rejects.toThrow(ConfigError);
    await system.work([limited("a", 5), limited("b", 5)]);
  });

  test("leaves nothing of an actor that it refuses, such as the settings of its breaker", async () => {
    const system = await stage.connect();
    await system.work([limited("a", 5)]);
    const guarded = (name: string, volume: number, limit: number): ActorConfig => ({
      name,
      breaker: { name: "api", volume },
      concurrencyLimit: { name: "api", limit: volume },
      rateLimit: { name: "api", limit, per: "1s" },
    });
    await expect(system.work([actorOf(guarded("b", 3, 6), () => {})])).rejects.toThrow("The rate limit api is 6");
    await system.work([actorOf(guarded("c", 4, 5), () => {})]);
  });

  test("has the same numbers in the fleet while it is used, and may change when it is not", async () => {
    const system = await stage.connect();
    const worker = await system.work([limited("a", 5)]);
    const other = await stage.connect();
    const clash = other.work([limited("b", 6)]);
    await expect(clash).rejects.toThrow(ConfigError);
    await expect(clash).rejects.toThrow(
      "The rate limit api is 6 in 1000 ms here, and running workers have it as 5 in 1000 ms; give the changed limit another name, or stop those workers first.",
    );
    await worker.stop();
    await other.work([limited("b", 6)]);
    const record = await (
      await stage.client()
    ).last(`KV_${stage.names.limitsBucket}`, `$KV.${stage.names.limitsBucket}.api`);
    expect(record?.json()).toMatchObject({ v: 1, limit: 6, perMs: 1_000, burst: 1 });
  });
});

test("a notice of what is no record changes nothing", async () => {
  const system = await stage.connect();
  const { NoteStart, starts } = noting({ name: "told", rateLimit: { name: "api", limit: 20, per: "1s" } });
  const recorder = record(await system.work([NoteStart]));
  const { nc } = await stage.client();
  for (const body of ["", "null", "7", "{}", '{"v":2}']) {
    const headers = newHeaders();
    headers.set("Godwit-Revision", "1000000");
    nc.publish(stage.names.noticeSubject(stage.names.limitsBucket, "api"), body, { headers });
  }
  await nc.flush();
  await system.tellMany(NoteStart, upTo(10));
  await expect.poll(() => starts.length, patient).toBe(10);
  expect(recorder.of("problem")).toEqual([]);
});

describe("without its bucket", () => {
  test("nothing starts and nothing is lost; it says so once, and goes on when the bucket is back", async () => {
    const { NoteStart, starts } = noting({ name: "lonely", rateLimit: { name: "api", limit: 20, per: "1s" } });
    await (await stage.connect()).provision([NoteStart]);
    // One that may makes it again.
    const system = await stage.connect({ provision: "check" });
    const recorder = record(await system.work([NoteStart]));
    const { jsm } = await stage.client();
    const bucket = `KV_${stage.names.limitsBucket}`;
    const { config } = await jsm.streams.info(bucket);
    await jsm.streams.delete(bucket);
    await system.tellMany(NoteStart, upTo(10));
    const [problem] = await recorder.until("problem");
    expect(problem?.data.error.message).toMatch(
      /^The rate limit api cannot be kept \(.*\), so the messages under it wait/,
    );
    await recorder.until("deferred");
    expect(starts).toEqual([]);
    await jsm.streams.add(config);
    await expect.poll(() => starts.length, { timeout: 30_000 }).toBe(10);
    expect(recorder.of("problem").length).toBe(1);
    expect(new Set(recorder.of("deferred").map(({ data }) => data.reason))).toEqual(new Set(["rate-limited"]));
    expect(recorder.of("lost").length + recorder.of("dead").length).toBe(0);
  });
});
