/** Watchdog over intakes that are made up: what it makes of slow answers and arrivals, whom it asks how often, and when it mends. */
import { afterEach, describe, expect, test } from "vitest";
import type { ConsumerState } from "../../src/broker/stream-reader.ts";
import type { IntakeLook } from "../../src/worker/intake.ts";
import type { Rebuilt } from "../../src/worker/sighting.ts";
import { Watchdog, type WatchdogOptions } from "../../src/worker/watchdog.ts";
import { healthOf, type WatchedWorker } from "../../src/observe/health.ts";
import { patient } from "../support/stage.ts";

type Ask = WatchdogOptions["reader"]["consumer"];

const pending = { pending: 5, waitingPulls: 1 } as ConsumerState;
const idle = { pending: 0, waitingPulls: 1 } as ConsumerState;
const dogs: Watchdog[] = [];

afterEach(() => {
  for (const dog of dogs.splice(0)) dog.stop();
});

interface Stand {
  dog: Watchdog;
  /** Changed by the test, and by a rebuild where `heals`. */
  look: { arrived: number; restraint: IntakeLook["restraint"] };
  rebuilt: Rebuilt[];
  /** When, monotonic. */
  rebuiltAtMs: number[];
  health: () => ReturnType<typeof healthOf>;
}

interface Given {
  durables?: readonly string[];
  rebuildAfterMs?: number;
  healthWindowMs?: number;
  heals?: boolean;
  up?: () => boolean;
}

function start(consumer: Ask, given: Given = {}): Stand {
  const { durables = ["pay"], rebuildAfterMs = 60_000, healthWindowMs = 100, heals = false, up = () => true } = given;
  const look: Stand["look"] = { arrived: 0, restraint: undefined };
  const rebuilt: Rebuilt[] = [];
  const rebuiltAtMs: number[] = [];
  const dog = new Watchdog({
    reader: { consumer, queued: () => Promise.resolve(undefined) },
    queues: [],
    connection: {
      get up() {
        return up();
      },
    },
    rebuildAfterMs,
    healthWindowMs: () => healthWindowMs,
  });
  const specs = durables.map((name) => ({ durable_name: name }));
  dog.guard({
    config: { name: "pay" },
    intake: {
      look: () => ({
        restraint: look.restraint,
        guardedAtMs: -Infinity,
        durables: specs.map((spec) => ({ stream: "TASKS", spec: spec as never, arrived: look.arrived })),
      }),
      rebuild() {
        rebuiltAtMs.push(performance.now());
        if (heals) look.arrived += 1;
      },
    },
    reporter: { rebuilt: (one) => void rebuilt.push(one) },
  });
  dogs.push(dog);
  dog.start();
  const worker: WatchedWorker = { state: "running", stats: { unhealthyReasons: [] }, watched: () => dog.watched() };
  return { dog, look, rebuilt, rebuiltAtMs, health: () => healthOf([worker], healthWindowMs, true) };
}

/** Counts the questions. */
function counted(answer: ConsumerState): { ask: Ask; count: () => number } {
  let asked = 0;
  return {
    ask: async () => {
      asked += 1;
      return answer;
    },
    count: () => asked,
  };
}

test("a server that answers slowly about many durables does not keep it green", async () => {
  const durables = Array.from({ length: 30 }, (_, n) => `pay${n}`);
  const slowly: Ask = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return pending;
  };
  const { health } = start(slowly, { durables });
  await expect.poll(() => health().healthy, patient).toBe(false);
});

test("of two workers with the actor the worse is told, whichever comes last", async () => {
  const [ill, well] = [start(async () => pending), start(async () => idle)];
  const workers = [ill, well].map(({ dog }) => ({
    state: "running" as const,
    stats: { unhealthyReasons: [] },
    watched: () => dog.watched(),
  }));
  await expect.poll(() => healthOf(workers, 100, true).actors["pay"]?.healthy, patient).toBe(false);
  expect(healthOf(workers.toReversed(), 100, true).actors["pay"]?.healthy).toBe(false);
});

test("what arrives while the server is asked is no silence", async () => {
  const stand: Stand = start(async () => {
    stand.look.arrived += 1;
    return pending;
  });
  await expect.poll(() => stand.look.arrived, patient).toBeGreaterThan(3);
  await expect.poll(() => stand.health().actors["pay"]?.says, patient).toBe("it consumes");
  expect(stand.dog.watched().get("pay")?.[0]?.troubleSinceMs).toBeUndefined();
});

