/** When a worker process is to be replaced, and how long one that crashes has to wait. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CrashStreak } from "../../src/fleet/crash-streak.ts";
import { drawLimits, isOverweight, MemoryTrend, recycleReason } from "../../src/fleet/recycling.ts";

const young = { ageMs: 0, handled: 0, rssBytes: 0, growthBytesPerMs: 0 };

describe("a process is due", () => {
  const limits = { maxMessages: 100, maxMemoryBytes: 200e6, maxAgeMs: 60_000 };

  test.each([
    [{ ...young, handled: 99 }, undefined],
    [{ ...young, handled: 100 }, "messages"],
    [{ ...young, ageMs: 59_999 }, undefined],
    [{ ...young, ageMs: 60_000 }, "age"],
    [{ ...young, rssBytes: 199e6 }, undefined],
    [{ ...young, rssBytes: 200e6 }, "memory"],
    // 20 MB a second: in two seconds it will have passed the limit.
    [{ ...young, rssBytes: 161e6, growthBytesPerMs: 20_000 }, "memory"],
    [{ ...young, rssBytes: 159e6, growthBytesPerMs: 20_000 }, undefined],
    // One that has just begun grows fast.
    [{ ...young, rssBytes: 110e6, growthBytesPerMs: 100_000 }, undefined],
  ])("%o: %s", (vitals, reason) => {
    expect(recycleReason(limits, vitals, 2_000)).toBe(reason);
  });

  test("never where nothing limits it", () => {
    expect(
      recycleReason({}, { ageMs: 1e12, handled: 1e12, rssBytes: 1e12, growthBytesPerMs: 1e6 }, 1e6),
    ).toBeUndefined();
    expect(isOverweight({}, 1e12)).toBe(false);
  });

  test("at once where it is a quarter above its memory limit", () => {
    expect(isOverweight(limits, 250e6)).toBe(false);
    expect(isOverweight(limits, 251e6)).toBe(true);
  });
});

test("each draws limits of its own, at most a tenth below those that were set, and never 0", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), fc.double({ min: 0, max: 1, noNaN: true }), (limit, random) => {
      const { maxMessages = 0, maxMemoryBytes, maxAgeMs } = drawLimits({ maxMessages: limit }, () => random);
      expect(maxMessages).toBeLessThanOrEqual(limit);
      expect(maxMessages).toBeGreaterThanOrEqual(0.9 * limit);
      expect(maxMessages).toBeGreaterThan(0);
      expect([maxMemoryBytes, maxAgeMs]).toEqual([undefined, undefined]);
    }),
  );
  const drawn = [0, 0.5, 1].map((random) => drawLimits({ maxAgeMs: 1_000 }, () => random).maxAgeMs);
  expect(drawn).toEqual([1_000, 950, 900]);
});

test("memory's growth is that of the last seconds, and never negative", () => {
  const trend = new MemoryTrend();
  trend.add(0, 100);
  trend.add(500, 600);
  expect(trend.growth).toBe(0);
  trend.add(1_000, 1_100);
  expect(trend.growth).toBe(1);
  for (let atMs = 1_500; atMs <= 6_000; atMs += 500) trend.add(atMs, 1_100);
  expect(trend.growth).toBe(0);
  trend.add(6_500, 100);
  expect(trend.growth).toBe(0);
});

describe("one that ends by itself is started again", () => {
  test("after waits that double, up to half a minute, spread by half", () => {
    const waits = (random: number): number[] => {
      const streak = new CrashStreak();
      return Array.from({ length: 8 }, () => streak.crashed(0, () => random));
    };
    expect(waits(1)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(waits(0)).toEqual(waits(1).map((ms) => ms / 2));
  });

  test("from the beginning, where it had been at work for half a minute", () => {
    const streak = new CrashStreak();
    const loops = [0, 0, 0].map((readyForMs) => {
      streak.crashed(readyForMs, () => 1);
      return streak.isLoop;
    });
    expect(loops).toEqual([false, false, true]);
    expect(streak.crashed(29_999, () => 1)).toBe(4_000);
    expect(streak.crashed(30_000, () => 1)).toBe(500);
    expect(streak.isLoop).toBe(false);
    streak.crashed(0, () => 1);
    streak.over();
    expect(streak.crashed(0, () => 1)).toBe(500);
  });
});
