/** Runs a group of worker processes until a signal asks it to end; SIGHUP replaces all of them. */
import type { Command } from "commander";
import { WorkerProcess } from "../fleet/worker-process.ts";
import { Supervisor } from "../fleet/supervisor.ts";
import { signalExitCode } from "./exit.ts";
import { givenOptions } from "./group-options.ts";
import { ownProgram } from "./own-program.ts";
import { onAsked } from "./signals.ts";
import { plural } from "./table.ts";
import type { WorkerFlags } from "./worker-flags.ts";
import { connectWorker, makeLog } from "./worker-run.ts";

/** What its processes are not told: it is this one's to heed. */
const own = ["processes", "maxMessages", "maxMemory", "maxAge", "metricsPort", "metricsHost", "healthWindow"];

export async function runGroup(command: Command, paths: readonly string[], flags: WorkerFlags): Promise<void> {
  const log = await makeLog(flags);
  const { min } = flags.processes ?? { min: 1 };
  // Streams are made once, and what is wrong with server or credentials is said once.
  const system = await connectWorker(flags, log, `godwit supervisor ${process.pid}`);
  const args = [ownProgram, "worker", "--supervised", ...givenOptions(command, own), "--", ...paths];
  const supervisor = new Supervisor({
    spawn: (onMessage) => new WorkerProcess({ args, onMessage }),
    processes: min,
    limits: { maxMessages: flags.maxMessages, maxMemoryBytes: flags.maxMemory, maxAgeMs: flags.maxAge },
    graceMs: flags.grace,
    log,
  });
  let ask: (why: string) => void = () => undefined;
  const asked = new Promise<string>((resolve) => (ask = resolve));
  onAsked(
    (signal) => ask(signal),
    (signal) => void supervisor.kill().then(() => process.exit(signalExitCode(signal))),
    ["SIGINT", "SIGTERM"],
  );
  process.on("SIGHUP", () => {
    log.info("SIGHUP: every process is replaced by one that loads the code anew");
    void supervisor.restart().then(({ replaced, failure }) => {
      if (failure === undefined) log.info(`restarted: ${plural(replaced, "process", "processes")} replaced`);
    });
  });
  try {
    const started = supervisor.start();
    const why = await Promise.race([asked, started.then(() => undefined)]);
    if (why === undefined) {
      log.info(`ready: ${plural(supervisor.members.length, "process", "processes")} on ${system.servers.join(", ")}`);
      await supervisor.stop(await asked);
    } else {
      started.catch(() => undefined);
      await supervisor.stop(why);
    }
  } finally {
    await system.close();
  }
  log.info("done: every process has ended");
}
