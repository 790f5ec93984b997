/** Outcome: what becomes of a delivery, decided from what its handler gave. */
import { beforeEach, describe, expect, test } from "vitest";
import { RetryAfter, Snooze, Terminal } from "../../src/index.ts";
import type { ActorConfig } from "../../src/actor/config.ts";
import { Lifecycle } from "../../src/lifecycle/machine.ts";
import { noHistory, type RunHistory } from "../../src/lifecycle/runs.ts";
import { decideAdmission, decideInvalid, decideRun, type Decider, type Outcome } from "../../src/worker/outcome.ts";
import { resolved } from "../support/resolved.ts";

let lifecycle = new Lifecycle();
beforeEach(() => {
  lifecycle = new Lifecycle();
});

function decider(more: Partial<ActorConfig> = {}): Decider {
  return { config: resolved(more), lifecycle, random: () => 0.5, stretch: () => 1 };
}

function failed(error: Error, more: Partial<ActorConfig> = {}, history: Partial<RunHistory> = {}): Outcome {
  return decideRun(decider(more), { ok: false, error }, { ...noHistory, ...history });
}

const error = new Error("it broke");

describe("a run", () => {
  test("that returned is completed with its value, and enters no machine", () => {
    expect(decideRun(decider(), { ok: true, value: 7 }, noHistory)).toEqual({ kind: "completed", value: 7 });
    expect(lifecycle.entries).toBe(0);
  });

  test("that failed waits as the backoff says for its attempt and its last delay", () => {
    expect(failed(error)).toEqual({ kind: "retry", error, delayMs: 500 });
    expect(failed(error, {}, { attempt: 3 })).toEqual({ kind: "retry", error, delayMs: 2_000 });
    const decorrelated = { retry: { jitter: "decorrelated" } } as const;
    expect(failed(error, decorrelated, { attempt: 2, lastDelayMs: 1_000 })).toEqual({
      kind: "retry",
      error,
      delayMs: 2_000,
    });
    expect(lifecycle.entries).toBe(3);
  });

  test("that failed for the last time is dead", () => {
    expect(failed(error, {}, { attempt: 5 })).toEqual({ kind: "dead", reason: "exhausted", error });
    expect(failed(error, { retry: { attempts: 1 } })).toEqual({ kind: "dead", reason: "exhausted", error });
  });

  test("that threw Terminal, or what retry.when refuses, is dead at once", () => {
    const terminal = new Terminal("no");
    expect(failed(terminal)).toEqual({ kind: "dead", reason: "terminal", error: terminal });
    expect(failed(error, { retry: { when: () => false } })).toEqual({ kind: "dead", reason: "terminal", error });
    const when = (given: Error): boolean => given !== error;
    expect(failed(error, { retry: { when } })).toMatchObject({ kind: "dead" });
    expect(failed(new Error("another"), { retry: { when } })).toMatchObject({ kind: "retry" });
  });

  test("that threw RetryAfter waits that long and a little more, whatever backoff and retry.when say", () => {
    const later = new RetryAfter("10s");
    const more = { retry: { base: "1h", max: "1h", jitter: "none", when: () => false } } as const;
    expect(failed(later, more)).toEqual({ kind: "retry", error: later, delayMs: 11_000 });
    expect(failed(later, {}, { attempt: 5 }), "but it counts").toMatchObject({ kind: "dead", reason: "exhausted" });
  });

  test("that threw Snooze is put off and counts nothing, also in its last attempt", () => {
    const snooze = new Snooze("5m");
    const wanted = { kind: "deferred", reason: "snooze", delayMs: 300_000 };
    expect(failed(snooze)).toEqual(wanted);
    expect(failed(snooze, {}, { attempt: 5 })).toEqual(wanted);
    expect(lifecycle.entries).toBe(0);
  });

  test("that threw a signal of another copy of this package is understood", () => {
    const foreign = Object.assign(new Error("later"), { [Symbol.for("godwit.signal")]: "retry-after", delayMs: 1_000 });
    expect(failed(foreign)).toMatchObject({ kind: "retry", delayMs: 1_100 });
  });

  test("is retried where retry.when itself throws", () => {
    const when = (): never => {
      throw new Error("a bug");
    };
    expect(failed(error, { retry: { when } })).toMatchObject({ kind: "retry", error });
  });
});

describe("a body that is no input", () => {
  test("is dead at once, as what it is", () => {
    for (const reason of ["invalid", "undecodable"] as const) {
      expect(decideInvalid(decider(), reason, error, noHistory)).toEqual({ kind: "dead", reason, error });
    }
  });

  test('is tried again with onInvalid: "retry" if it decodes, as often as there are attempts', () => {
    const retrying = decider({ onInvalid: "retry", retry: { attempts: 3 } });
    expect(decideInvalid(retrying, "invalid", error, noHistory)).toEqual({ kind: "retry", error, delayMs: 500 });
    expect(decideInvalid(retrying, "invalid", error, { ...noHistory, attempt: 3 })).toMatchObject({ kind: "dead" });
    expect(decideInvalid(retrying, "undecodable", error, noHistory)).toMatchObject({
      kind: "dead",
      reason: "undecodable",
    });
  });
});

describe("admission", () => {
  test("of a message in time and without stalls enters no machine", () => {
    expect(decideAdmission(decider(), false, noHistory)).toBeUndefined();
    expect(decideAdmission(decider(), false, { ...noHistory, attempt: 4, stalls: 1 })).toBeUndefined();
    expect(lifecycle.entries).toBe(0);
  });

  test("refuses what expired", () => {
    expect(decideAdmission(decider(), true, noHistory)).toMatchObject({ kind: "dead", reason: "expired" });
  });

  test("refuses what brought down as many workers as the actor allows, alone", () => {
    const history = { ...noHistory, stalls: 3, soleStalls: 2 };
    expect(decideAdmission(decider(), false, history)).toBeUndefined();
    expect(decideAdmission(decider({ stalls: 2 }), false, history)).toMatchObject({
      kind: "dead",
      reason: "stalled",
      error: {
        message: "its worker died in 3 runs, or stood still in them for too long, 2 of them with no other suspect",
      },
    });
  });
});
