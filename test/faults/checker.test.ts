/** The checker finds what is planted: nothing that it accounts for is taken on trust. */
import { expect, test } from "vitest";
import type { Entry } from "../support/faults/journal.ts";
import { account, inWords, type Evidence } from "./kit/checker.ts";

function entry(what: string, id: string): Entry {
  return { what, id, at: 0, pid: 1, worker: "w", attempt: 1, deliveries: 1 };
}

/** A message that goes the usual way. */
function whole(id: string): Entry[] {
  return ["accepted", "run", "done", "completed"].map((what) => entry(what, id));
}

function found(evidence: Partial<Evidence>): Record<string, unknown> {
  const { lost, duplicated, afterAck, both, unasked } = account({ entries: [], dead: [], waiting: [], ...evidence });
  return { lost, duplicated, afterAck, both, unasked };
}

const nothing = { lost: [], duplicated: [], afterAck: [], both: [], unasked: [] };

test("all accounted for: nothing to report, and one line says so", () => {
  const entries = [...whole("a"), ...whole("b"), entry("accepted", "c"), entry("run", "c"), entry("accepted", "d")];
  const evidence = { entries, dead: ["c"], waiting: ["d"] };
  expect(found(evidence)).toEqual(nothing);
  expect(inWords(account(evidence))).toBe(
    "4 accepted: 2 completed, 1 dead, 1 still there, 0 lost; 0 duplicated, 0 run after their ack, 0 completed and dead, 0 never said to be accepted",
  );
});

test("accepted and nowhere: lost", () => {
  expect(found({ entries: [...whole("a"), entry("accepted", "gone")] })).toEqual({ ...nothing, lost: ["gone"] });
});

test("accepted, begun and gone from its stream without an end: lost", () => {
  const entries = ["accepted", "run", "aborted", "lost"].map((what) => entry(what, "gone"));
  expect(found({ entries })).toEqual({ ...nothing, lost: ["gone"] });
  expect(found({ entries, waiting: ["gone"] })).toEqual(nothing);
});

test("ended twice: duplicated; begun again after its ack: that too is said", () => {
  const again = [entry("run", "b"), entry("done", "b")];
  expect(found({ entries: [entry("accepted", "b"), ...again, ...again] })).toEqual({ ...nothing, duplicated: ["b"] });
  expect(found({ entries: [...whole("b"), ...again] })).toEqual({ ...nothing, duplicated: ["b"], afterAck: ["b"] });
});

test("a run that was aborted, and one that ended: no duplicate", () => {
  expect(found({ entries: [entry("run", "a"), entry("aborted", "a"), ...whole("a")] })).toEqual(nothing);
});

test("completed and dead at once", () => {
  expect(found({ entries: whole("a"), dead: ["a"] })).toEqual({ ...nothing, both: ["a"] });
});

test("run or dead, and nobody was told that it was accepted", () => {
  const entries = ["run", "done", "completed"].map((what) => entry(what, "x"));
  expect(found({ entries, dead: ["y"] })).toEqual({ ...nothing, unasked: ["x", "y"] });
});
