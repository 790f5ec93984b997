/** Runs a worker in this process, from the loading of its actors to the end of its draining. */
import { formatMs } from "../kernel/duration.ts";
import type { ActorSource } from "../actor/actor-class.ts";
import { Owner } from "../fleet/owner.ts";
import type { Logger } from "../kernel/logger.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import type { HttpServer } from "../observe/http-server.ts";
import type { Worker } from "../worker/worker.ts";
import { connect } from "./connect.ts";
import { exitCode, signalExitCode } from "./exit.ts";
import { onAsked } from "./signals.ts";
import { plural } from "./table.ts";
import { textLogger } from "./text-log.ts";
import { topologyOf } from "./topology-options.ts";
import type { WorkerFlags } from "./worker-flags.ts";

export async function runWorker(paths: string[], flags: WorkerFlags): Promise<void> {
  const log = await makeLog(flags);
  let ask: (why: string) => void = () => undefined;
  const asked = new Promise<string>((resolve) => (ask = resolve));
  const owner = ownerOf(flags, ask);
  // What stops a whole service sends its signal to every process, and the supervisor passes on its own: the second one is no haste. It kills
  // who takes too long.
  const again = flags.supervised ? () => undefined : (signal: NodeJS.Signals) => process.exit(signalExitCode(signal));
  onAsked(owner?.inItsWords(ask) ?? ask, again);

  const { loadActors } = await import("../actor/loader.ts");
  const sources = await loadActors(paths);
  const system = await connectWorker(flags, log, `godwit worker ${process.pid}`);
  const { endpoint, worker } = await begin(system, sources, flags).catch(async (error: unknown) => {
    await system.close();
    throw error;
  });
  const metrics = endpoint === undefined ? "" : `; metrics on ${endpoint.url}/metrics`;
  log.info(`ready: ${worker.actors.join(", ")} on ${system.servers.join(", ")}${metrics}`);
  if (flags.supervised) owner?.follow(system, worker, flags.healthWindow);
  const why = await asked;
  await drain(worker, system, flags.grace, why, log, owner);
}

/** A system as workers have it: what it makes of streams is as the flags say. */
export async function connectWorker(flags: WorkerFlags, log: Logger, name: string): Promise<ActorSystem> {
  return connect(flags, {
    log,
    ...topologyOf(flags),
    drainTarget: flags.drainTarget,
    name,
  });
}

/** Undefined for a worker that nobody owns. */
function ownerOf({ owned, supervised }: WorkerFlags, ask: (why: string) => void): Owner | undefined {
  // Its supervisor may have been killed: what runs may finish all the same.
  if (supervised) return new Owner(() => ask("the end of its supervisor"));
  return owned ? new Owner(() => process.exit(exitCode.failed)) : undefined;
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

async function drain(
  worker: Worker,
  system: ActorSystem,
  graceMs: number,
  why: string,
  log: Logger,
  owner: Owner | undefined,
): Promise<void> {
  const inHand = Object.values(worker.stats.actors).reduce((sum, actor) => sum + actor.inHand, 0);
  log.info(`draining on ${why}: ${plural(inHand, "message")} in hand, up to ${formatMs(graceMs)} to finish`);
  await worker.stop({ grace: graceMs });
  await owner?.leave();
  await system.close();
  const counts = Object.values(worker.stats.actors);
  const total = (kind: "completed" | "retry" | "dead" | "deferred" | "interrupted" | "lost"): number =>
    counts.reduce((sum, actor) => sum + actor[kind], 0);
  log.info(
    `done: ${total("completed")} completed, ${total("retry")} to retry, ${total("dead")} dead, ` +
      `${total("deferred") + total("interrupted")} put back, ${total("lost")} lost`,
  );
}

export async function makeLog(flags: WorkerFlags): Promise<Logger> {
  const logger = await plainLog(flags);
  // Lines of several processes are mixed.
  return flags.supervised ? logger.child({ process: process.pid }) : logger;
}

async function plainLog({ log, logLevel }: WorkerFlags): Promise<Logger> {
  if (log === "text" || (log === undefined && process.stderr.isTTY)) return textLogger(logLevel);
  const { createLogger } = await import("../observe/log.ts");
  return createLogger({ level: logLevel });
}
