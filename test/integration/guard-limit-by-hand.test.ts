/** Limits seen from outside, and rate limits held and released by hand. */
import { expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import type { ActorConfig, ActorSystem } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { passed } from "../support/clock.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

const fast: ActorConfig = { name: "sender", rateLimit: { name: "mail.api", limit: 1_000, per: "1s" } };
const keyed: ActorConfig = { name: "sender", rateLimit: { name: "mail.api", limit: 1_000, per: "1s", key: String } };

/** A worker of a system of its own, as in another process. */
async function another(config: ActorConfig, ran: unknown[]): Promise<ActorSystem> {
  const system = await stage.connect();
  await system.work([actorOf(config, (input) => void ran.push(input))]);
  return system;
}

test("held, nobody starts, a worker that comes later neither; released, all start at once", async () => {
  const ran: unknown[] = [];
  const system = await another(fast, ran);
  const inspector = new Inspector(system);
  await system.tell("sender", "before");
  await expect.poll(() => ran, patient).toEqual(["before"]);
  const { heldUntil, was } = await inspector.holdLimit("mail.api", "1h");
  expect(Date.parse(heldUntil ?? "") - Date.now()).toBeGreaterThan(3_500_000);
  expect(was).toBeUndefined();
  await another(fast, ran);
  await system.tellMany("sender", [1, 2, 3, 4, 5]);
  await passed(system, "500ms");
  expect(ran).toEqual(["before"]);
  expect(await inspector.limits()).toEqual([
    {
      kind: "rate",
      name: "mail.api",
      limit: 1_000,
      perMs: 1_000,
      burst: 1,
      keyed: false,
      heldUntil,
      actors: ["sender"],
    },
  ]);
  // A shorter hold takes nothing back.
  expect(await inspector.holdLimit("mail.api", "1s")).toEqual({ name: "mail.api", heldUntil, was: heldUntil });
  expect(await inspector.releaseLimit("mail.api")).toEqual({ name: "mail.api", was: heldUntil });
  await expect.poll(() => ran.length, patient).toBe(6);
  expect(await inspector.limits()).not.toMatchObject([{ heldUntil: expect.anything() }]);
});

test("a handler's penalty is released too", async () => {
  const system = await stage.connect();
  const ran: unknown[] = [];
  await system.work([
    actorOf(fast, async (input, ctx) => {
      if (input === "fine") await ctx.rateLimit("mail.api").penalize("1h");
      ran.push(input);
    }),
  ]);
  await another(fast, ran);
  await system.tell("sender", "fine");
  await expect.poll(() => ran, patient).toEqual(["fine"]);
  await passed(system, "100ms");
  const inspector = new Inspector(system);
  expect(await inspector.limits()).toMatchObject([{ heldUntil: expect.any(String) }]);
  await inspector.releaseLimit("mail.api");
  await system.tellMany("sender", [1, 2, 3]);
  await expect.poll(() => ran.length, patient).toBe(4);
});

test("one by key is held for every key, or for one of them", async () => {
  const ran: unknown[] = [];
  const system = await another(keyed, ran);
  const inspector = new Inspector(system);
  await system.tell("sender", "a");
  await expect.poll(() => ran, patient).toEqual(["a"]);
  expect(await inspector.holdLimit("mail.api", "1h", { key: "a" })).toMatchObject({ key: "a" });
  await system.tell("sender", "b");
  await expect.poll(() => ran, patient).toEqual(["a", "b"]);
  await inspector.holdLimit("mail.api", "1h");
  await inspector.releaseLimit("mail.api", { key: "a" });
  await another(keyed, ran);
  await system.tellMany("sender", ["a", "b", "c"]);
  await passed(system, "500ms");
  expect(ran).toEqual(["a", "b"]);
  await inspector.releaseLimit("mail.api");
  await expect.poll(() => ran.length, patient).toBe(5);
});

test("a concurrency limit tells how many use it and wait", async () => {
  const system = await stage.connect();
  const held = gate();
  const shared = (name: string, key?: typeof String): ActorConfig => ({
    name,
    concurrencyLimit: { name: key ? "by.key" : "db", limit: 2, ...(key && { key }) },
  });
  await system.work([actorOf(shared("one"), () => held.opened), actorOf(shared("two", String), () => undefined)]);
  const other = await stage.connect();
  await system.tellMany("one", [1, 2]);
  const inspector = new Inspector(system);
  const used = (inUse: number, waiting: number): object => ({
    kind: "concurrency",
    name: "db",
    limit: 2,
    keyed: false,
    inUse,
    waiting,
    actors: ["one"],
  });
  const byKey = { kind: "concurrency", name: "by.key", limit: 2, keyed: true, actors: ["two"] };
  await expect.poll(() => inspector.limits(), patient).toEqual([byKey, used(2, 0)]);
  await other.work([actorOf(shared("one"), () => held.opened)]);
  await system.tell("one", 3);
  await expect.poll(() => inspector.limits(), patient).toEqual([byKey, used(2, 1)]);
  held.open();
  await expect.poll(() => inspector.limits(), patient).toEqual([byKey, used(0, 0)]);
});

test("refuses what it cannot do", async () => {
  const system = await another({ ...fast, concurrencyLimit: { name: "db", limit: 2 } }, []);
  const inspector = new Inspector(system);
  const cases: [() => Promise<unknown>, string, RegExp][] = [
    [() => inspector.holdLimit("mistyped", "1s"), "NOT_FOUND", /No rate limit mistyped is in use.*limit list/],
    [() => inspector.releaseLimit("mistyped"), "NOT_FOUND", /mistyped/],
    [() => inspector.holdLimit("no name", "1s"), "INVALID_NAME", /no name/],
    [() => inspector.holdLimit("mail.api", 0), "INVALID_CONFIG", /no time at all/],
    [() => inspector.holdLimit("mail.api", "1s", { key: "k" }), "INVALID_CONFIG", /does not go by keys/],
    [() => inspector.holdLimit("db", "1s"), "INVALID_CONFIG", /concurrency limit.*actor pause/],
  ];
  for (const [call, code, message] of cases) {
    await expect(call()).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  }
});
