/** What explain makes of a runs record and of what workers say, and what it says holds an actor up. */
import { describe, expect, test } from "vitest";
import type { BreakerFrame, LimitFrame } from "../../src/admin/api.ts";
import { holdUpsOf, type FleetView } from "../../src/admin/hold-ups.ts";
import { stateOf } from "../../src/admin/message-state.ts";
import type { WorkerStatus } from "../../src/admin/workers.ts";
import type { RunsRecord } from "../../src/lifecycle/runs.ts";
import type { InHand, MessageAnswer } from "../../src/worker/answers.ts";
import { actorSnapshot, newIdentity } from "../../src/worker/snapshot.ts";
import { Tally } from "../../src/worker/tally.ts";
import { configOf } from "../../src/actor/registry.ts";
import { actorOf } from "../support/actors.ts";

const nowMs = Date.UTC(2026, 0, 1);
const iso = (ms: number): string => new Date(nowMs + ms).toISOString();
const says = (inHand: InHand, id = "w"): MessageAnswer => ({ worker: { id, host: "h", pid: 1 }, actor: "a", inHand });
const record = (state: "failed" | "interrupted" | "started", untilMs: number): RunsRecord => {
  const until = untilMs === 0 ? 0 : nowMs + untilMs;
  return { v: 1, id: "m", runs: { 1: "failed", 2: state }, errors: [], delayMs: 1_000, until };
};

describe("a message's state", () => {
  test("who runs it knows best, then who holds it, whatever the record and others say", () => {
    const held = says({ phase: "held", sinceMs: 10, by: "rate limit r" });
    const running = says({ phase: "running", sinceMs: 2_000, attempt: 3 }, "other");
    expect(stateOf(record("failed", 5_000), [held, running], nowMs)).toMatchObject({
      state: "running",
      worker: { id: "other" },
      since: iso(-2_000),
      attempt: 3,
    });
    expect(stateOf(record("failed", 5_000), [held], nowMs)).toMatchObject({ state: "held", by: "rate limit r" });
  });

  test("put back after its backoff was over it was put back; before, it backs off", () => {
    const putBack = (atMs: number) =>
      says({ phase: "put-back", reason: "rate-limited", at: iso(atMs), until: iso(9_000) });
    const failed = record("failed", -1_000);
    expect(stateOf(failed, [putBack(-500)], nowMs)).toMatchObject({ state: "put-back", reason: "rate-limited" });
    expect(stateOf(failed, [putBack(-1_500)], nowMs)).toMatchObject({ state: "backing-off", until: iso(-1_000) });
  });

  test("of several that put it back the last one counts", () => {
    const putBack = (reason: string, atMs: number) => says({ phase: "put-back", reason, at: iso(atMs), until: iso(1) });
    const answers = [putBack("snooze", -3_000), putBack("breaker-open", -1_000), putBack("busy", -2_000)];
    expect(stateOf(undefined, answers, nowMs)).toMatchObject({ state: "put-back", reason: "breaker-open" });
  });

  test("what nobody remembers is as the record has it; a run under way tells nothing of where", () => {
    expect(stateOf(record("interrupted", 4_000), [], nowMs)).toMatchObject({ state: "put-back", until: iso(4_000) });
    expect(stateOf(record("started", 4_000), [], nowMs)).toBeUndefined();
    expect(stateOf(record("failed", 0), [], nowMs)).toBeUndefined();
    expect(stateOf(undefined, [], nowMs)).toBeUndefined();
  });
});

describe("what holds an actor up", () => {
  const config = configOf(actorOf({ name: "a", concurrency: 2 }, () => undefined));
  const worker = (running: number, state: "running" | "draining" | "silent" = "running"): WorkerStatus => {
    const identity = newIdentity(["a"]);
    if (state === "silent") return { identity, state };
    const perActor = { a: actorSnapshot(config, new Tally(true), { running, inHand: running }) };
    const memory = { rssBytes: 1, heapUsedBytes: 1, heapLimitBytes: 1 };
    const loop = { p50Ms: 0, p99Ms: 0, maxMs: 0 };
    const rest = { at: iso(0), ageMs: 1, concurrency: 2, running, memory, loop, blocked: 0, healthy: true };
    return { identity, state, snapshot: { ...identity, state, ...rest, unhealthyReasons: [], perActor } };
  };
  const breaker = (state: BreakerFrame["state"], ...actors: string[]): BreakerFrame => ({
    name: "api",
    state,
    byHand: false,
    actors,
  });
  const whys = (fleet: Partial<FleetView>): string[] =>
    holdUpsOf({ durables: [], workers: [worker(0)], breakers: [], limits: [], ...fleet }, "a").map(({ why }) => why);

  test("nothing, where a worker has a free handler", () => {
    expect(whys({})).toEqual([]);
    expect(whys({ workers: [worker(2), worker(1)] })).toEqual([]);
  });

  test("no worker: a draining one takes no more, and a silent one is named", () => {
    expect(whys({ workers: [worker(0, "draining")] })).toEqual(["no-worker"]);
    const silent = worker(0, "silent");
    const fleet = { durables: [], workers: [silent], breakers: [], limits: [] };
    expect(holdUpsOf(fleet, "a")).toMatchObject([{ why: "no-worker", silent: [{ id: silent.identity.id }] }]);
  });

  test("all of its handlers run", () => {
    expect(whys({ workers: [worker(2), worker(2)] })).toEqual(["busy"]);
  });

  test("its own circuit, and only while that is open", () => {
    expect(whys({ breakers: [breaker("open", "a")] })).toEqual(["breaker-open"]);
    expect(whys({ breakers: [breaker("half-open", "a"), breaker("closed", "a"), breaker("open", "b")] })).toEqual([]);
  });

  test("a limit that is held or used up", () => {
    const rate: Extract<LimitFrame, { kind: "rate" }> = {
      kind: "rate",
      name: "r",
      limit: 1,
      perMs: 1,
      burst: 1,
      keyed: false,
      actors: ["a"],
    };
    expect(whys({ limits: [{ ...rate, heldUntil: iso(1) }] })).toEqual(["rate-limited"]);
    expect(whys({ limits: [rate, { ...rate, heldUntil: iso(1), actors: ["b"] }] })).toEqual([]);
    const places: LimitFrame = { kind: "concurrency", name: "c", limit: 2, keyed: false, actors: ["a"] };
    expect(whys({ limits: [{ ...places, inUse: 2 }] })).toEqual(["concurrency-limited"]);
    expect(whys({ limits: [{ ...places, inUse: 1 }] })).toEqual([]);
  });
});
