/** Circuits that a person opens and closes: what the fleet finds out meanwhile does not undo it. */
import { afterEach, expect, test } from "vitest";
import { breakerShape } from "../../src/actor/guard-config.ts";
import { Inspector } from "../../src/admin/inspector.ts";
import { Bucket } from "../../src/broker/bucket.ts";
import { Bus } from "../../src/broker/bus.ts";
import { Connection } from "../../src/broker/connection.ts";
import { Pipeline } from "../../src/broker/pipeline.ts";
import { Publisher } from "../../src/broker/publisher.ts";
import { ServerClock } from "../../src/broker/server-clock.ts";
import { Breaker, type BreakerEvent } from "../../src/guard/breaker/breaker.ts";
import { SharedState } from "../../src/guard/shared-state.ts";
import { Proxy } from "../support/faults/proxy.ts";
import { callerOf, Dependency, historyOf } from "../support/guard/dependency.ts";
import { passed } from "../support/clock.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const endings: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

const force = { force: true };
const fail = (): never => {
  throw new Error("down");
};

/** A breaker on a connection of its own, as in a process of its own, and what it told. */
async function breaker(resetAfter: number, url = stage.url): Promise<Breaker & { told: BreakerEvent[] }> {
  const connection = await Connection.open({ servers: [url], name: "test" });
  const pipeline = new Pipeline(connection);
  const { names } = stage;
  const bucket = new Bucket(names.breakersBucket, pipeline, new Publisher(connection, pipeline));
  const told: BreakerEvent[] = [];
  const one = new Breaker("api", breakerShape.parse({ name: "api", volume: 1, resetAfter }), {
    state: new SharedState(bucket, new Bus(connection), names),
    clock: new ServerClock(pipeline, `KV_${names.limitsBucket}`),
    onUp: (listener) => connection.onUp(listener),
    onEvent: (event) => told.push(event),
  });
  endings.push(async () => {
    one.close();
    pipeline.close();
    await connection.close();
  });
  await one.start();
  return Object.assign(one, { told });
}

/** The circuit's state once another process has read it. */
async function seenAnew(): Promise<string> {
  return (await breaker(60_000)).phase;
}

test("opened by hand nothing runs and nothing probes, however often resetAfter passes; closed, all of it runs", async () => {
  const dependency = new Dependency();
  const [one, two] = [await stage.connect(), await stage.connect()];
  const inspector = new Inspector(one);
  const Caller = callerOf(dependency, { resetAfter: 100 });
  const workers = [await one.work([Caller]), await two.work([Caller])];
  const histories = workers.map(historyOf);
  expect(await inspector.openBreaker("api")).toEqual({
    name: "api",
    state: "open",
    byHand: true,
    actors: ["caller"],
    was: "closed",
  });
  for (const history of histories) await expect.poll(() => history, patient).toContain("api open");
  await one.tellMany("caller", [1, 2, 3, 4, 5], { id: (n) => `m${n}` });
  await passed(one, "500ms");
  expect(dependency.calls).toEqual([]);
  expect(await inspector.breakers()).toEqual([{ name: "api", state: "open", byHand: true, actors: ["caller"] }]);
  expect(await inspector.closeBreaker("api")).toEqual({
    name: "api",
    state: "closed",
    byHand: false,
    actors: ["caller"],
    was: "open",
  });
  await expect.poll(() => dependency.calls.length, patient).toBe(5);
  expect(histories.flat().filter((line) => line.startsWith("api half-open"))).toEqual([]);
});

test("a probe that was under way and succeeds closes nothing", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  const [a, b] = [await breaker(200), await breaker(200)];
  await a.run(fail, () => "failed").catch(() => undefined);
  await expect.poll(() => a.phase, patient).toBe("half-open");
  const probe = await a.probe();
  let end = (): void => undefined;
  const under = probe?.run(
    () => new Promise<void>((resolve) => (end = resolve)),
    () => "failed",
  );
  await inspector.openBreaker("api");
  await expect.poll(() => probe?.current, patient).toBe(false);
  end();
  await under;
  // Several times resetAfter: the probe's word would have been heard, and another probe made.
  for (let round = 0; round < 3; round++) {
    expect(await b.probe()).toBeUndefined();
    expect([a.phase, b.phase, await seenAnew()]).toEqual(["open", "open", "open"]);
  }
});