describe("asks", () => {
  test("nobody about what moves, is restrained, or cannot be reached", async () => {
    const { ask, count } = counted(pending);
    let up = true;
    const { look, dog } = start(ask, { up: () => up });
    const says = (): string | undefined => dog.watched().get("pay")?.[0]?.sighting.kind;
    await expect.poll(count, patient).toBeGreaterThan(0);
    for (const [kind, change] of [
      ["busy", () => (look.restraint = "busy")],
      ["guard", () => (look.restraint = "guard")],
      ["unknown", () => ([look.restraint, up] = [undefined, false])],
    ] as const) {
      change();
      await expect.poll(says, patient).toBe(kind);
      const before = count();
      const sinceMs = performance.now();
      // Each beat looks at it anew.
      const looked = (): boolean => (dog.watched().get("pay")?.[0]?.atMs ?? 0) - sinceMs > 200;
      await expect.poll(looked, patient).toBe(true);
      expect(count()).toBe(before);
    }
  });

  test("about an idle durable once in its patience, and more rarely the more workers wait at it", async () => {
    const [alone, shared] = [counted(idle), counted({ ...idle, waitingPulls: 50 })];
    start(alone.ask, { rebuildAfterMs: 100 });
    start(shared.ask, { rebuildAfterMs: 100 });
    await expect.poll(alone.count, patient).toBeGreaterThan(12);
    // A third of it, give or take the spread.
    expect(shared.count()).toBeGreaterThan(1);
    expect(shared.count()).toBeLessThan(8);
  });
});

describe("mends", () => {
  test("a puller that brings nothing, once, where that helps", async () => {
    const { rebuilt, dog, health } = start(async () => pending, { rebuildAfterMs: 200, heals: true });
    await expect.poll(() => rebuilt.length, patient).toBe(1);
    expect(rebuilt[0]).toMatchObject({ stream: "TASKS", durable: "pay", messages: 5, times: 1 });
    expect(rebuilt[0]?.silentMs).toBeGreaterThanOrEqual(200);
    await expect.poll(() => dog.watched().get("pay")?.[0]?.rebuilds, patient).toMatchObject({ total: 1, inVain: 0 });
    expect(health().actors["pay"]).toMatchObject({ rebuilt: 1 });
  });

  test("what did not help again, after twice as long, and stays red", async () => {
    const { rebuilt, rebuiltAtMs, health } = start(async () => pending, { rebuildAfterMs: 100 });
    await expect.poll(() => rebuilt.length, patient).toBe(3);
    expect(rebuilt.map(({ times }) => times)).toEqual([1, 2, 3]);
    const [first, second, third] = rebuiltAtMs as [number, number, number];
    expect(second - first).toBeGreaterThanOrEqual(200);
    expect(third - second).toBeGreaterThanOrEqual(400);
    const red = /^pay: 5 messages wait .* nothing has come for .* had fallen silent and was begun anew: \d ×$/;
    await expect.poll(() => health().reasons, patient).toEqual([expect.stringMatching(red)]);
  });

  test.each<[string, Ask]>([
    ["nothing that waits", async () => idle],
    ["a durable that is gone: it may have been retired", async () => undefined],
    ["one that is paused", async () => ({ ...pending, pausedUntilMs: Date.now() + 60_000 })],
    ["one of which nothing can be told", () => Promise.reject(new Error("no answer"))],
  ])("not: %s", async (_what, ask) => {
    let asked = 0;
    const { rebuilt } = start(
      (...which) => {
        asked += 1;
        return ask(...which);
      },
      { rebuildAfterMs: 100 },
    );
    await expect.poll(() => asked, patient).toBeGreaterThan(10);
    expect(rebuilt).toEqual([]);
  });

  test("not while a handler was taken at any look in between", async () => {
    const { look, rebuilt, dog } = start(async () => pending, { rebuildAfterMs: 400, healthWindowMs: 400 });
    const troubled = (): boolean => dog.watched().get("pay")?.[0]?.troubleSinceMs !== undefined;
    for (let n = 0; n < 5; n++) {
      await expect.poll(troubled, patient).toBe(true);
      look.restraint = "busy";
      await expect.poll(troubled, patient).toBe(false);
      look.restraint = undefined;
    }
    expect(rebuilt).toEqual([]);
  });
});

test("what has filled the room while the server was asked is no silence", async () => {
  const seen: unknown[] = [];
  const stand: Stand = start(async () => {
    stand.look.restraint = "busy";
    setImmediate(() => seen.push(stand.dog.watched().get("pay")?.[0]?.sighting.kind));
    return pending;
  });
  await expect.poll(() => seen.length, patient).toBeGreaterThan(0);
  expect(seen[0]).toBe("busy");
});

test("an answer that comes after its end mends nothing", async () => {
  const answers: (() => void)[] = [];
  const stand = start(
    () =>
      new Promise((resolve) => {
        answers.push(() => resolve(pending));
      }),
    { rebuildAfterMs: 100 },
  );
  // Trouble has lasted long enough when the last answer is on its way.
  const endMs = performance.now() + 300;
  while (performance.now() < endMs) {
    await expect.poll(() => answers.length, patient).toBe(1);
    if (performance.now() < endMs) answers.pop()?.();
  }
  const [rebuilds, seen] = [stand.rebuilt.length, stand.dog.watched().get("pay")?.[0]?.atMs];
  stand.dog.stop();
  for (const answer of answers) answer();
  await new Promise((resolve) => setImmediate(resolve));
  expect([stand.rebuilt.length, stand.dog.watched().get("pay")?.[0]?.atMs]).toEqual([rebuilds, seen]);
});
