/** Threads: the pool in which the handlers of one isolated actor run, as many threads as handlers may run at once. */
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";
import { MessagePort } from "node:worker_threads";
import { Piscina } from "piscina";
import type { ResolvedConfig } from "../../actor/config.ts";
import { within } from "../../kernel/clock.ts";
import { ConfigError, ThreadError, toError } from "../../kernel/errors.ts";
import { Line } from "./line.ts";
import type { ThreadControl, ThreadReady, ThreadRefused, ThreadSetup, ThreadTask } from "./protocol.ts";
import { readError, type WireError } from "./wire-error.ts";

/** How long handlers have to heed their signals when the worker has stopped. */
const heedMs = 1_000;
/** How long a thread may take to answer before it counts as blocked. */
const pingMs = 1_000;
/** How long an actor's stop() may take in a thread. */
const stopMs = 10_000;

/** True in a checkout, whose modules are TypeScript; a package has them compiled. */
const fromSource = import.meta.url.endsWith(".ts");

export class Threads {
  readonly #actor: string;
  readonly #pool: Piscina<ThreadTask, WireError | undefined>;
  readonly #controls = new Set<Line<object, ThreadControl>>();
  readonly #running = new Set<Promise<void>>();
  #stopped = false;
  #prepared = false;
  #refusal: Error | undefined;

  /** @throws ConfigError for a config without a module. */
  constructor({ name, module, concurrency }: ResolvedConfig, onProblem: (error: Error) => void) {
    this.#actor = name;
    const setup: ThreadSetup = { module: moduleUrl(name, module), actor: name, typescript: false };
    setup.typescript = fromSource || /\.[cm]?tsx?$/.test(new URL(setup.module).pathname);
    this.#pool = new Piscina<ThreadTask, WireError | undefined>({
      filename: fileURLToPath(new URL(fromSource ? "./entry.ts" : "./entry.js", import.meta.url)),
      name: "perform",
      workerData: setup,
      minThreads: concurrency,
      maxThreads: concurrency,
      concurrentTasksPerWorker: 1,
      // A thread must turn its event loop between runs too: it may hold connections.
      atomics: "disabled",
      ...(fromSource && { execArgv: ["--import", pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href] }),
    });
    this.#pool.on("message", (message: Partial<ThreadReady> | ThreadRefused | null | undefined) => {
      if (message?.kind === "godwit.thread-refused") return this.#refuse(readError(message.error), onProblem);
      // Anything in the thread can post to its parent.
      if (message?.kind !== "godwit.thread-ready" || !(message.port instanceof MessagePort)) return;
      const control = new Line<object, ThreadControl>(message.port, {}, new Int32Array(1));
      this.#controls.add(control);
      message.port.on("close", () => this.#controls.delete(control));
      control.unref();
    });
    this.#pool.on("error", (thrown) => {
      const cause = toError(thrown);
      if (!this.#stopped) onProblem(new ThreadError(name, `between two runs: ${cause.message}`, { cause }));
    });
  }

  /** Makes one of them ready. @throws ConfigError, ActorStartError, ThreadError. */
  prepare(): Promise<void> {
    return this.#perform({ kind: "prepare" }, {});
  }

  /**
   * Lets one of them serve a run over the port. Resolves when the run is over and the thread free again. An abort of the signal ends
   * the thread.
   * @throws ThreadError where the thread ended.
   */
  run(port: MessagePort, bell: Int32Array, signal: AbortSignal): Promise<void> {
    const task = this.#perform({ kind: "run", port, bell }, { transferList: [port], signal });
    const ended = task.catch(() => undefined).then(() => void this.#running.delete(ended));
    this.#running.add(ended);
    return task;
  }

  /** Each thread would do the same, and none may: what starts a program is not run at all. */
  #refuse(refusal: Error, onProblem: (error: Error) => void): void {
    if (this.#refusal !== undefined) return;
    this.#refusal = refusal;
    if (this.#prepared) onProblem(refusal);
    void this.#pool.destroy();
  }

  async #perform(task: ThreadTask, options: { transferList?: MessagePort[]; signal?: AbortSignal }): Promise<void> {
    let failure: WireError | undefined;
    try {
      if (this.#refusal === undefined) failure = await this.#pool.run(task, options);
    } catch (thrown) {
      if (this.#refusal !== undefined) throw this.#refusal;
      const cause = toError(thrown);
      throw new ThreadError(this.#actor, cause.message, { cause });
    }
    if (this.#refusal !== undefined) throw this.#refusal;
    if (failure !== undefined) throw readError(failure);
    this.#prepared = true;
  }

  /** Lets handlers that were aborted heed it, calls stop() in each thread that answers, then ends them all. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await within(heedMs, Promise.all(this.#running));
    await Promise.all([...this.#controls].map((control) => stopThread(control)));
    await this.#pool.destroy();
  }
}

async function stopThread(control: Line<object, ThreadControl>): Promise<void> {
  try {
    if (await within(pingMs, control.call("ping"))) await within(stopMs, control.call("stop"));
  } catch {
    // It has ended by itself.
  }
}

function moduleUrl(actor: string, module: string | undefined): string {
  if (module !== undefined && URL.canParse(module)) return module;
  throw new ConfigError(
    `The actor ${actor} is to run in threads, and its config ${module === undefined ? "has no module" : `has a module that is no URL (${module})`}; add: module: import.meta.url.`,
  );
}
