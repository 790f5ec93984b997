/** Makes a process stand still, as on a host that hangs: alive, and silent. SIGCONT lets it go on. */
import { readFile } from "node:fs/promises";
import { until } from "./embedded/until.ts";

/** Resolves once all of it stands still: the signal reaches its threads one after the other. Waits for that on Linux alone. */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  if (process.platform !== "linux") return;
  await until("it stands still", async () => /\) T /.test(await readFile(`/proc/${pid}/stat`, "utf8")));
}
