/** The workers of a system, and what stays of those that have stopped. */
import { expect, test } from "vitest";
import { Roster, type RosterWorker } from "../../src/observe/roster.ts";
import { totalsOf } from "../../src/observe/totals.ts";
import type { ActorTotals } from "../../src/observe/totals.ts";
import { Tally } from "../../src/worker/tally.ts";

/** A worker of one actor that has completed so many. */
function workerOf(id: string, completed: number, blocked = 0): RosterWorker {
  const tally = new Tally(true);
  for (let n = 0; n < completed; n++) {
    tally.handled(10);
    tally.ended({ kind: "completed", value: 1 });
  }
  const mail: ActorTotals = { ...tally.snapshot(), concurrency: 1, running: 0, inHand: 0 };
  const stats = { healthy: true, blocked };
  return { identity: { id, version: "1" }, state: "running", stats, perActor: () => ({ mail }) };
}

test("what stopped workers did stays counted, and nothing else of them stays", () => {
  const roster = new Roster<RosterWorker>();
  const done = (): number | undefined =>
    totalsOf(roster.facts().map(({ perActor }) => perActor)).get("mail")?.outcomes.completed;
  const stays = workerOf("stays", 1);
  roster.add(stays);
  for (let n = 0; n < 100; n++) {
    const worker = workerOf(`w${n}`, 2, n === 7 ? 5 : 0);
    roster.add(worker);
    expect(done()).toBe(1 + 2 * (n + 1));
    roster.retire(worker);
    roster.retire(worker);
    expect(done()).toBe(1 + 2 * (n + 1));
  }
  expect([...roster.workers]).toEqual([stays]);
  expect(roster.facts()).toMatchObject([
    { id: "stays", state: "running" },
    { state: "stopped", blocked: 5 },
  ]);
  expect(roster.facts()[1]?.perActor["mail"]?.handlerMs.buckets.map(([, count]) => count)).toEqual([200]);
});
