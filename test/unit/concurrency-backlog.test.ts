/** For how long messages without a permit are put back. */
import { describe, expect, test } from "vitest";
import { Backlog } from "../../src/guard/concurrency-limit/backlog.ts";

describe("those of one key", () => {
  test("come back one behind another", () => {
    const backlog = new Backlog(1, () => 0);
    const delays = [1, 2, 3, 4].map(() => backlog.delayMs("a", 1, 0));
    expect(delays).toEqual([25, 50, 75, 100]);
    expect(backlog.delayMs("b", 1, 0)).toBe(25);
    // Those before it have come back by then.
    expect(backlog.delayMs("a", 1, 1_000)).toBe(25);
  });

  test("come later where handlers take longer or more processes share the limit, and sooner where it is larger", () => {
    const quick = new Backlog(1, () => 0);
    for (let at = 0; at < 100; at++) quick.note("a", 1);
    expect(quick.delayMs("a", 1, 0)).toBe(2);
    expect(new Backlog(1, () => 0).delayMs("a", 2, 0)).toBe(50);
    expect(new Backlog(5, () => 0).delayMs("a", 1, 0)).toBe(5);
    const slow = new Backlog(1, () => 0);
    for (let at = 0; at < 100; at++) slow.note("a", 60_000);
    expect(slow.delayMs("a", 1, 0)).toBe(50);
  });

  test("come ever later while none of them runs here, however quick those of other keys are", () => {
    const backlog = new Backlog(1, () => 0);
    for (let at = 0; at < 100; at++) backlog.note("quick", 1);
    let nowMs = 0;
    const again = (): number => {
      const delayMs = backlog.delayMs("busy", 1, nowMs);
      nowMs += delayMs;
      return delayMs;
    };
    const delays = Array.from({ length: 100 }, again);
    expect(delays[0]).toBe(2);
    expect(delays[20]).toBe(20);
    expect(delays[99]).toBe(50);
    backlog.note("busy", 1);
    expect(again()).toBe(2);
  });

  test("are spread over the second half of 10 s at the end of a long line, and no later", () => {
    const backlog = new Backlog(1);
    const delays = Array.from({ length: 2_000 }, () => backlog.delayMs("a", 1, 0));
    expect(Math.max(...delays)).toBeLessThanOrEqual(10_000);
    const last = delays.slice(1_000);
    expect(Math.min(...last)).toBeLessThan(6_000);
    expect(Math.min(...last)).toBeGreaterThanOrEqual(5_000);
    expect(Math.max(...last)).toBeGreaterThan(9_000);
  });
});
