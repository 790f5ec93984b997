/**
 * Entry of a thread: where the pool begins. It loads the rest by itself, because what fails while the pool loads would leave tasks
 * waiting for ever, and at once, so that a message finds a thread that is ready.
 */
import { workerData } from "node:worker_threads";
import { allowTypeScript } from "../../actor/module-hooks.ts";
import type { ThreadSetup, ThreadTask } from "./protocol.ts";
import type { WireError } from "./wire-error.ts";

const setup = workerData as ThreadSetup;
const loaded = load();
// What fails here, the first task tells.
loaded.then(({ warmUp }) => warmUp(setup)).catch(() => undefined);

async function load() {
  if (setup.typescript) await allowTypeScript();
  return import("./thread.ts");
}

/** The one thing that the pool calls. */
export async function perform(task: ThreadTask): Promise<WireError | undefined> {
  const { performTask } = await loaded;
  return performTask(setup, task);
}
