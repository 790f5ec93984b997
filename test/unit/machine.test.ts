/** The lifecycle machine: where each event leads, by its guards. */
import { describe, expect, test } from "vitest";
import { Lifecycle } from "../../src/lifecycle/machine.ts";

const fresh = { attempt: 1, attempts: 3, soleStalls: 0, stallCap: 3 };

describe("a failed run", () => {
  test.each([
    ["with attempts left backs off", { ...fresh }, false, "backoff"],
    ["with one attempt left backs off", { ...fresh, attempt: 2 }, false, "backoff"],
    ["of the last attempt is exhausted", { ...fresh, attempt: 3 }, false, { dead: "exhausted" }],
    ["beyond the last attempt is exhausted", { ...fresh, attempt: 9 }, false, { dead: "exhausted" }],
    ["of one attempt in all is exhausted", { ...fresh, attempts: 1 }, false, { dead: "exhausted" }],
    ["that is terminal is dead at once", { ...fresh }, true, { dead: "terminal" }],
    ["that is terminal and the last says terminal", { ...fresh, attempt: 3 }, true, { dead: "terminal" }],
  ])("%s", (_what, context, terminal, wanted) => {
    expect(new Lifecycle().next("running", context, { type: "FAILED", terminal })).toEqual(wanted);
  });
});

describe("a received message", () => {
  test.each([
    ["runs", { ...fresh }, false, "running"],
    ["that expired is dead", { ...fresh }, true, { dead: "expired" }],
    ["that brought down fewer workers than the cap runs", { ...fresh, soleStalls: 2 }, false, "running"],
    ["that brought down as many as the cap is dead", { ...fresh, soleStalls: 3 }, false, { dead: "stalled" }],
    ["that expired and stalled out says expired", { ...fresh, soleStalls: 3 }, true, { dead: "expired" }],
    ["in its last attempt still runs", { ...fresh, attempt: 3 }, false, "running"],
  ])("%s", (_what, context, expired, wanted) => {
    expect(new Lifecycle().next("received", context, { type: "RUN", expired })).toEqual(wanted);
  });

  test.each([
    ["of a wrong shape is dead", { ...fresh }, "invalid", false, { dead: "invalid" }],
    ["of a wrong shape backs off where that is asked for", { ...fresh }, "invalid", true, "backoff"],
    ["of a wrong shape is dead in the end", { ...fresh, attempt: 3 }, "invalid", true, { dead: "invalid" }],
    ["that does not decode is dead", { ...fresh }, "undecodable", false, { dead: "undecodable" }],
    ["that does not decode is dead whatever is asked for", { ...fresh }, "undecodable", true, { dead: "undecodable" }],
  ] as const)("%s", (_what, context, reason, retry, wanted) => {
    expect(new Lifecycle().next("received", context, { type: "INVALID", reason, retry })).toEqual(wanted);
  });
});

test("a successful run is completed, and every entry is counted", () => {
  const lifecycle = new Lifecycle();
  expect(lifecycle.entries).toBe(0);
  expect(lifecycle.next("running", fresh, { type: "SUCCEEDED" })).toBe("completed");
  lifecycle.next("running", fresh, { type: "FAILED", terminal: false });
  expect(lifecycle.entries).toBe(2);
});

test("an event that leads nowhere is a bug, and says so", () => {
  expect(() => new Lifecycle().next("received", fresh, { type: "SUCCEEDED" })).toThrow(
    "the lifecycle has no way from received on SUCCEEDED",
  );
});
