/** Actor hooks: a start() that is not waited for any longer, because its worker stops. */
import { expect, test } from "vitest";
import { ActorHooks } from "../../src/worker/hooks.ts";
import { registerActors } from "../../src/actor/registry.ts";
import { actorOf, gate } from "../support/actors.ts";
import { collectLogs } from "../support/logs.ts";

test("a start() that is given up is named in the log, and what starts after all is stopped", async () => {
  const { log, lines } = collectLogs();
  const late = gate();
  const stopped = gate();
  const Late = actorOf({ name: "late" }, () => undefined, { start: () => late.opened, stop: () => stopped.open() });
  const [actor] = registerActors([Late]);
  if (actor === undefined) throw new Error("no actor");
  const hooks = new ActorHooks(log, 60_000);
  const starting = hooks.start(actor);
  hooks.giveUp();
  await expect(starting).rejects.toMatchObject({ code: "CLOSED" });
  expect(lines).toMatchObject([{ level: "error", fields: { actor: "late" } }]);
  late.open();
  await stopped.opened;
});
