/** What `godwit top` shows of a frame: it fits, in the order that was asked for. */
import { describe, expect, test } from "vitest";
import type { ActorFrame, BreakerFrame, Frame, WorkerFrame } from "../../src/admin/api.ts";
import { renderTop, short } from "../../src/cli/top-view.ts";

function actor(name: string, more: Partial<ActorFrame> = {}): ActorFrame {
  const lanes = { critical: 0, high: 0, normal: 0, low: 0 };
  const figures = {
    depth: 0,
    scheduled: 0,
    inFlight: 0,
    dead: 0,
    workers: 1,
    running: 0,
    concurrency: 10,
    paused: false,
  };
  return { actor: name, lanes, ...figures, rate: 0, errorShare: 0, deferrals: {}, ...more };
}

function frame(actors: ActorFrame[], more: Partial<Frame> = {}): Frame {
  const totals = { rate: 1_234, errorShare: 0.0512, depth: 7, inFlight: 3, dead: 1_000_000, workers: 2 };
  return {
    at: "2026-01-01T00:00:00.000Z",
    namespace: "shop",
    actors,
    workers: [],
    breakers: [],
    limits: [],
    totals,
    problems: [],
    ...more,
  };
}

const large: Partial<ActorFrame> = {
  rate: 123_456.7,
  errorShare: 0.0999,
  depth: 999_499,
  oldestMs: 119_000,
  inFlight: 88_888,
  p50Ms: 987.6,
  p95Ms: 9_940,
  p99Ms: 100_000,
  running: 1_000,
  concurrency: 1_000,
  workers: 120,
  dead: 1_234_567,
};

describe("renderTop", () => {
  test("says of workers that are silent what they last had in hand, and how old that is", () => {
    const at = (seconds: number): string =>
      new Date(Date.parse("2026-01-01T00:00:00Z") - seconds * 1_000).toISOString();
    const silent = (id: string, inHand: number, agoSeconds: number): WorkerFrame => ({
      id,
      host: "h",
      pid: 1,
      version: "1",
      startedAt: at(100),
      state: "silent",
      actors: ["a"],
      last: { at: at(agoSeconds), state: "running", running: 1, inHand, rssBytes: 1, loopP99Ms: 1 },
    });
    const { last: _none, ...older } = silent("c", 0, 0);
    const first = (workers: WorkerFrame[]): string | undefined =>
      renderTop(frame([], { workers }), { order: "rate", width: 80 }).split("\n")[0];
    expect(first([silent("a", 3, 12), silent("b", 4, 25), older])).toMatch(
      /2 workers, 3 silent \(7 in hand 25s ago\)$/,
    );
    expect(first([older])).toMatch(/2 workers, 1 silent$/);
  });

  test("fits 80 columns with the longest names and the largest figures, and the lines that there are", () => {
    const actors = Array.from({ length: 200 }, (_, n) => actor(`a-service.with-a-long-name.actor-number-${n}`, large));
    const text = renderTop(frame(actors, { problems: ["x".repeat(200)] }), {
      order: "rate",
      width: 80,
      height: 24,
      keys: true,
    });
    const lines = text.split("\n");
    expect(lines).toHaveLength(24);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.at(-3)).toBe("… and 184 actors more");
    expect(text).toMatch(/ 123k +10% +999k +119s +88\.9k +988ms +9\.9s +1k\/1k +1\.23M$/m);
    // What makes an actor known is not cut to nothing.
    expect(text).toMatch(/^a-service\.with/m);
  });

  test("tells totals, who works, and why nothing runs", () => {
    const breakers: BreakerFrame[] = [{ name: "api", state: "open", byHand: false, actors: ["c"] }];
    const text = renderTop(
      frame([actor("a", { paused: true }), actor("b", { workers: 0 }), actor("c", { breaker: "api" }), actor("d")], {
        breakers,
      }),
      { order: "name", width: 120 },
    );
    expect(text).toContain("1.23k/s, 5.1% errors, depth 7, in flight 3, dead 1M\n");
    const runs = text
      .split("\n")
      .slice(4)
      .map((line) => line.trim().split(/ {2,}/).at(-3));
    expect(runs).toEqual(["paused", "none", "open", "0/10"]);
  });

  test.each([
    ["rate", ["c", "a", "b"]],
    ["errors", ["b", "a", "c"]],
    ["depth", ["a", "b", "c"]],
    ["p95", ["b", "c", "a"]],
    ["dead", ["c", "a", "b"]],
    ["name", ["a", "b", "c"]],
  ] as const)("sorts by %s", (order, expected) => {
    const actors = [
      actor("a", { rate: 5, errorShare: 0.2, depth: 3 }),
      actor("b", { rate: 2, errorShare: 1, p95Ms: 50 }),
      actor("c", { rate: 9, p95Ms: 5, dead: 2 }),
    ];
    const text = renderTop(frame(actors), { order, width: 80 });
    expect(
      text
        .split("\n")
        .slice(4)
        .map((line) => line[0]),
    ).toEqual(expected);
  });
});

test.each([
  [0, "0"],
  [0.01234, "0.0123"],
  [99.96, "100"],
  [999.6, "1k"],
  [999_499, "999k"],
  [999_999, "1M"],
  [1_234_567_890, "1.23G"],
])("short(%d) is %s", (value, text) => expect(short(value)).toBe(text));
