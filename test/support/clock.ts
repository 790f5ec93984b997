/** Time as the server keeps it: lets a test see that nothing happened meanwhile, without sleeping. */
import type { ActorSystem, Duration } from "../../src/index.ts";
import { actorOf } from "./actors.ts";
import { record } from "./record.ts";

/** Resolves when a task with that delay, of an actor of its own, has run. */
export async function passed(system: ActorSystem, delay: Duration): Promise<void> {
  const worker = await system.work([actorOf({ name: "clock" }, () => undefined)]);
  const seen = record(worker);
  await system.tell("clock", 1, { delay });
  await seen.until("completed");
  await worker.stop();
}
