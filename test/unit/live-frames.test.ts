/** Live frames: what is made of two snapshots, and when a figure is read again. */
import { describe, expect, test } from "vitest";
import { activityOf, rateOf } from "../../src/admin/live/activity.ts";
import { Paced } from "../../src/admin/live/paced.ts";
import { Spans } from "../../src/admin/live/span.ts";
import { resolved } from "../support/resolved.ts";
import { actorSnapshot, newIdentity, type WorkerSnapshot } from "../../src/worker/snapshot.ts";
import { Tally } from "../../src/worker/tally.ts";

const startedAtMs = Date.UTC(2026, 0, 1);

/** A worker of one actor, whose clock says how old it is. */
class FakeWorker {
  readonly tally = new Tally(true);
  readonly #identity = { ...newIdentity(["mail"]), startedAt: new Date(startedAtMs).toISOString() };

  work({ completed = 0, retry = 0, ms = 1 }: { completed?: number; retry?: number; ms?: number }): void {
    for (let n = 0; n < completed + retry; n++) this.tally.handled(ms);
    this.tally.outcomes.completed += completed;
    this.tally.outcomes.retry += retry;
  }

  /** @param clockMs what its host's clock says its age is. */
  snapshot(ageMs: number, clockMs = ageMs): WorkerSnapshot {
    return {
      ...this.#identity,
      state: "running",
      at: new Date(startedAtMs + clockMs).toISOString(),
      ageMs,
      concurrency: 10,
      running: 0,
      memory: { rssBytes: 1, heapUsedBytes: 1, heapLimitBytes: 1 },
      loop: { p50Ms: 0, p99Ms: 0, maxMs: 0 },
      blocked: 0,
      healthy: true,
      unhealthyReasons: [],
      perActor: { mail: actorSnapshot(resolved(), this.tally, { running: 0, inHand: 0 }) },
    };
  }
}

const hourMs = 3_600_000;

describe("spans", () => {
  test("a worker that is heard for the first time gives no rate; then it is what happened in between", () => {
    const spans = new Spans();
    const worker = new FakeWorker();
    worker.work({ completed: 1_000_000, ms: 500 });
    spans.hear(0, [worker.snapshot(hourMs)]);
    expect(spans.at(0).size).toBe(0);
    worker.work({ completed: 30, retry: 10, ms: 8 });
    spans.hear(4_000, [worker.snapshot(hourMs + 4_000)]);
    const activity = activityOf("mail", spans.at(4_000).values());
    expect(activity).toMatchObject({ rate: 10, failedRate: 2.5, errorShare: 0.25 });
    expect(activity.p50Ms).toBeGreaterThan(7);
    expect(activity.p99Ms).toBeLessThan(9);
  });

  test("only the last ten seconds count", () => {
    const spans = new Spans();
    const worker = new FakeWorker();
    const rates = new Map<number, number>();
    for (let second = 0; second <= 30; second += 2) {
      if (second === 10) worker.work({ completed: 500 });
      spans.hear(second * 1_000, [worker.snapshot(hourMs + second * 1_000)]);
      rates.set(second, activityOf("mail", spans.at(second * 1_000).values()).rate);
    }
    expect([0, 8, 10, 18, 20, 30].map((second) => rates.get(second))).toEqual([0, 0, 50, 50, 0, 0]);
  });

  test("a clock that was set back does not make an old worker young, and what it ever did the work of a second", () => {
    const spans = new Spans();
    const worker = new FakeWorker();
    worker.work({ completed: 1_000_000 });
    spans.hear(0, [worker.snapshot(hourMs, -hourMs)]);
    expect(spans.at(0).size).toBe(0);
    worker.work({ completed: 20 });
    spans.hear(2_000, [worker.snapshot(hourMs + 2_000, -hourMs + 2_000)]);
    expect(activityOf("mail", spans.at(2_000).values()).rate).toBe(10);
  });

  test("a worker that began within the span counts from zero, and one started anew does not take away from it", () => {
    const spans = new Spans();
    const [old, fresh] = [new FakeWorker(), new FakeWorker()];
    old.work({ completed: 40 });
    spans.hear(0, [old.snapshot(4_000)]);
    fresh.work({ completed: 20 });
    spans.hear(2_000, [fresh.snapshot(2_000)]);
    const at = spans.at(2_000);
    // 40 in the first one's 4 seconds and the 2 since; 20 in the other's 2.
    expect(activityOf("mail", at.values()).rate).toBeCloseTo(40 / 6 + 20 / 2);
    expect([...at.values()].map(rateOf)).toHaveLength(2);
    spans.hear(12_000, []);
    expect(spans.at(12_000).size).toBe(0);
  });
});

describe("paced", () => {
  test("reads again only what has changed, and spends a twentieth of the time", async () => {
    let nowMs = 0;
    let reads = 0;
    const paced = new Paced("The figure", 0, { nowMs: () => nowMs });
    const read = async (): Promise<number> => {
      nowMs += 100;
      return ++reads;
    };
    // After the first nobody knows what is usual.
    expect(await paced.refresh(read, "0")).toBe(1);
    expect(await paced.refresh(read, "a")).toBe(2);
    nowMs += 1_999;
    expect(await paced.refresh(read, "b")).toBe(2);
    nowMs += 1;
    expect(await paced.refresh(read, "b")).toBe(3);
    nowMs += 1_000_000;
    expect(await paced.refresh(read, "b")).toBe(3);
    expect(await paced.refresh(read)).toBe(4);
  });

  test("one slow read, as of a server that stood still, does not make the next one wait; two do", async () => {
    let nowMs = 0;
    let reads = 0;
    let tookMs = 10;
    const paced = new Paced("The figure", 0, { nowMs: () => nowMs });
    const read = async (): Promise<number> => {
      nowMs += tookMs;
      return ++reads;
    };
    await paced.refresh(read);
    tookMs = 4_000;
    expect(await paced.refresh(read)).toBe(2);
    nowMs += 2_000;
    expect(await paced.refresh(read)).toBe(3);
    nowMs += 2_000;
    expect(await paced.refresh(read)).toBe(3);
    nowMs += 60_000;
    expect(await paced.refresh(read)).toBe(4);
  });

  test("keeps the last value when a read fails, says so, and tries again", async () => {
    let nowMs = 0;
    const paced = new Paced("The figure", 0, { nowMs: () => nowMs });
    await paced.refresh(async () => 7, "a");
    expect(await paced.refresh(() => Promise.reject(new Error("no answer.")), "b")).toBe(7);
    expect(paced.problem).toBe("The figure could not be read (no answer), and may be out of date.");
    nowMs += 5_000;
    expect(await paced.refresh(async () => 8, "b")).toBe(8);
    expect(paced.problem).toBeUndefined();
  });
});
