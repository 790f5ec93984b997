/** Retries: how often and how late a failing message runs again, measured between the starts of its runs. */
import { expect, test } from "vitest";
import { RetryAfter, Snooze, Terminal, type ActorConfig, type Context } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

/** How much later than asked for a run may begin on a busy machine. */
const slackMs = 1_500;

/** An actor that notes when each run began, by id, and always ends as `end` says. */
function failing(config: ActorConfig, end: (ctx: Context) => unknown) {
  const starts = new Map<string, number[]>();
  const contexts: { attempt: number; deliveries: number }[] = [];
  const Failing = actorOf(config, (_input, ctx) => {
    starts.set(ctx.id, [...(starts.get(ctx.id) ?? []), performance.now()]);
    contexts.push({ attempt: ctx.attempt, deliveries: ctx.deliveries });
    return end(ctx);
  });
  const gaps = (): number[][] =>
    [...starts.values()].map((times) => times.slice(1).map((time, index) => time - (times[index] ?? 0)));
  return { Failing, starts, contexts, gaps };
}

function fail(): never {
  throw new Error("it broke");
}

test("a message that succeeds runs once and is gone", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { Failing, contexts } = failing({ name: "one" }, () => "done");
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, { n: 1 });
  const [completed] = await recorder.until("completed");
  expect(completed?.data).toMatchObject({ actor: "one", attempt: 1, deliveries: 1, stream: stage.names.tasks });
  expect(await client.count(stage.names.tasks), "its ack is confirmed, so it cannot come again").toBe(0);
  expect(contexts).toEqual([{ attempt: 1, deliveries: 1 }]);
});

test("without jitter the delays are exactly base × 2^(n-1) up to max, and the runs keep to them", async () => {
  const system = await stage.connect();
  const { Failing, contexts, gaps } = failing(
    { name: "exact", retry: { attempts: 6, base: 100, max: 500, jitter: "none" } },
    fail,
  );
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ reason: "exhausted", attempt: 6, deliveries: 6 });
  const wanted = [100, 200, 400, 500, 500];
  expect(recorder.of("retry").map(({ data }) => data.delayMs)).toEqual(wanted);
  expect(contexts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6]);
  const [measured = []] = gaps();
  expect(measured).toHaveLength(5);
  for (const [index, delayMs] of wanted.entries()) {
    expect(measured[index], `gap ${index + 1}`).toBeGreaterThanOrEqual(delayMs - 1);
    expect(measured[index], `gap ${index + 1}`).toBeLessThanOrEqual(delayMs + slackMs);
  }
});

test("with full jitter, the default, the delays lie anywhere between 0 and base × 2^(n-1)", async () => {
  const system = await stage.connect();
  const count = 25; // Two retries each: no more than the floor of the retry budget, so that nothing is stretched.
  const baseMs = 600;
  const { Failing, gaps } = failing({ name: "jittered", concurrency: 30, retry: { attempts: 3, base: baseMs } }, fail);
  const recorder = record(await system.work([Failing]));
  await system.tellMany(
    Failing,
    Array.from({ length: count }, (_, n) => n),
  );
  await recorder.until("dead", count);
  for (const [nth, ceilingMs] of [baseMs, baseMs * 2].entries()) {
    const measured = gaps().map((times) => times[nth] ?? Number.NaN);
    const planned = recorder
      .of("retry")
      .filter(({ data }) => data.attempt === nth + 1)
      .map(({ data }) => data.delayMs);
    expect(planned).toHaveLength(count);
    for (const delays of [measured, planned.map((ms) => ms + slackMs)]) {
      expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...delays)).toBeLessThanOrEqual(ceilingMs + slackMs);
    }
    // 25 draws leave one half empty once in thirty million times.
    expect(Math.min(...planned), "some come early").toBeLessThan(0.5 * ceilingMs);
    expect(Math.max(...planned), "some come late").toBeGreaterThan(0.5 * ceilingMs);
    expect(new Set(planned).size, "no two herds").toBeGreaterThan(count / 2);
  }
});

