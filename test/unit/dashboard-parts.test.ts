/** The dashboard's pure parts: how figures read, what is selected, what is remembered of the last minutes. */
import { describe, expect, test } from "vitest";
import type { ActorFrame, Answer, Frame, HoldUp } from "../../src/admin/api.ts";
import { filtered, sorted } from "../../src/dashboard/actors/columns.ts";
import { holdsOf, untilText } from "../../src/dashboard/actors/guarded.ts";
import { hindrances, inWords } from "../../src/dashboard/explain/words.ts";
import { all, nothing, range, toggle } from "../../src/dashboard/dead/selection.ts";
import { ago, bytes, count, rate, share, span } from "../../src/dashboard/format.ts";
import { emptyHistory, withFrame, withGaps } from "../../src/dashboard/live/history.ts";

const start = Date.UTC(2026, 0, 1);

function actorOf(actor: string, figures: Partial<ActorFrame> = {}): ActorFrame {
  return {
    actor,
    depth: 0,
    lanes: { critical: 0, high: 0, normal: 0, low: 0 },
    scheduled: 0,
    inFlight: 0,
    dead: 0,
    paused: false,
    workers: 1,
    running: 0,
    concurrency: 10,
    rate: 0,
    errorShare: 0,
    deferrals: {},
    ...figures,
  };
}

function frameAt(seconds: number, ...actors: ActorFrame[]): Frame {
  const totals = { rate: 0, errorShare: 0, depth: 0, inFlight: 0, dead: 0, workers: 1 };
  const at = new Date(start + seconds * 1_000).toISOString();
  return { at, namespace: "n", actors, workers: [], breakers: [], limits: [], totals, problems: [] };
}

describe("figures", () => {
  test.each([
    [count(0), "0"],
    [count(999), "999"],
    [count(1_234), "1.2k"],
    [count(34_567), "35k"],
    [count(999_999), "1M"],
    [rate(0), "0/s"],
    [rate(0.01), "<0.1/s"],
    [rate(0.34), "0.3/s"],
    [rate(1_234), "1.2k/s"],
    [share(0), "0 %"],
    [share(0.0004), "<0.1 %"],
    [share(0.0349), "3.5 %"],
    [share(1), "100 %"],
    [span(undefined), "–"],
    [span(0.2), "<1 ms"],
    [span(34.4), "34 ms"],
    [span(1_240), "1.2 s"],
    [span(719_000), "11 min"],
    [span(3 * 3_600_000), "3 h"],
    [span(50 * 3_600_000), "2 d"],
    [bytes(0), "0 B"],
    [bytes(1_234_567), "1.2 MB"],
    [ago(new Date(start).toISOString(), start + 3_700), "3 s ago"],
    // By a clock that is a little behind.
    [ago(new Date(start).toISOString(), start - 500), "1 s ago"],
  ])("%s", (text, expected) => {
    expect(text).toBe(expected);
  });
});

describe("the selection", () => {
  const order = [50, 40, 30, 20, 10];
  const list = (of: { picked: ReadonlySet<number> }): number[] => [...of.picked].toSorted((a, b) => a - b);

  test("takes one and gives it back", () => {
    const one = toggle(nothing, 30);
    expect(list(one)).toEqual([30]);
    expect(list(toggle(one, 30))).toEqual([]);
  });

  test("takes a range in the order of the list, either way, and keeps what there was", () => {
    expect(list(range(toggle(nothing, 40), 20, order))).toEqual([20, 30, 40]);
    expect(list(range(toggle(toggle(nothing, 50), 20), 40, order))).toEqual([20, 30, 40, 50]);
    // The anchor stays.
    expect(list(range(range(toggle(nothing, 30), 20, order), 10, order))).toEqual([10, 20, 30]);
  });

  test("takes one where the range has no beginning, or a beginning that is gone", () => {
    expect(list(range(nothing, 20, order))).toEqual([20]);
    expect(list(range(toggle(nothing, 99), 20, order))).toEqual([20, 99]);
    expect(list(range(all([10]), 30, order))).toEqual([10, 30]);
  });
});

