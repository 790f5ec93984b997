/** Runs a group of worker processes until a signal asks it to end; SIGHUP replaces all of them. */
import { Autoscaler } from "../fleet/autoscaler.ts";
import { answerAsSupervisor } from "../fleet/control.ts";
import { GroupProbes } from "../fleet/group-probes.ts";
import { OrphanGuard } from "../fleet/orphan-guard.ts";
import { Peers } from "../fleet/peers.ts";
import type { Restarted } from "../fleet/restarts.ts";
import { drainPatienceMs, Supervisor } from "../fleet/supervisor.ts";
import { WorkerProcess } from "../fleet/worker-process.ts";
import type { Logger } from "../kernel/logger.ts";
import { newId } from "../message/names.ts";
import { readQueues } from "../observe/backlog.ts";
import { serveProbes } from "../observe/probes.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import { signalExitCode } from "./exit.ts";
import { optionsOfProcesses } from "./group-options.ts";
import { ownProgram } from "./own-program.ts";
import { onAsked } from "./signals.ts";
import { plural } from "./table.ts";
import type { WorkerFlags } from "./worker-flags.ts";
import { connectWorker, makeLog } from "./worker-run.ts";

/** @param given on the command line, by name. */
export async function runGroup(
  paths: readonly string[],
  flags: WorkerFlags,
  given: ReadonlyMap<string, string>,
): Promise<void> {
  const log = await makeLog(flags);
  // Streams are made once, and what is wrong with server or credentials is said once.
  const system = await connectWorker(flags, log, `godwit supervisor ${process.pid}`);
  try {
    await new Group(system, log, flags, [...optionsOfProcesses(given), "--", ...paths]).run();
  } finally {
    await system.close();
  }
  log.info("done: every process has ended");
}

class Group {
  readonly #id = newId();
  readonly #system: ActorSystem;
  readonly #log: Logger;
  readonly #flags: WorkerFlags;
  readonly #supervisor: Supervisor;
  readonly #probes: GroupProbes;
  readonly #guard: OrphanGuard;
  #stopping = false;

  /** @param rest of the arguments of its processes. */
  constructor(system: ActorSystem, log: Logger, flags: WorkerFlags, rest: readonly string[]) {
    this.#system = system;
    this.#log = log;
    this.#flags = flags;
    const args = [ownProgram, "worker", ...rest];
    this.#guard = new OrphanGuard(flags.grace + drainPatienceMs);
    const env = { ...process.env, GODWIT_GROUP: this.#id };
    this.#supervisor = new Supervisor({
      spawn: (onMessage) => {
        const worker = new WorkerProcess({ args, env, onMessage });
        this.#guard.watch(worker);
        return worker;
      },
      processes: flags.processes?.min ?? 1,
      limits: { maxMessages: flags.maxMessages, maxMemoryBytes: flags.maxMemory, maxAgeMs: flags.maxAge },
      graceMs: flags.grace,
      // As long as it may take until something is done about one that serves its health itself.
      silentAfterMs: 2 * flags.healthWindow,
      log,
      onEnded: (metrics) => this.#probes.ended(metrics),
    });
    this.#probes = new GroupProbes({ supervisor: this.#supervisor, stopping: () => this.#stopping });
  }

  /** Resolves once every process has ended. */
  async run(): Promise<void> {
    const asked = this.#heedSignals();
    const { metricsPort: port, metricsHost: host } = this.#flags;
    const endpoint = port === undefined ? undefined : await serveProbes(this.#probes, { port, host });
    const started = this.#supervisor.start();
    try {
      const early = await Promise.race([asked, started]);
      if (typeof early === "string") {
        started.catch(() => undefined);
        return await this.#stop(early);
      }
      const count = plural(this.#supervisor.members.length, "process", "processes");
      const metrics = endpoint === undefined ? "" : `; metrics on ${endpoint.url}/metrics`;
      this.#log.info(`ready: ${count} on ${this.#system.servers.join(", ")}${metrics}`);
      const stopAnswering = this.#answer();
      const stopScaling = this.#scale();
      const why = await asked;
      await stopScaling?.();
      await this.#stop(why);
      stopAnswering();
    } finally {
      await Promise.all([endpoint?.stop(), this.#guard.stop()]);
    }
  }

  #stop(why: string): Promise<void> {
    this.#stopping = true;
    return this.#supervisor.stop(why);
  }

  #heedSignals(): Promise<string> {
    process.on("SIGHUP", () => void this.#restart("SIGHUP"));
    return new Promise((resolve) => {
      onAsked(
        (signal) => resolve(signal),
        (signal) => void this.#supervisor.kill().then(() => process.exit(signalExitCode(signal))),
        ["SIGINT", "SIGTERM"],
      );
    });
  }

  #answer(): () => void {
    const { names, bus } = this.#system.parts;
    return answerAsSupervisor({
      names,
      bus,
      id: this.#id,
      actors: () => this.#actors,
      processes: () => this.#supervisor.target,
      restart: () => this.#restart("'godwit restart'"),
      onProblem: (error) => this.#log.error({ err: error }, "a restart failed"),
    });
  }

  /** Where the number of processes is not fixed. @returns ends it. */
  #scale(): (() => Promise<void>) | undefined {
    const { processes, drainTarget: drainTargetMs, maxTotalMemory: memoryCeilingBytes } = this.#flags;
    if (processes === undefined || processes.min === processes.max) return undefined;
    const { parts } = this.#system;
    const peers = new Peers({ ...parts, id: this.#id, actors: () => this.#actors });
    peers.start();
    const scaler = new Autoscaler(
      {
        loads: () => this.#supervisor.members.flatMap(({ report }) => report?.load ?? []),
        queues: (durables) => readQueues(parts.reader, durables),
        processes: () => this.#supervisor.members.length,
        hosts: () => peers.count(),
        resize: (target, why) => {
          this.#log.info(`${plural(target, "process", "processes")} instead of ${this.#supervisor.target}: ${why}`);
          this.#supervisor.resize(target);
        },
        onKept: (target, why) => this.#log.debug(`still ${plural(target, "process", "processes")}: ${why}`),
        onProblem: (error) => this.#log.warn({ error: error.message }, "cannot tell how many processes are needed"),
      },
      { ...processes, drainTargetMs, ...(memoryCeilingBytes !== undefined && { memoryCeilingBytes }) },
    );
    scaler.start();
    return async () => {
      peers.stop();
      await scaler.stop();
    };
  }

  get #actors(): string[] {
    return (this.#supervisor.members[0]?.actors ?? []).toSorted();
  }

  async #restart(asked: string): Promise<Restarted> {
    this.#log.info(`${asked}: every process is replaced by one that loads the code anew`);
    const done = await this.#supervisor.restart();
    if (done.failure === undefined) {
      this.#log.info(`restarted: ${plural(done.replaced, "process", "processes")} replaced`);
    }
    return done;
  }
}