test("a probe that succeeds before its process has heard of it closes nothing either", async () => {
  const system = await stage.connect();
  const proxy = await Proxy.start(stage.url);
  endings.push(() => proxy.stop());
  const far = await breaker(200, proxy.url);
  await far.run(fail, () => "failed").catch(() => undefined);
  await expect.poll(() => far.phase, patient).toBe("half-open");
  const probe = await far.probe();
  let end = (): void => undefined;
  const under = probe?.run(
    () => new Promise<void>((resolve) => (end = resolve)),
    () => "failed",
  );
  proxy.cut();
  await new Inspector(system).openBreaker("api", force);
  // It decides alone, and as long as it is away it goes by that.
  end();
  await under;
  expect(far.phase).toBe("closed");
  proxy.mend();
  await expect.poll(() => far.phase, patient).toBe("open");
  expect(await seenAnew()).toBe("open");
  expect((await new Inspector(system).breakers())[0]).toMatchObject({ state: "open", byHand: true });
});

test("it outlives every worker", async () => {
  const dependency = new Dependency();
  const before = await stage.connect();
  await (await before.work([callerOf(dependency, { resetAfter: 100 })])).stop();
  await new Inspector(before).openBreaker("api", force);
  await before.close();
  const after = await stage.connect();
  await after.tell("caller", 1, { id: "m" });
  const worker = await after.work([callerOf(dependency, { resetAfter: 100 })]);
  const history = historyOf(worker);
  await passed(after, "500ms");
  expect(dependency.calls).toEqual([]);
  await new Inspector(after).closeBreaker("api");
  await expect.poll(() => history, patient).toContain("completed m in attempt 1");
});

test("one that opened by itself is closed at once", async () => {
  const system = await stage.connect();
  const inspector = new Inspector(system);
  const [a, b] = [await breaker(60_000), await breaker(60_000)];
  await a.run(fail, () => "failed").catch(() => undefined);
  await expect.poll(() => b.phase, patient).toBe("open");
  await expect.poll(() => inspector.breakers(), patient).toMatchObject([{ name: "api", state: "open", byHand: false }]);
  expect(Date.parse((await inspector.breakers())[0]?.probeAt ?? "") - Date.now()).toBeGreaterThan(50_000);
  await expect(inspector.closeBreaker("api")).resolves.toMatchObject({ was: "open", state: "closed" });
  await expect.poll(() => [a.phase, b.phase], patient).toEqual(["closed", "closed"]);
  expect(
    await a.run(
      () => "well",
      () => "failed",
    ),
  ).toBe("well");
});

test("opened for a time it is probed after that, and not before", async () => {
  const system = await stage.connect();
  const one = await breaker(60_000);
  const beganMs = performance.now();
  const { probeAt } = await new Inspector(system).openBreaker("api", { ...force, for: 600 });
  expect(Date.parse(probeAt ?? "")).toBeGreaterThan(Date.now());
  await expect.poll(() => one.phase, patient).toBe("open");
  await expect.poll(() => one.phase, patient).toBe("half-open");
  expect(performance.now() - beganMs).toBeGreaterThan(590);
  const probe = await one.probe();
  await probe?.run(
    () => "well",
    () => "failed",
  );
  await expect.poll(seenAnew, patient).toBe("closed");
});

test("refuses what it cannot do", async () => {
  const inspector = new Inspector(await stage.connect());
  await expect(inspector.openBreaker("mistyped")).rejects.toMatchObject({ code: "NOT_FOUND" });
  await expect(inspector.closeBreaker("mistyped")).rejects.toMatchObject({ code: "NOT_FOUND" });
  await expect(inspector.openBreaker("no name")).rejects.toMatchObject({ code: "INVALID_NAME" });
  await expect(inspector.openBreaker("api", { ...force, for: "soon" as never })).rejects.toMatchObject({
    code: "INVALID_CONFIG",
  });
  expect(await inspector.breakers()).toEqual([]);
});