describe("the history", () => {
  test("keeps five minutes, and nulls for what an actor did not say", () => {
    let history = emptyHistory;
    for (let at = 0; at <= 400; at += 2) history = withFrame(history, frameAt(at, actorOf("a", { rate: at })));
    expect(history.times[0]).toBe(start + 100_000);
    expect(history.times).toHaveLength(151);
    expect(history.actors["a"]?.rate.at(-1)).toBe(400);
    expect(history.actors["a"]?.p95Ms.at(-1)).toBeNull();
  });

  test("gives a new actor a past without figures, forgets one that is gone, and takes no frame twice", () => {
    let history = withFrame(emptyHistory, frameAt(0, actorOf("a")));
    history = withFrame(history, frameAt(2, actorOf("b", { depth: 7 })));
    expect(Object.keys(history.actors)).toEqual(["b"]);
    expect(history.actors["b"]?.depth).toEqual([null, 7]);
    expect(withFrame(history, frameAt(2, actorOf("b")))).toBe(history);
  });

  test("adds nothing where the dashboard has no server, and so draws no line there", () => {
    const before = withFrame(emptyHistory, frameAt(0, actorOf("a", { rate: 5 })));
    expect(withFrame(before, { ...frameAt(2, actorOf("a", { rate: 5 })), stale: true })).toBe(before);
  });

  test("knows no share of errors where nothing ran, as the server's own history", () => {
    const idle = withFrame(emptyHistory, frameAt(0, actorOf("a")));
    expect(withFrame(idle, frameAt(2, actorOf("a", { rate: 5 }))).actors["a"]?.errorShare).toEqual([null, 0]);
  });

  test("draws no line over a gap, whether it was there or comes", () => {
    const a = actorOf("a", { depth: 1 });
    const two = withFrame(withFrame(emptyHistory, frameAt(0, a)), frameAt(60, a));
    expect(two.actors["a"]?.depth).toEqual([1, null, 1]);
    const told = {
      times: [0, 2_000, 60_000, 62_000],
      actors: { a: { rate: [1, 1, 1, 1], depth: [1, 2, 3, 4], errorShare: [0, 0, 0, 0], p95Ms: [1, 1, 1, 1] } },
    };
    const gapped = withGaps(told);
    expect(gapped.actors["a"]?.depth).toEqual([1, 2, null, 3, 4]);
    expect(gapped.times).toEqual([0, 2_000, 2_001, 60_000, 62_000]);
    expect(withGaps(gapped)).toBe(gapped);
  });
});

describe("the actors", () => {
  const actors = [actorOf("b", { rate: 1 }), actorOf("a", { rate: 1 }), actorOf("c", { rate: 9, p95Ms: 3 })];
  const names = (list: readonly ActorFrame[]): string => list.map(({ actor }) => actor).join("");

  test("are sorted by a column, then by name", () => {
    expect(names(sorted(actors, "name"))).toBe("abc");
    expect(names(sorted(actors, "-rate"))).toBe("cab");
    expect(names(sorted(actors, "p95"))).toBe("abc");
    expect(names(sorted(actors, "-nonsense"))).toBe("cba");
  });

  test("are filtered by words in any order and case", () => {
    const list = [actorOf("mail.send"), actorOf("mail.read"), actorOf("pay")];
    expect(names(filtered(list, "SEND mail"))).toBe("mail.send");
    expect(filtered(list, " ")).toHaveLength(3);
  });
});

describe("a pause", () => {
  const holdOf = (figures: Partial<ActorFrame>): string => {
    const one = actorOf("a", figures);
    const { paused, pausedUntil } = holdsOf(one, frameAt(0, one), start);
    return paused ? untilText(pausedUntil, start) : "delivering";
  };

  test("without an end lasts until it is resumed, and one with an end until then, however far off", () => {
    expect(holdOf({ paused: true })).toBe("until it is resumed");
    const far = new Date(start + 301 * 86_400_000).toISOString();
    expect(holdOf({ paused: true, pausedUntil: far })).toMatch(/^until .*, for another /);
  });

  test("that has ended since the frame was made is none", () => {
    expect(holdOf({ paused: true, pausedUntil: new Date(start - 1).toISOString() })).toBe("delivering");
    expect(holdOf({ paused: false })).toBe("delivering");
  });
});

describe("what explain answers, in words", () => {
  const nowMs = start;
  const worker = { id: "w", host: "h1", pid: 7 };
  const past = { attempt: 2, stalls: 0, errors: [] };
  const iso = (ms: number): string => new Date(ms).toISOString();
  const place = { stream: "S", sequence: 1, subject: "s", storedAt: iso(start) };
  const of = { id: "m", actor: "a", place, listening: 0 };

  test.each<[Answer, RegExp]>([
    [
      { ...of, state: "running", worker, since: iso(start - 5_000), ...past },
      /^Attempt 2 runs on h1, process 7, since/,
    ],
    [{ ...of, state: "held", worker, since: iso(start), by: "rate limit x", ...past }, /waits for rate limit x; then/],
    [
      { ...of, state: "put-back", reason: "snooze", until: iso(start + 9_000), holdUps: [], ...past },
      /\(snooze\), until/,
    ],
    [{ ...of, state: "backing-off", until: iso(start - 1), holdUps: [], ...past }, /^It has been due for attempt 2/],
    [{ ...of, state: "in-flight", suspects: [worker], ackWaitMs: 30_000, ...past }, /within 30 s, its visibility/],
  ])("%#: %j", (answer, words) => expect(inWords(answer, nowMs)).toMatch(words));

  test("each reason that holds it up is a sentence, and so is each worker that may have it", () => {
    const waiting = (...holdUps: HoldUp[]): Answer => ({ ...of, state: "waiting", ahead: 1, holdUps });
    expect(hindrances(waiting({ why: "paused" }, { why: "no-worker", silent: [worker] }), nowMs)).toEqual([
      "Its actor is paused until it is resumed.",
      "No worker that answers serves its actor; 1 worker should and is silent.",
    ]);
    const lost: Answer = { ...of, state: "in-flight", suspects: [worker], ackWaitMs: 30_000, ...past };
    expect(hindrances(lost, nowMs)).toEqual(["h1, process 7, may have it: it should answer and does not."]);
  });
});