test("RetryAfter wins over the backoff, and is spread by up to a fifth", async () => {
  const system = await stage.connect();
  const delayMs = 400;
  const { Failing, gaps } = failing(
    { name: "after", concurrency: 20, retry: { attempts: 2, base: "1h", max: "1h", jitter: "none" } },
    () => {
      throw new RetryAfter(delayMs);
    },
  );
  const recorder = record(await system.work([Failing]));
  await system.tellMany(
    Failing,
    Array.from({ length: 20 }, (_, n) => n),
  );
  await recorder.until("dead", 20);
  const planned = recorder.of("retry").map(({ data }) => data.delayMs);
  expect(planned).toHaveLength(20);
  expect(Math.min(...planned)).toBeGreaterThanOrEqual(delayMs);
  expect(Math.max(...planned)).toBeLessThanOrEqual(delayMs * 1.2);
  expect(new Set(planned).size, "they do not come back as a herd").toBeGreaterThan(5);
  for (const [gapMs = 0] of gaps()) {
    expect(gapMs).toBeGreaterThanOrEqual(delayMs - 1);
    expect(gapMs).toBeLessThanOrEqual(delayMs * 1.2 + slackMs);
  }
  expect(recorder.of("dead").every(({ data }) => data.reason === "exhausted" && data.attempt === 2)).toBe(true);
});

test("RetryAfter may be longer than the longest backoff", async () => {
  const system = await stage.connect();
  const { Failing } = failing({ name: "long", retry: { attempts: 2, base: 10, max: 20 } }, (ctx) => {
    if (ctx.attempt === 1) throw new RetryAfter("300ms");
  });
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  await recorder.until("completed");
  expect(recorder.of("retry")[0]?.data.delayMs).toBeGreaterThanOrEqual(300);
});

test("Snooze comes back after its time and counts no attempt", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { Failing, contexts, gaps } = failing({ name: "sleepy", retry: { attempts: 2, base: 1 } }, (ctx) => {
    if (ctx.deliveries <= 4) throw new Snooze("150ms");
    if (ctx.deliveries === 5) throw new Error("a real failure");
  });
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  await recorder.until("completed");
  expect(contexts).toEqual([
    { attempt: 1, deliveries: 1 },
    { attempt: 1, deliveries: 2 },
    { attempt: 1, deliveries: 3 },
    { attempt: 1, deliveries: 4 },
    { attempt: 1, deliveries: 5 },
    { attempt: 2, deliveries: 6 },
  ]);
  const [measured = []] = gaps();
  for (const gapMs of measured.slice(0, 4)) expect(gapMs).toBeGreaterThanOrEqual(149);
  expect(recorder.of("deferred").map(({ data }) => data)).toMatchObject(
    Array.from({ length: 4 }, () => ({ reason: "snooze", delayMs: 150 })),
  );
  expect(recorder.of("stalled"), "a snooze is no stall").toEqual([]);
  expect(await client.count(stage.names.tasks)).toBe(0);
});

test("Terminal is dead at once, whatever retries there would be", async () => {
  const system = await stage.connect();
  const { Failing, contexts } = failing({ name: "terminal" }, () => {
    throw new Terminal("no such account", { cause: new Error("404") });
  });
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ reason: "terminal", attempt: 1, error: { message: "no such account" } });
  expect(contexts).toHaveLength(1);
  expect(recorder.of("retry")).toEqual([]);
});

test("an error for which retry.when says false is dead at once, another is retried", async () => {
  class CardDeclined extends Error {}
  const system = await stage.connect();
  const { Failing } = failing(
    { name: "choosy", retry: { attempts: 2, base: 1, when: (error) => !(error instanceof CardDeclined) } },
    (ctx) => {
      throw ctx.id === "declined" ? new CardDeclined("declined") : new Error("timeout");
    },
  );
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {}, { id: "declined" });
  await system.tell(Failing, {}, { id: "timeout" });
  const dead = await recorder.until("dead", 2);
  const byId = Object.fromEntries(dead.map(({ data }) => [data.id, [data.reason, data.attempt]]));
  expect(byId).toEqual({ declined: ["terminal", 1], timeout: ["exhausted", 2] });
});

