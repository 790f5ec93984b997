/** Health, decided from what was seen: what turns red, when, and what never does. */
import { describe, expect, test } from "vitest";
import { endOf } from "../../src/kernel/until.ts";
import { health, judge, readiness } from "../../src/observe/health.ts";
import { look, type Sighting, type Watched } from "../../src/worker/sighting.ts";

const windowMs = 30_000;
const everyMs = 7_500;
const which = { stream: "godwit_TASKS", durable: "pay" };

/** One look every 7.5 s; `afterMs` says that one came later than that. */
function seen(...sightings: (Sighting & { afterMs?: number })[]): Watched {
  let atMs = 0;
  let watched: Watched | undefined;
  for (const { afterMs = everyMs, ...sighting } of sightings) {
    atMs += afterMs;
    watched = look(watched, which, sighting, atMs, 2.5 * everyMs);
  }
  if (watched === undefined) throw new Error("nothing was seen");
  return watched;
}

const pending = { kind: "pending", messages: 12 } as const;
const gone = { kind: "gone" } as const;
const unknown = { kind: "unknown", why: "the server did not answer" } as const;
const paused = { kind: "paused", untilMs: Date.parse("2030-01-01T00:00:00Z") } as const;

describe("red", () => {
  test("messages wait, and nothing has come at any look for as long as the window", () => {
    const four = [pending, pending, pending, pending];
    expect(judge([seen(...four)], windowMs).healthy).toBe(true);
    expect(judge([seen(...four, pending)], windowMs)).toEqual({
      healthy: false,
      says: "12 messages wait for its durable pay on godwit_TASKS, handlers are free, and nothing has come for 30 s: does the server refuse its pulls?",
    });
  });

  test("a durable that is gone for as long", () => {
    const { healthy, says } = judge([seen(gone, gone, gone, gone, gone)], windowMs);
    expect(healthy).toBe(false);
    expect(says).toContain("its durable pay on godwit_TASKS is gone");
  });

  test("one durable of several is enough", () => {
    const red = seen(pending, pending, pending, pending, pending);
    expect(judge([seen({ kind: "arrived" }), red, seen({ kind: "empty" })], windowMs).healthy).toBe(false);
  });

  test("the workers' own reasons", () => {
    const report = health(new Map([["pay", { healthy: true, says: "it consumes" }]]), ["abandoned: 1"], true);
    expect(report).toMatchObject({ healthy: false, reasons: ["abandoned: 1"] });
  });
});

describe("green", () => {
  test("a pause is told as people made it: for a time, or until it is resumed", () => {
    const says = (untilMs: number): string => judge([seen({ kind: "paused", untilMs })], windowMs).says;
    expect(says(paused.untilMs)).toBe("it is paused until 2030-01-01T00:00:00.000Z");
    expect(says(endOf(0, undefined))).toBe("it is paused until it is resumed");
  });

  test.each<Sighting>([{ kind: "arrived" }, { kind: "busy" }, { kind: "guard" }, { kind: "empty" }, paused, unknown])(
    "$kind, and it ends a suspicion",
    (sighting) => {
      const always = Array.from({ length: 9 }, () => sighting);
      expect(judge([seen(...always)], windowMs).healthy).toBe(true);
      expect(judge([seen(pending, pending, pending, sighting, pending, pending)], windowMs).healthy).toBe(true);
    },
  );

  test("a process that stood still is suspected anew", () => {
    expect(judge([seen(pending, { ...pending, afterMs: 60_000 })], windowMs).healthy).toBe(true);
  });

  test("nobody has looked yet", () => {
    expect(judge([], windowMs)).toEqual({ healthy: true, says: "it has not been looked at yet" });
  });

  test("without a connection it cannot be told, and that is said", () => {
    const report = health(new Map([["pay", judge([seen(unknown)], windowMs)]]), [], false);
    expect(report.healthy).toBe(true);
    expect(report.reasons[0]).toContain("starting again would not help");
    expect(report.actors["pay"]?.says).toBe("whether it consumes cannot be told: the server did not answer");
  });
});

test.each([
  [["running"], true, false, []],
  [[], true, false, []],
  [["running"], false, false, ["there is no connection to the server"]],
  [["running", "starting"], true, false, ["its actors have not all started"]],
  [["draining"], true, false, ["it drains"]],
  [[], true, true, ["it drains"]],
] as const)("ready: %j, connected %s, closing %s: %j", (workers, connected, closing, reasons) => {
  expect(readiness(workers, connected, closing)).toEqual({ ready: reasons.length === 0, reasons });
});
