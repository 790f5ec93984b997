/** Circuit breakers in workers: what becomes of messages while a circuit is open, at its probe, and after it. */
import { describe, expect, test } from "vitest";
import { Actor, config, ConfigError, type Context } from "../../src/index.ts";
import { callerOf, Dependency, historyOf } from "../support/guard/dependency.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

const ids = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

/** Opens the circuit `api` by messages of an actor of its own. */
async function trip(dependency: Dependency, options = {}) {
  const system = await stage.connect();
  const worker = await system.work([callerOf(dependency, { actor: "tripper", attempts: 50, ...options })]);
  const history = historyOf(worker);
  dependency.up = false;
  await system.tellMany("tripper", [1, 2, 3], { id: (n) => `t${n}` });
  await expect.poll(() => history, patient).toContain("api open");
  return { system, worker, history };
}

describe("while the circuit is open", () => {
  test("messages with one attempt wait, failed probes among them, and all complete once the dependency is back", async () => {
    const dependency = new Dependency();
    const { system } = await trip(dependency);
    const worker = await system.work([callerOf(dependency, { attempts: 1 })]);
    const history = historyOf(worker);
    await system.tellMany("caller", ids("m", 12), { id: (id) => id });
    // The tripper's own messages may be the ones that probe.
    await expect.poll(() => history.some((line) => line.includes("breaker-open")), patient).toBe(true);
    await expect.poll(() => dependency.refused, patient).toBeGreaterThanOrEqual(5);
    dependency.up = true;
    for (const id of ids("m", 12)) await expect.poll(() => history, patient).toContain(`completed ${id} in attempt 1`);
    expect(history.filter((line) => /^(dead|retry)/.test(line))).toEqual([]);
  });

  test("probes come one at a time, resetAfter apart", async () => {
    const dependency = new Dependency();
    const { system } = await trip(dependency, { resetAfter: 400 });
    await system.work([callerOf(dependency, { resetAfter: 400 })]);
    await system.tellMany("caller", ids("m", 30), { id: (id) => id });
    const opened = dependency.calls.length;
    await expect.poll(() => dependency.calls.length, patient).toBe(opened + 4);
    const times = dependency.calls.slice(opened).map(({ atMs }) => atMs);
    for (const [index, atMs] of times.slice(1).entries())
      expect(atMs - (times[index] ?? 0)).toBeGreaterThanOrEqual(400);
  });

  test("a worker that starts then calls nothing, and pulls nothing", async () => {
    const dependency = new Dependency();
    const tripped = await trip(dependency, { resetAfter: "1m" });
    await tripped.worker.stop();
    const system = await stage.connect();
    await system.tellMany("caller", ids("m", 5), { id: (id) => id });
    const calls = dependency.calls.length;
    let free = 0;
    class Free extends Actor {
      static override readonly config = config({ name: "free" });
      override async receive(): Promise<void> {
        free += 1;
      }
    }
    await system.work([callerOf(dependency, { resetAfter: "1m" }), Free]);
    await system.tellMany("free", ids("f", 200), { id: (id) => id });
    await expect.poll(() => free, patient).toBe(200);
    expect(dependency.calls.length).toBe(calls);
    const { jsm } = await stage.client();
    const { names } = stage;
    const { num_pending, num_ack_pending } = await jsm.consumers.info(names.tasks, names.durable("caller"));
    expect({ num_pending, num_ack_pending }).toEqual({ num_pending: 5, num_ack_pending: 0 });
  });

  test("another process hears of the opening and of the closing", async () => {
    const dependency = new Dependency();
    const other = await stage.connect();
    const heard = historyOf(await other.work([callerOf(new Dependency(), { actor: "other" })]));
    await trip(dependency);
    await expect.poll(() => heard, patient).toEqual(["api open"]);
    dependency.up = true;
    await expect.poll(() => heard, patient).toEqual(["api open", "api closed"]);
  });

  test("a run that began before and fails later is an ordinary failure, and prolongs nothing", async () => {
    const dependency = new Dependency();
    let fail = (): void => undefined;
    const late = new Promise<never>((_resolve, reject) => (fail = () => reject(new Error("late"))));
    const system = await stage.connect();
    const worker = await system.work([
      callerOf(dependency, { actor: "late", attempts: 2, volume: 1, resetAfter: "1m", receive: () => late }),
    ]);
    const history = historyOf(worker);
    await system.tell("late", {}, { id: "late" });
    await expect.poll(() => worker.stats.actors.late?.inHand, patient).toBe(1);
    await trip(dependency, { resetAfter: "1m" });
    await expect.poll(() => history, patient).toEqual(["api open"]);
    const client = await stage.client();
    const record = `$KV.${stage.names.breakersBucket}.api`;
    const before = await client.last(`KV_${stage.names.breakersBucket}`, record);
    fail();
    // Its own retry finds the circuit open; whatever its failure would have written is written by then.
    await expect.poll(() => history, patient).toEqual(["api open", "retry late", "deferred late: breaker-open"]);
    const after = await client.last(`KV_${stage.names.breakersBucket}`, record);
    expect(after?.seq).toBe(before?.seq);
  });

  test("with a fallback the pull goes on: it runs instead of receive, and receive again afterwards", async () => {
    const dependency = new Dependency();
    const { system } = await trip(dependency, { resetAfter: 600 });
    const fallen: string[] = [];
    const fallback = (_input: unknown, ctx: Context): void => void fallen.push(ctx.id);
    const worker = await system.work([callerOf(dependency, { fallback, resetAfter: 600 })]);
    const history = historyOf(worker);
    await system.tellMany("caller", ids("a", 20), { id: (id) => id });
    for (const id of ids("a", 20)) await expect.poll(() => history, patient).toContain(`completed ${id} in attempt 1`);
    expect(fallen.toSorted()).toEqual(ids("a", 20).toSorted());
    dependency.up = true;
    await expect.poll(() => history, patient).toContain("api closed");
    await system.tellMany("caller", ids("b", 5), { id: (id) => id });
    for (const id of ids("b", 5)) await expect.poll(() => history, patient).toContain(`completed ${id} in attempt 1`);
    expect(fallen).toHaveLength(20);
    expect(history.filter((line) => line.startsWith("deferred"))).toEqual([]);
  });

  test("with a fallback a failed probe falls back too", async () => {
    const dependency = new Dependency();
    dependency.up = false;
    const system = await stage.connect();
    const fallback = (): void => undefined;
    const worker = await system.work([callerOf(dependency, { fallback, attempts: 50, resetAfter: 300 })]);
    const history = historyOf(worker);
    await system.tellMany("caller", [1, 2, 3]);
    await expect.poll(() => history, patient).toContain("api open");
    let sent = 3;
    const probed = async (): Promise<number> => {
      sent += 1;
      await system.tell("caller", {});
      return dependency.refused;
    };
    await expect.poll(probed, patient).toBeGreaterThanOrEqual(5);
    const completed = (): number => history.filter((line) => line.startsWith("completed")).length;
    await expect.poll(completed, patient).toBe(sent);
    expect(history.filter((line) => line.startsWith("deferred"))).toEqual([]);
  });

  test("Terminal, Snooze and what `when` excepts open nothing", async () => {
    const system = await stage.connect();
    class Declined extends Error {}
    const receive = (): never => {
      throw new Declined("declined");
    };
    const caller = callerOf(new Dependency(), { receive, attempts: 3, when: (error) => !(error instanceof Declined) });
    const history = historyOf(await system.work([caller]));
    await system.tellMany("caller", ids("m", 20), { id: (id) => id });
    for (const id of ids("m", 20)) await expect.poll(() => history, patient).toContain(`dead ${id}`);
    expect(history.filter((line) => line.startsWith("api"))).toEqual([]);
  });
});

describe("names", () => {
  test("two actors that give one breaker other settings are refused, by both names", async () => {
    const system = await stage.connect();
    const dependency = new Dependency();
    await system.work([callerOf(dependency, { actor: "one" })]);
    const starting = system.work([callerOf(dependency, { actor: "two", volume: 4 })]);
    await expect(starting).rejects.toThrow(ConfigError);
    await expect(starting).rejects.toThrow(/breaker api .*the actor one .*the actor two .*volume 3 and 4/);
  });

  test("once the last worker that declared it has stopped, it may be declared anew", async () => {
    const system = await stage.connect();
    const dependency = new Dependency();
    const worker = await system.work([callerOf(dependency, { actor: "one" })]);
    await worker.stop();
    await expect(system.work([callerOf(dependency, { actor: "two", volume: 4 })])).resolves.toBeDefined();
  });
});