test("a retry.when that throws does not cost the message its retries", async () => {
  const system = await stage.connect();
  const { Failing } = failing(
    {
      name: "buggy",
      retry: {
        attempts: 2,
        base: 1,
        when: () => {
          throw new Error("a bug in when");
        },
      },
    },
    (ctx) => {
      if (ctx.attempt === 1) fail();
    },
  );
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  await recorder.until("completed");
  expect(recorder.of("retry")[0]?.data.error.message).toBe("it broke");
});

test("a message that expires while it waits for its retry is dead as expired, with the errors that it had", async () => {
  const system = await stage.connect();
  const { Failing, contexts } = failing({ name: "stale", retry: { base: 300, jitter: "none" } }, fail);
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {}, { expiresIn: 250 });
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ reason: "expired", deliveries: 2 });
  expect(contexts).toHaveLength(1);
  const [letter] = await listDead(system);
  expect(letter).toMatchObject({ attempts: 1, history: [{ attempt: 1, message: "it broke" }] });
});

test("attempts: 1 means no retry", async () => {
  const system = await stage.connect();
  const { Failing, contexts } = failing({ name: "single", retry: { attempts: 1 } }, fail);
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  const [dead] = await recorder.until("dead");
  expect(dead?.data).toMatchObject({ reason: "exhausted", attempt: 1 });
  expect(contexts).toHaveLength(1);
});

test("a worker that takes over goes on with the attempt and the error history of the one before", async () => {
  const system = await stage.connect();
  const config: ActorConfig = { name: "handed", retry: { attempts: 3, base: 300, jitter: "none" } };
  const { Failing, contexts } = failing(config, fail);
  const first = await system.work([Failing]);
  const before = record(first);
  await system.tell(Failing, {}, { id: "h" });
  await before.until("retry");
  await first.stop();

  const after = record(await system.work([Failing]));
  await after.until("dead");
  expect(contexts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  expect(after.of("retry").map(({ data }) => data.delayMs)).toEqual([600]);
  const [letter] = await listDead(system, { id: "h" });
  expect(letter?.history.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
});

test("what a handler throws that is no Error is a failure like any other", async () => {
  const system = await stage.connect();
  const { Failing } = failing({ name: "odd", retry: { attempts: 1 } }, (ctx) => {
    // oxlint-disable-next-line typescript/only-throw-error -- throwing what is no Error is the point
    throw ctx.id === "text" ? "a string" : ctx.id === "none" ? undefined : { status: 500 };
  });
  const recorder = record(await system.work([Failing]));
  for (const id of ["text", "none", "object"]) await system.tell(Failing, {}, { id });
  const dead = await recorder.until("dead", 3);
  const texts = Object.fromEntries(dead.map(({ data }) => [data.id, data.error.message]));
  expect(texts["text"]).toBe("a string");
  expect(texts["object"]).toContain('{"status":500}');
  expect(texts["none"]).toContain("undefined");
});

test("when everything fails at once the delays of one worker stretch, up to max", async () => {
  const system = await stage.connect();
  const count = 150;
  const { Failing } = failing(
    { name: "storm", concurrency: 100, retry: { attempts: 2, base: 200, max: 300, jitter: "none" } },
    (ctx) => {
      if (ctx.attempt === 1) fail();
    },
  );
  const recorder = record(await system.work([Failing]));
  await system.tellMany(
    Failing,
    Array.from({ length: count }, (_, n) => n),
  );
  await recorder.until("completed", count);
  const planned = recorder.of("retry").map(({ data }) => data.delayMs);
  expect(planned).toHaveLength(count);
  expect(Math.min(...planned), "the first ones are within the budget").toBe(200);
  expect(Math.max(...planned), "the last ones are not").toBeGreaterThan(200);
  expect(Math.max(...planned), "never above max").toBeLessThanOrEqual(300);
  const early = planned.slice(0, 50);
  expect(early.every((ms) => ms === 200)).toBe(true);
});
