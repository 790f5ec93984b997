/** The fence: what a worker does with a message that is no longer its own. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/embedded/until.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName } from "../support/faults/work.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

test("When a delivery is lost, because the connection was away longer than the ack-wait, ctx.signal aborts, and the late result is discarded and counted", async () => {
  const { journal } = scene;
  const system = await scene.connect();
  const proxy = await scene.proxy();
  const setup = { ackWaitMs: 2_000, resultTtlMs: 60_000 };
  const { worker: cut, system: cutSystem } = await scene.work({ worker: "cut", servers: proxy.url, ...setup });
  const answers: string[] = [];
  system.parts.connection.subscribe("faults.reply.>", (message) => answers.push(message.subject));
  // It heeds no signal, and returns when its connection has long been back.
  const at = { cut: { do: "work", ms: 6_000 } } as const;
  const answer = system.ask(workName, { do: "work", at }, { id: "m", timeout: "30s" });
  await until("it runs", () => journal.of("run", "m").length === 1);
  const { worker: heir } = await scene.work({ worker: "heir", ...setup });
  proxy.cut();
  await until("another has done it", () => journal.of("completed", "m").length === 1);
  proxy.mend();
  await until("the cut one is back", () => cutSystem.parts.connection.up);
  expect(journal.of("aborted")).toEqual([]);

  await until("the late one returns", () => journal.of("aborted", "m").length === 1);
  expect(journal.of("aborted", "m")).toMatchObject([{ worker: "cut", deliveries: 1 }]);
  expect(journal.of("lost", "m")).toMatchObject([{ worker: "cut", reason: "deadline" }]);
  expect(cut.stats.actors[workName]).toMatchObject({ completed: 0, lost: 1, inHand: 0 });
  expect(heir.stats.actors[workName]).toMatchObject({ completed: 1, lost: 0 });

  // Once this one is done there, whatever the cut one had sent before has reached the server.
  await heir.stop();
  await system.ask(workName, { do: "work" }, { id: "next", timeout: "10s" });
  await untilDrained(system);
  expect(await answer).toEqual({ by: "heir" });
  expect(await system.result(workName, "m")).toEqual({ state: "completed", value: { by: "heir" } });
  expect(answers).toHaveLength(2);
  expect(journal.of("run", "m").map(({ worker }) => worker)).toEqual(["cut", "heir"]);
});
