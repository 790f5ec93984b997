/** What looks at a fleet, where actors have the names of what every object has, and where answers come that no worker gives. */
import { describe, expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { actorOf, gate } from "../support/actors.ts";
import { useLive } from "../support/live.ts";
import { useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();
const liveOf = useLive();

/** Answers each question to the workers with each of these. */
function answerAll({ nc }: PlainClient, answers: readonly string[]): void {
  nc.subscribe(`${stage.namespace}.>`, {
    callback: (_error, { headers }) => {
      const address = headers?.get("Godwit-Reply") ?? "";
      if (address === "") return;
      for (const answer of answers) nc.publish(stage.names.replySubject(address), answer);
    },
  });
}

describe("actors with the names of what every object has", () => {
  test.each(["constructor", "__proto__", "toString"])("%s", async (name) => {
    const system = await stage.connect();
    await system.work([actorOf({ name }, () => 1)]);
    await system.work([actorOf({ name: "other" }, () => 1)]);
    const frame = await liveOf(system).frame();
    expect(frame.actors.map(({ actor }) => actor).toSorted()).toEqual([name, "other"].toSorted());
    expect(frame.problems).toEqual([]);
    expect(frame.actors.find(({ actor }) => actor === "other")).toMatchObject({ workers: 1, rate: 0 });
    const inspector = new Inspector(system);
    expect((await inspector.status()).actors).toHaveLength(2);
    expect((await inspector.doctor()).namespace).toBe(stage.namespace);
  });
});

const rogue = {
  v: 1,
  id: "rogue",
  host: "h",
  pid: 1,
  version: "1",
  node: "20",
  startedAt: "2026-01-01T00:00:00.000Z",
  actors: ["slow"],
  state: "running",
  at: "2026-01-01T00:00:00.000Z",
};

test.each([
  ["no object", "null"],
  ["no snapshot", JSON.stringify(rogue)],
  ["figures that are none", JSON.stringify({ ...rogue, perActor: { slow: 5 }, memory: null, loop: null })],
  ["an actor that is nothing", JSON.stringify({ ...rogue, perActor: { slow: null }, memory: {}, loop: {} })],
  ["what nobody has in hand", JSON.stringify([null, { worker: {}, actor: "slow", inHand: null }])],
  [
    "a time that no calendar has",
    '[{"worker":{"id":"x","host":"h","pid":1},"actor":"slow","inHand":{"phase":"running","sinceMs":1e300,"attempt":1}}]',
  ],
])("answers of no worker are passed over, and those of workers are not: %s", async (_what, answer) => {
  const system = await stage.connect();
  const client = await stage.client();
  answerAll(client, [answer]);
  await client.nc.flush();
  const door = gate();
  const started = gate();
  await system.work([
    actorOf({ name: "slow" }, () => {
      started.open();
      return door.opened;
    }),
  ]);
  await system.tell("slow", 1, { id: "s1" });
  await started.opened;
  const inspector = new Inspector(system);
  expect(await inspector.workers()).toMatchObject([{ state: "running", identity: { pid: process.pid } }]);
  const frame = await liveOf(system).frame();
  expect(frame).toMatchObject({ problems: [], totals: { workers: 1, inFlight: 1 } });
  expect((await inspector.status()).actors).toMatchObject([{ actor: "slow", workers: 1 }]);
  expect((await inspector.explain("s1")).found).toMatchObject([{ state: "running", attempt: 1 }]);
  expect((await inspector.doctor()).findings.filter(({ check }) => check.startsWith("worker"))).not.toEqual([]);
  door.open();
});
