/** Runs record: what it says of a message's past, however often and in whatever order its notes were written. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  apply,
  historyOf,
  judgeNote,
  noHistory,
  type NotedRun,
  type Noted,
  type RunNote,
  type RunsRecord,
} from "../../src/lifecycle/runs.ts";

const empty: RunsRecord = { v: 1, id: "m", runs: {}, errors: [], delayMs: 0, until: 0 };

function record(runs: RunsRecord["runs"], more: Partial<RunsRecord> = {}): RunsRecord {
  return { ...empty, runs, ...more };
}

/** The run of a delivery, where the server forgets none. */
const run = (count: number, nonce = "only"): NotedRun => ({ count, nonce });

const failure = (attempt: number, delayMs = 100): RunNote => ({
  state: "failed",
  delayMs,
  error: { at: attempt, attempt, name: "Error", message: `failure ${attempt}` },
});

describe("the history", () => {
  test("of a message without a record is clean", () => {
    expect(historyOf(undefined, 1)).toBe(noHistory);
    expect(noHistory).toMatchObject({ attempt: 1, stalls: 0, soleStalls: 0, errors: [], lastDelayMs: 0 });
  });

  test("counts failed runs as attempts, unfinished ones as stalls, interrupted ones not at all", () => {
    const past = record({ 1: "failed", 2: "interrupted", 3: "failed", 4: "started", 6: "started" }, { delayMs: 7 });
    expect(historyOf(past, 7)).toMatchObject({ attempt: 3, stalls: 2, soleStalls: 1, lastDelayMs: 7 });
  });

  test("counts every failure, and as stalls what earlier deliveries left: one under way, or a later one, may go on", () => {
    const past = record({ 1: "failed", 2: "started", 3: "failed", 4: "started" });
    expect(historyOf(past, 2)).toMatchObject({ attempt: 3, stalls: 0 });
    expect(historyOf(past, 3)).toMatchObject({ attempt: 3, stalls: 1, soleStalls: 0 });
    expect(historyOf(past, 10)).toMatchObject({ attempt: 3, stalls: 2, soleStalls: 1 });
  });

  test("of the first stall knows no culprit, since others ran beside it", () => {
    expect(historyOf(record({ 1: "started" }), 2)).toMatchObject({ stalls: 1, soleStalls: 0 });
    expect(historyOf(record({ 1: "started", 2: "started" }), 3)).toMatchObject({ stalls: 2, soleStalls: 1 });
  });
});

describe("a note", () => {
  test("of a failure keeps its error, its delay and when the message is back", () => {
    const beforeMs = Date.now();
    const after = apply(empty, run(1), failure(1, 500));
    expect(after).toMatchObject({
      runs: { 1: "failed" },
      errors: [{ attempt: 1, message: "failure 1" }],
      delayMs: 500,
    });
    expect(after.until).toBeGreaterThanOrEqual(beforeMs + 500);
    expect(apply(after, run(2), { state: "started" })).toMatchObject({
      runs: { 1: "failed", 2: "started" },
      delayMs: 500,
      until: 0,
    });
  });

  test("replaces the one before it of the same delivery", () => {
    const started = apply(empty, run(2), { state: "started" });
    expect(apply(started, run(2), { state: "interrupted" }).runs).toEqual({ 2: "interrupted" });
    expect(apply(started, run(2), failure(1)).runs).toEqual({ 2: "failed" });
  });

  test("written twice changes nothing but the time", () => {
    const once = apply(empty, run(1), failure(1));
    expect({ ...apply(once, run(1), failure(1)), until: 0 }).toEqual({ ...once, until: 0 });
  });

  test("leaves the record that it was given as it was", () => {
    const before = record({ 1: "failed" });
    apply(before, run(2), failure(2));
    expect(before).toEqual(record({ 1: "failed" }));
  });

  test("keeps the last ten errors, and the last ten interruptions, so that no record grows for ever", () => {
    let grown = empty;
    for (let count = 1; count <= 40; count++) grown = apply(grown, run(count), { state: "interrupted" });
    expect(Object.keys(grown.runs)).toEqual(Array.from({ length: 10 }, (_, n) => String(31 + n)));
    let failed = empty;
    for (let count = 1; count <= 40; count++) failed = apply(failed, run(count), failure(count));
    expect(failed.errors.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 10 }, (_, n) => 31 + n));
    expect(historyOf(failed, 41).attempt, "while every failure still counts").toBe(41);
  });
});

