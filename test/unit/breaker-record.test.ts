import { describe, expect, test } from "vitest";
import { Deferred, RetryAfter, Snooze, Terminal } from "../../src/actor/signals.ts";
import {
  clamped,
  closedRecord,
  handBackRecord,
  handOpenRecord,
  isHeldOpen,
  leaseRecord,
  judge,
  openRecord,
  phaseOf,
  putBackMs,
  readRecord,
  recordTtlMs,
  whoseCounts,
} from "../../src/guard/breaker/record.ts";

const open = openRecord(1_000, 30_000, "a");
const closed = closedRecord("b");

describe("a record", () => {
  test("is open until the time of its probe, half-open from then on", () => {
    expect(phaseOf(open, 1_000)).toBe("open");
    expect(phaseOf(open, 30_999)).toBe("open");
    expect(phaseOf(open, 31_000)).toBe("half-open");
    expect(phaseOf(closed, 31_000)).toBe("closed");
  });

  test("survives being written and read; what is none of ours is nothing", () => {
    expect(readRecord(JSON.parse(JSON.stringify(open)))).toEqual(open);
    for (const other of [undefined, null, 1, "open", {}, { ...open, v: 2 }, { ...open, probeAtMs: "soon" }])
      expect(readRecord(other)).toBeUndefined();
  });

  test("of a host whose clock is ahead keeps a circuit open for no longer than one of ours", () => {
    expect(clamped({ ...open, probeAtMs: 9e12 }, 5_000, 30_000).probeAtMs).toBe(36_000);
    expect(clamped(open, 5_000, 30_000)).toEqual(open);
  });

  test("of a person keeps it open until the time that he gave, and is kept for that long and a week", () => {
    const year = 365 * 86_400_000;
    const byHand = handOpenRecord(3 * year, "p");
    expect(clamped(byHand, 5_000, 30_000)).toEqual(byHand);
    expect(phaseOf(byHand, 2 * year)).toBe("open");
    expect(isHeldOpen(byHand, 2 * year)).toBe(true);
    expect(isHeldOpen(byHand, 3 * year)).toBe(false);
    expect(isHeldOpen(open, 1_000)).toBe(false);
    expect(readRecord(JSON.parse(JSON.stringify(byHand)))).toEqual(byHand);
    const week = 7 * 86_400_000;
    expect(recordTtlMs(open, 1_000)).toBe(week);
    expect(recordTtlMs(handOpenRecord(61_000, "p"), 1_000)).toBe(week + 60_000);
    expect(recordTtlMs(byHand, 0)).toBe(week + year);
  });

  test("of a lease counts resetAfter from the latest time at which the probe may begin", () => {
    expect(leaseRecord(1_000, 30_000, "a").probeAtMs).toBe(32_000);
    expect(leaseRecord(1_000, 2_000, "a").probeAtMs).toBe(3_500);
    expect(leaseRecord(1_000, 100, "a").probeAtMs).toBe(1_200);
  });

  test("of a probe given back lets another try soon, not at once, and no later than without it", () => {
    expect(handBackRecord(1_000, 30_000, "a").probeAtMs).toBe(1_250);
    expect(handBackRecord(1_000, 100, "a").probeAtMs).toBe(1_100);
  });
});

describe("a message that cannot run", () => {
  test("is put back until the next probe, a tenth of resetAfter and half a second at most later", () => {
    expect(putBackMs(open, 1_000, 30_000, () => 0)).toBe(30_000);
    expect(putBackMs(open, 1_000, 30_000, () => 0.999)).toBe(30_500);
    expect(putBackMs({ ...open, probeAtMs: 2_000 }, 1_000, 1_000, () => 0.999)).toBe(1_100);
  });

  test("is put back for no longer than resetAfter where a person holds the circuit open", () => {
    expect(putBackMs(handOpenRecord(9e12, "p"), 1_000, 30_000, () => 0)).toBe(30_000);
    expect(putBackMs(handOpenRecord(2_000, "p"), 1_000, 30_000, () => 0)).toBe(1_000);
  });

  test("is put back for no longer than a minute, however long the circuit stays open: a person may close it", () => {
    expect(putBackMs(openRecord(1_000, 3_600_000, "a"), 1_000, 3_600_000, () => 0)).toBe(60_000);
    expect(putBackMs(handOpenRecord(9e12, "p"), 1_000, 3_600_000, () => 0)).toBe(60_000);
  });

  test("is put back for a moment where the time of the probe has come", () => {
    expect(putBackMs(open, 90_000, 30_000, () => 0)).toBe(50);
  });
});

describe("two writes that met", () => {
  const own = { record: closed, was: 4, ageMs: 100 };

  test("the other's counts where it says the same", () => {
    expect(whoseCounts(own, { value: closedRecord("c"), revision: 5 }, 30_000, 2_000)).toBe("theirs");
    expect(whoseCounts({ ...own, record: open }, { value: openRecord(1, 1, "c"), revision: 5 }, 30_000, 2_000)).toBe(
      "theirs",
    );
    expect(whoseCounts(own, { value: undefined, revision: 0 }, 30_000, 2_000)).toBe("theirs");
  });

  test("ours counts where it is fresh, theirs where ours waited for longer than a circuit stays open", () => {
    expect(whoseCounts(own, { value: open, revision: 5 }, 30_000, 2_000)).toBe("own");
    expect(whoseCounts({ ...own, ageMs: 30_000 }, { value: open, revision: 5 }, 30_000, 2_000)).toBe("theirs");
    expect(whoseCounts({ ...own, record: open }, { value: closed, revision: 5 }, 30_000, 2_000)).toBe("own");
  });

  test("what a person says counts more than either, for as long as it holds", () => {
    const byHand = { value: handOpenRecord(9_000, "p"), revision: 5 };
    expect(whoseCounts({ ...own, ageMs: 0 }, byHand, 30_000, 8_999)).toBe("theirs");
    expect(whoseCounts({ ...own, ageMs: 0 }, byHand, 30_000, 9_000)).toBe("own");
    expect(whoseCounts({ ...own, ageMs: 0 }, { ...byHand, revision: 4 }, 30_000, 8_999)).toBe("theirs");
  });

  test("ours counts where nobody had written after all, however old it is", () => {
    expect(whoseCounts({ ...own, ageMs: 1e9 }, { value: open, revision: 4 }, 30_000, 2_000)).toBe("own");
  });
});

describe("an error", () => {
  const always = (): boolean => true;

  test("is a failure of the dependency, unless it is a signal or a `when` says otherwise", () => {
    expect(judge(new Error("down"), always)).toBe("failed");
    expect(judge(new Error("declined"), () => false)).toBe("answered");
    expect(judge(new Terminal("no such card"), always)).toBe("answered");
    expect(judge(new RetryAfter("1s"), always)).toBe("nothing");
    expect(judge(new Snooze("1s"), always)).toBe("nothing");
    expect(judge(new Deferred("rate-limited", 1, "later"), always)).toBe("nothing");
  });

  test("is a failure where `when` throws", () => {
    const broken = (): boolean => {
      throw new Error("a bug");
    };
    expect(judge(new Error("down"), broken)).toBe("failed");
  });
});
