/** `godwit dev`: a server with its data in a folder, a worker and the dashboard, for as long as somebody sits in front of them. */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { endText, WorkerProcess } from "../fleet/worker-process.ts";
import { namespaceOption, defaultStoreDir } from "./connect.ts";
import { DevDashboard } from "./dev-dashboard.ts";
import { startOrJoin, type DevServer } from "./dev-server.ts";
import { exitCode, signalExitCode } from "./exit.ts";
import { note, print } from "./io.ts";
import { graceOption, whole } from "./parse.ts";
import { onAsked } from "./signals.ts";
import { changes } from "./watch.ts";
import { ownProgram } from "./own-program.ts";

interface DevFlags {
  watch?: boolean;
  dashboard: boolean;
  dashboardPort?: number;
  showBodies?: boolean;
  port?: number;
  storeDir: string;
  namespace: string;
  grace: number;
}

const usualPaths = ["actors", "dist/actors"];

export function devCommand(program: Command): void {
  program
    .command("dev")
    .argument("[paths...]", "modules or folders with actors (default: actors/, else dist/actors/)")
    .option("-w, --watch", "restart the worker when files here change")
    .option(
      "-p, --port <port>",
      "of the server; 0 for any free one (default: 4222 if free)",
      whole("--port", 0, 65_535),
    )
    .option("--no-dashboard", "serve no dashboard")
    .option(
      "--dashboard-port <port>",
      "of the dashboard; 0 for any free one (default: 4280 if free)",
      whole("--dashboard-port", 0, 65_535),
    )
    .option("--show-bodies", "let the dashboard show bodies and headers of messages")
    .option("--store-dir <folder>", "where the server keeps its data", defaultStoreDir)
    .addOption(graceOption("at a restart and at the end", 5_000, "5s"))
    .addOption(namespaceOption())
    .summary("run a server, a worker and the dashboard, for development")
    .description(
      `Run a NATS server with its data in .godwit/, a worker for your actors, and the
dashboard. The server's address is printed on standard output; the other
commands find it by themselves in the same folder. A second 'dev' joins the
server of the first. Ctrl-C drains the worker and ends all of it.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit dev
  godwit dev actors/charge-payment.ts --watch
  godwit dev --store-dir /tmp/shop --port 0`,
    )
    .action(async (paths: string[], flags: DevFlags) => {
      const storeDir = resolve(flags.storeDir);
      const server = await startOrJoin(storeDir, flags.port);
      process.exitCode = await new Dev(server, await pathsOf(paths), flags).run();
    });
}

async function pathsOf(given: readonly string[]): Promise<string[]> {
  if (given.length > 0) return [...given];
  for (const path of usualPaths) {
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return [path];
  }
  return [];
}

/** Server and worker, until a signal, the server's end, or, unless files are watched, the worker's. */
class Dev {
  readonly #server: DevServer;
  readonly #paths: readonly string[];
  readonly #flags: DevFlags;
  readonly #ending = new AbortController();
  /** More than one only while an old worker drains. */
  readonly #workers = new Set<WorkerProcess>();
  readonly #dashboard = new DevDashboard();
  /** Why it ends. */
  #why = "the end of dev";

  constructor(server: DevServer, paths: readonly string[], flags: DevFlags) {
    this.#server = server;
    this.#paths = paths;
    this.#flags = flags;
  }

  /** Resolves to the exit code once nothing is left running. */
  async run(): Promise<number> {
    // Neither the server nor a handler of signals keeps a process alive.
    const alive = setInterval(() => undefined, 60_000);
    const ended = new Promise<number>((resolve) => {
      onAsked(
        (signal) => {
          this.#why = signal === "SIGINT" ? "Ctrl-C" : signal;
          resolve(exitCode.ok);
        },
        (signal) => void this.#endNow(signalExitCode(signal)),
      );
      // Who reads that it runs may end it at once.
      this.#announce();
      void this.#server.ended.then((why) => {
        if (this.#ending.signal.aborted) return;
        note(`the server ${why}.`);
        this.#why = "the end of its server";
        resolve(exitCode.failed);
      });
      if (this.#flags.watch) void this.#restartOnChanges();
      this.#startWorker(this.#flags.watch ? undefined : resolve);
      this.#startDashboard();
    });
    const code = await ended;
    this.#ending.abort();
    await Promise.all([...[...this.#workers].map((worker) => worker.stop(this.#why)), this.#dashboard.stop()]);
    await this.#server.stop();
    clearInterval(alive);
    return code;
  }

  #startDashboard(): void {
    const { dashboard, dashboardPort: port, namespace, showBodies: bodies = false } = this.#flags;
    if (dashboard) void this.#dashboard.start({ servers: this.#server.url, namespace, port, bodies });
  }

  #announce(): void {
    const { storeDir } = this.#flags;
    note(
      this.#server.joined
        ? `joins the server that another 'godwit dev' runs on ${storeDir}.`
        : `server with its data in ${storeDir}; Ctrl-C ends it.`,
    );
    print(this.#server.url);
    if (this.#paths.length === 0) note("there is no folder actors/ or dist/actors/ here, so the server runs alone.");
  }

  #startWorker(giveUp?: (code: number) => void): void {
    if (this.#paths.length === 0) return;
    const { namespace, grace, watch } = this.#flags;
    const options = [
      "--servers",
      this.#server.url,
      "--namespace",
      namespace,
      "--grace",
      String(grace),
      "--log",
      "text",
    ];
    const worker = new WorkerProcess({ args: [ownProgram, "worker", "--owned", ...options, "--", ...this.#paths] });
    this.#workers.add(worker);
    void worker.ended.then((end) => {
      this.#workers.delete(worker);
      if (worker.stopped) return;
      note(`the worker ended (${endText(end)})${watch ? "; it starts again when a file changes" : ""}.`);
      giveUp?.(typeof end === "number" && end > 0 ? end : exitCode.failed);
    });
  }

  async #restartOnChanges(): Promise<void> {
    for await (const files of changes(this.#paths, this.#ending.signal)) {
      note(`${files.length > 3 ? `${files.length} files` : files.join(", ")} changed; the worker starts again.`);
      await Promise.all([...this.#workers].map((worker) => worker.stop("a change of files")));
      if (this.#ending.signal.aborted) return;
      this.#startWorker();
    }
  }

  async #endNow(code: number): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.kill()));
    await this.#server.stop();
    process.exit(code);
  }
}
