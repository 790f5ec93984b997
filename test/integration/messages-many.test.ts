/** tellMany: bulk sends of any iterable, in bounded memory, with an account of what became of each. */
import * as z from "zod";
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

function* numbers(count: number, onEach: (n: number) => void = () => undefined): Generator<number> {
  for (let n = 0; n < count; n++) {
    onEach(n);
    yield n;
  }
}

async function* numbersLater(count: number, onEach?: (n: number) => void): AsyncGenerator<number> {
  for (const n of numbers(count, onEach)) {
    if (n % 100 === 0) await Promise.resolve();
    yield n;
  }
}

test("sends arrays, generators and asynchronous iterables, in order", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const nothing = { accepted: 0, duplicates: 0, failures: [] };
  expect(await system.tellMany("sink", [])).toEqual(nothing);
  expect(await system.tellMany("sink", [10, 11, 12], { codec: "json" })).toEqual({ ...nothing, accepted: 3 });
  expect(await system.tellMany("sink", numbers(4), { codec: "json" })).toEqual({ ...nothing, accepted: 4 });
  expect(await system.tellMany("sink", numbersLater(5), { codec: "json" })).toEqual({ ...nothing, accepted: 5 });
  const bodies: unknown[] = [];
  for (let seq = 1; seq <= 12; seq++) {
    bodies.push((await client.jsm.streams.getMessage(stage.names.tasks, { seq }))?.json());
  }
  expect(bodies).toEqual([10, 11, 12, 0, 1, 2, 3, 0, 1, 2, 3, 4]);
});

test("takes each id from a function, and counts duplicates apart", async () => {
  const system = await stage.connect();
  const calls: [unknown, number][] = [];
  const id = (body: unknown, index: number): string => {
    calls.push([body, index]);
    return `n-${String(body)}`;
  };
  await system.tell("sink", 2, { id: "n-2" });
  expect(await system.tellMany("sink", [1, 2, 3, 1], { id })).toEqual({ accepted: 2, duplicates: 2, failures: [] });
  expect(calls).toEqual([
    [1, 0],
    [2, 1],
    [3, 2],
    [1, 3],
  ]);
  expect(await system.tellMany("sink", [1, 2, 3], { id })).toEqual({ accepted: 0, duplicates: 3, failures: [] });
});

test("lists what cannot be sent by its index, and sends the rest", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const Positive = actorOf({ name: "positive", input: z.object({ n: z.number().positive() }) }, () => {});
  const bodies = [{ n: 1 }, { n: -1 }, { n: 2 }, "text", { n: 3 }, { n: 4 }];
  const id = (body: unknown): string => {
    const { n } = body as { n?: number };
    if (n === 3) throw new Error("no id for three");
    return n === 4 ? "" : String(n);
  };
  const { accepted, duplicates, failures } = await system.tellMany(Positive, bodies, { id });
  expect({ accepted, duplicates }).toEqual({ accepted: 2, duplicates: 0 });
  expect(failures.map(({ index, error }) => [index, (error as { code?: string }).code ?? error.message])).toEqual([
    [1, "INVALID_MESSAGE"],
    [3, "INVALID_MESSAGE"],
    [4, "no id for three"],
    [5, "INVALID_NAME"],
  ]);
  expect(await client.count(stage.names.tasks)).toBe(2);
});

test("lists failures of an asynchronous schema by index too", async () => {
  const system = await stage.connect();
  const Even = actorOf({ name: "even", input: z.number().refine(async (n) => n % 2 === 0) }, () => {});
  const { accepted, failures } = await system.tellMany(Even, numbers(10));
  expect(accepted).toBe(5);
  expect(failures.map(({ index }) => index)).toEqual([1, 3, 5, 7, 9]);
});

