/** `godwit worker`: runs actors until a signal asks it to end, in this process or in a group of processes. */
import { Option, type Command } from "commander";
import { supervisedFlag } from "../fleet/orphan-guard.ts";
import { connectOptions } from "./connect.ts";
import { givenOptions, groupOptions, wantsGroup } from "./group-options.ts";
import { duration, graceOption, oneOf, whole } from "./parse.ts";
import { logLevels } from "./text-log.ts";
import { topologyOptions } from "./topology-options.ts";
import type { WorkerFlags } from "./worker-flags.ts";

export function workerCommand(program: Command): void {
  const command = program
    .command("worker")
    .argument("<paths...>", "modules, or folders of modules, that export actors")
    .option(
      "-c, --concurrency <handlers>",
      "at once over all actors (default: the sum of theirs)",
      whole("--concurrency"),
    )
    .addOption(graceOption("when asked to end", 30_000, "30s"))
    .option("--log <format>", "text or json (default: text on a terminal)", oneOf("--log", ["text", "json"]))
    .option("--log-level <level>", logLevels.join(", "), oneOf("--log-level", logLevels), "info")
    .option(
      "--metrics-port <port>",
      "serve /metrics, /healthz and /readyz there; 0 for any free port",
      whole("--metrics-port", 0, 65_535),
    )
    .option("--metrics-host <host>", "name or address of this host to serve them on", "127.0.0.1")
    .addOption(
      new Option("--health-window <duration>", "/healthz fails when what waits has not arrived for so long")
        .default(30_000, "30s")
        .argParser(duration("--health-window")),
    )
    .addOption(new Option("--owned", "end at once when the process that started this one is gone").hideHelp())
    .addOption(new Option(supervisedFlag, "one of a group: drain when its supervisor is gone").hideHelp());
  topologyOptions(command, "create");
  groupOptions(command);
  connectOptions(command)
    .summary("run actors")
    .description(
      `Run actors in this process. Modules may be JavaScript or TypeScript; each
exported class that extends Actor is run, or what a module lists as 'actors'.
In a folder, modules without an actor are helpers; tests are left out.

SIGTERM or Ctrl-C drains: nothing new is taken, what runs may finish within the
grace, the rest is put back without counting an attempt, and the exit code is
0. A second signal ends it at once.

With --processes or one of the --max options the actors run in processes of
their own, watched over by this one. Each is replaced when it has run, grown or
aged enough, or has crashed; its replacement is ready before it drains. SIGHUP
or 'godwit restart' replaces all of them, one after the other, by processes
that load your code anew.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit worker dist/actors
  godwit worker actors/charge-payment.ts actors/send-receipt.ts --concurrency 64
  NATS_URL=nats://nats-1:4222 godwit worker dist/actors --grace 2m --log json
  godwit worker dist/actors --metrics-port 9464 --metrics-host 0.0.0.0
  godwit worker dist/actors --processes 4 --max-memory 300MB --max-age 6h
  godwit worker dist/actors --processes 2..16`,
    )
    .action(async (paths: string[], flags: WorkerFlags) => {
      if (wantsGroup(flags)) {
        const { runGroup } = await import("./worker-group.ts");
        await runGroup(paths, flags, given);
      } else {
        const { runWorker } = await import("./worker-run.ts");
        await runWorker(paths, flags);
      }
    });
  const given = givenOptions(command);
}
