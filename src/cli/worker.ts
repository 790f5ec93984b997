/** `godwit worker`: runs actors in this process until a signal asks it to end; then it drains. */
import { Option, type Command } from "commander";
import { formatMs } from "../kernel/duration.ts";
import type { ActorSource } from "../actor/actor-class.ts";
import type { Logger } from "../kernel/logger.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import type { HttpServer } from "../observe/http-server.ts";
import type { Worker } from "../worker/worker.ts";
import { connect, connectOptions, type ConnectFlags } from "./connect.ts";
import { exitCode, signalExitCode } from "./exit.ts";
import { duration, graceOption, oneOf, size, whole } from "./parse.ts";
import { onAsked } from "./signals.ts";
import { plural } from "./table.ts";
import { logLevels, textLogger, type TextLogLevel } from "./text-log.ts";
import type { StopReason } from "./worker-process.ts";

const durabilities = ["dev", "single", "replicated", "strict"] as const;

interface WorkerFlags extends ConnectFlags {
  concurrency?: number;
  grace: number;
  maxBytes?: number;
  durability: (typeof durabilities)[number];
  log?: "text" | "json";
  logLevel: TextLogLevel;
  metricsPort?: number;
  metricsHost: string;
  healthWindow: number;
  owned?: boolean;
}

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
    .option("--durability <profile>", "of streams that have to be made", oneOf("--durability", durabilities), "single")
    .option(
      "--max-bytes <size>",
      "of a task stream that has to be made (default: 10GB; 256MB with --durability dev)",
      size("--max-bytes"),
    )
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
    .addOption(new Option("--owned", "end at once when the process that started this one is gone").hideHelp());
  connectOptions(command)
    .summary("run actors")
    .description(
      `Run actors in this process. Modules may be JavaScript or TypeScript; each
exported class that extends Actor is run, or what a module lists as 'actors'.
In a folder, modules without an actor are helpers; tests are left out.

SIGTERM or Ctrl-C drains: nothing new is taken, what runs may finish within the
grace, the rest is put back without counting an attempt, and the exit code is
0. A second signal ends it at once.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit worker dist/actors
  godwit worker actors/charge-payment.ts actors/send-receipt.ts --concurrency 64
  NATS_URL=nats://nats-1:4222 godwit worker dist/actors --grace 2m --log json
  godwit worker dist/actors --metrics-port 9464 --metrics-host 0.0.0.0`,
    )
    .action(runWorker);
}

async function runWorker(paths: string[], flags: WorkerFlags): Promise<void> {
  const log = await makeLog(flags);
  let ask: (why: string) => void = () => undefined;
  const asked = new Promise<string>((resolve) => (ask = resolve));
  onAsked(flags.owned ? inOwnersWords(ask) : ask, (signal) => process.exit(signalExitCode(signal)));
  // With its owner gone nobody would ever end it.
  if (flags.owned) process.once("disconnect", () => process.exit(exitCode.failed));

  const { loadActors } = await import("../actor/loader.ts");
  const sources = await loadActors(paths);
  const system = await connect(flags, {
    log,
    durability: flags.durability,
    ...(flags.maxBytes !== undefined && { limits: { maxBytes: flags.maxBytes } }),
    name: `godwit worker ${process.pid}`,
  });
  const { endpoint, worker } = await begin(system, sources, flags).catch(async (error: unknown) => {
    await system.close();
    throw error;
  });
  const metrics = endpoint === undefined ? "" : `; metrics on ${endpoint.url}/metrics`;
  log.info(`ready: ${worker.actors.join(", ")} on ${system.servers.join(", ")}${metrics}`);
  const why = await asked;
  await drain(worker, system, flags.grace, why, log);
}

/** Its owner says why before it sends the signal, which may be heard first. */
function inOwnersWords(ask: (why: string) => void): (signal: string) => void {
  let said: string | undefined;
  process.on("message", (message: Partial<StopReason> | null) => {
    if (typeof message?.why === "string") said = message.why;
  });
  // What lies in the channel by now is read in the next turn of the loop.
  return (signal) => void setImmediate(() => setImmediate(() => ask(said ?? signal)));
}

/** The endpoint first: it tells who asks that the worker is not ready yet. */
async function begin(
  system: ActorSystem,
  sources: readonly ActorSource[],
  { concurrency, metricsPort, metricsHost, healthWindow }: WorkerFlags,
): Promise<{ endpoint: HttpServer | undefined; worker: Worker }> {
  const endpoint =
    metricsPort === undefined
      ? undefined
      : await system.serveMetrics({ port: metricsPort, host: metricsHost, healthWindow });
  const worker = await system.work(sources, concurrency === undefined ? {} : { concurrency });
  return { endpoint, worker };
}

async function drain(worker: Worker, system: ActorSystem, graceMs: number, why: string, log: Logger): Promise<void> {
  const inHand = Object.values(worker.stats.actors).reduce((sum, actor) => sum + actor.inHand, 0);
  log.info(`draining on ${why}: ${plural(inHand, "message")} in hand, up to ${formatMs(graceMs)} to finish`);
  await worker.stop({ grace: graceMs });
  await system.close();
  const counts = Object.values(worker.stats.actors);
  const total = (kind: "completed" | "retry" | "dead" | "deferred" | "interrupted" | "lost"): number =>
    counts.reduce((sum, actor) => sum + actor[kind], 0);
  log.info(
    `done: ${total("completed")} completed, ${total("retry")} to retry, ${total("dead")} dead, ` +
      `${total("deferred") + total("interrupted")} put back, ${total("lost")} lost`,
  );
}

async function makeLog({ log, logLevel }: WorkerFlags): Promise<Logger> {
  if (log === "text" || (log === undefined && process.stderr.isTTY)) return textLogger(logLevel);
  const { createLogger } = await import("../observe/log.ts");
  return createLogger({ level: logLevel });
}