describe("deliveries that the server has forgotten", () => {
  test("come again with the counts of others: each failure counts once, and is numbered by those before it", () => {
    let past = apply(empty, run(1, "a"), failure(1));
    past = apply(past, run(2, "b"), { state: "started" });
    past = apply(past, run(2, "b"), failure(2));
    for (const nonce of ["c", "d"]) past = apply(past, run(1, nonce), failure(1));
    past = apply(past, run(2, "e"), { state: "started" });
    past = apply(past, run(2, "e"), failure(2));
    expect(historyOf(past, 3)).toMatchObject({ attempt: 6, stalls: 0 });
    expect(past.errors.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5]);
  });

  test("a run that has started under a count is not taken for another one that has it, and stalls later", () => {
    const first = apply(empty, run(2, "a"), { state: "started" });
    expect(historyOf(first, 2).stalls, "it may go on").toBe(0);
    const both = apply(first, run(2, "b"), { state: "started" });
    expect(historyOf(both, 3).stalls).toBe(2);
    expect(judgeNote(both, run(2, "a"), { state: "completed", late: true }), "the other began after it").toBe(
      "overtaken",
    );
    expect(judgeNote(both, run(2, "b"), { state: "completed", late: true })).toBe("noted");
    expect(apply(both, run(2, "a"), { state: "interrupted" }).runs).toEqual({ 2: "interrupted", 3: "started" });
  });

  test("a failure counts after the message's fate too, which stays, and not after its completion", () => {
    const fate = { reason: "exhausted", name: "Error", message: "first" } as const;
    const dying = apply(empty, run(1, "a"), { ...failure(1), fate });
    const again: RunNote = { ...failure(1), fate: { ...fate, message: "second" } };
    expect(judgeNote(dying, run(1, "b"), again)).toBe("noted");
    expect(apply(dying, run(1, "b"), again)).toMatchObject({ fate, errors: [{ attempt: 1 }, { attempt: 2 }] });
    expect(judgeNote(dying, run(2, "c"), { state: "started" })).toBe("over");
    expect(judgeNote(apply(empty, run(1, "a"), { state: "completed" }), run(1, "b"), again)).toBe("over");
  });

  test("one that failed while its worker was cut off counts as an attempt, also where a later one has started", () => {
    const later = apply(empty, run(2, "b"), { state: "started" });
    expect(judgeNote(later, run(1, "a"), { ...failure(1), late: true, cut: true })).toBe("noted");
    expect(judgeNote(later, run(1, "a"), { ...failure(1), late: true, cut: false })).toBe("overtaken");
  });
});

test("attempts and stalls do not depend on how often a note was written", () => {
  const state = fc.constantFrom("started", "failed", "interrupted");
  fc.assert(
    fc.property(fc.array(fc.tuple(state, fc.integer({ min: 1, max: 3 })), { maxLength: 9 }), (notes) => {
      let once = empty;
      let often = empty;
      for (const [index, [is, times]] of notes.entries()) {
        const note: RunNote = is === "failed" ? failure(index) : { state: is };
        once = apply(once, run(index + 1), note);
        for (let n = 0; n < times; n++) often = apply(often, run(index + 1), note);
      }
      const count = notes.length + 1;
      expect(historyOf(often, count)).toEqual(historyOf(once, count));
      expect(historyOf(once, count).attempt).toBe(1 + notes.filter(([is]) => is === "failed").length);
      expect(historyOf(once, count).stalls).toBe(notes.filter(([is]) => is === "started").length);
    }),
  );
});

describe("a run that ended late", () => {
  const late: RunNote = { state: "completed", late: true };

  test("may say so where no later one has started, and says nothing of a message that has ended", () => {
    expect(judgeNote(undefined, run(1), late)).toBe("noted");
    expect(judgeNote(record({ 2: "interrupted", 3: "failed" }), run(1), late)).toBe("noted");
    expect(judgeNote(record({ 2: "started" }), run(1), late)).toBe("overtaken");
    expect(judgeNote(record({ 1: "started", 2: "started" }), run(2), late)).toBe("noted");
    expect(judgeNote(record({ 2: "completed" }), run(1), late)).toBe("over");
    const fate = { reason: "exhausted", name: "Error", message: "no" } as const;
    expect(judgeNote(record({ 2: "failed" }, { fate }), run(1), late)).toBe("over");
    expect(judgeNote(apply(empty, run(1), late), run(1), late), "its own, whose answer was lost").toBe("noted");
  });

  test("stops those that come after it", () => {
    const completed = apply(record({ 1: "failed" }), run(2), late);
    expect(historyOf(completed, 3).completed).toBe(true);
    expect(judgeNote(completed, run(3), { state: "started" })).toBe("over");
    expect(judgeNote(completed, run(1), { state: "interrupted" })).toBe("over");
  });

  test("in no order of reads and writes it acts beside a later run, or beside another that ended late", () => {
    // Each delivery starts (the first without a word), and ends late or dies; each write is against the revision that was read before.
    const step = fc.record({ delivery: fc.integer({ min: 1, max: 4 }), write: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let stored: { record: RunsRecord | undefined; revision: number } = { record: undefined, revision: 0 };
        const seen = new Map<number, typeof stored>();
        const overlaps: number[] = [];
        const runs = new Map<number, "running" | "acted" | "dropped">([[1, "running"]]);
        for (const { delivery, write } of steps) {
          const is = runs.get(delivery);
          if (is === "acted" || is === "dropped") continue;
          const note: RunNote = is === "running" ? late : { state: "started" };
          if (!write) {
            seen.set(delivery, stored);
            continue;
          }
          const base = seen.get(delivery);
          if (base === undefined || base.revision !== stored.revision) continue;
          const said: Noted = judgeNote(base.record, run(delivery), note);
          if (said !== "over") {
            const next = apply(base.record ?? empty, run(delivery), said === "noted" ? note : { state: "started" });
            stored = { record: next, revision: stored.revision + 1 };
          }
          if (is === "running" && said === "noted") {
            for (const [other, state] of runs) if (other > delivery && state === "running") overlaps.push(other);
            runs.set(delivery, "acted");
          } else runs.set(delivery, is === undefined && said === "noted" ? "running" : "dropped");
        }
        expect(overlaps, "runs that go on beside one that acts").toEqual([]);
        expect([...runs.values()].filter((state) => state === "acted").length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 2_000 },
    );
  });
});