test("refuses a mistake in the shared options before anything is sent", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  let asked = 0;
  const bodies = (): Generator<number> => numbers(3, () => (asked += 1));
  await expect(system.tellMany("sink", bodies(), { dely: "1s" } as never)).rejects.toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringContaining('"dely"'),
  });
  await expect(system.tellMany("sink", bodies(), { lane: "urgent" as never })).rejects.toMatchObject({
    code: "INVALID_NAME",
  });
  await expect(system.tellMany("bad name", bodies())).rejects.toMatchObject({ code: "INVALID_NAME" });
  await expect(system.tellMany("sink", bodies(), { id: "one" as never })).rejects.toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringContaining("function"),
  });
  for (const none of [undefined, null, 7, {}]) {
    await expect(system.tellMany("sink", none as never)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("iterable"),
    });
  }
  expect(asked).toBe(0);
  expect(await client.lastSequence(stage.names.tasks)).toBe(0);
});

test("passes on the error of an iterable that breaks off; what it had given is sent", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const breaking = numbers(10, (n) => {
    if (n === 5) throw new Error("the file ended early");
  });
  await expect(system.tellMany("sink", breaking)).rejects.toThrow("the file ended early");
  await expect.poll(() => client.count(stage.names.tasks), patient).toBe(5);
});

test("applies lane, delay and headers to all", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  await system.tellMany("sink", numbers(3), { lane: "low", headers: { "X-Batch": "7" } });
  const stored = await client.last(stage.names.tasks, stage.names.taskSubject("sink", "low"));
  expect(stored?.header.get("X-Batch")).toBe("7");
  await system.tellMany("sink", numbers(3), { delay: "1h" });
  expect(await client.count(stage.names.schedule)).toBe(3);
});

test("20,000 tasks are all stored and all done once", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const count = 20_000;
  const seen = new Map<unknown, number>();
  const Count = actorOf({ name: "count", concurrency: 500 }, (n) => void seen.set(n, (seen.get(n) ?? 0) + 1));
  const worker = await system.work([Count]);
  const recorder = record(worker);
  expect(await system.tellMany(Count, numbersLater(count))).toEqual({ accepted: count, duplicates: 0, failures: [] });
  await recorder.until("completed", count, 50_000);
  expect(seen.size).toBe(count);
  expect(Math.max(...seen.values())).toBe(1);
  expect(await client.count(stage.names.tasks)).toBe(0);
  expect(worker.stats).toMatchObject({
    actors: { count: { completed: count, retry: 0, lost: 0 } },
    lifecycleEntries: 0,
  });
});

const late = z.number().refine(async () => true);

test.each([
  ["a generator", numbers, {}],
  ["an asynchronous iterable", numbersLater, {}],
  ["an asynchronous schema", numbers, { input: late }],
  ["an actor that keeps results", numbers, { result: { ttl: "1m" } }],
] as const)("takes no more from %s than a window while the server does not answer", async (_what, from, more) => {
  const system = await stage.connect();
  const Sink = actorOf({ name: "sink", ...more }, () => {});
  let taken = 0;
  process.kill(stage.pid, "SIGSTOP");
  try {
    const sending = system.tellMany(
      Sink,
      from(20_000, () => (taken += 1)),
    );
    let before = -1;
    await expect
      .poll(
        () => {
          const steady = taken > 0 && taken === before;
          before = taken;
          return steady;
        },
        { ...patient, interval: 200 },
      )
      .toBe(true);
    expect(taken).toBeGreaterThan(100);
    expect(taken).toBeLessThanOrEqual(2_500);
    process.kill(stage.pid, "SIGCONT");
    expect(await sending).toEqual({ accepted: 20_000, duplicates: 0, failures: [] });
    expect(taken).toBe(20_000);
  } finally {
    process.kill(stage.pid, "SIGCONT");
  }
});

test("20,000 sends that wait when the system closes are each told so, and what may be stored of them is unknown", async () => {
  const system = await stage.connect();
  process.kill(stage.pid, "SIGSTOP");
  try {
    const codes = Array.from(numbers(20_000), (n) =>
      system.tell("sink", n).then(
        () => "stored",
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      ),
    );
    const closing = system.close({ grace: 500 });
    const told = await Promise.all(codes);
    // Those in the window were sent, to a server that stands still and will read them.
    expect(told.filter((code) => code === "PUBLISH_TIMEOUT")).toHaveLength(1_000);
    expect(told.filter((code) => code === "CLOSED")).toHaveLength(19_000);
    process.kill(stage.pid, "SIGCONT");
    await closing;
  } finally {
    process.kill(stage.pid, "SIGCONT");
  }
});
