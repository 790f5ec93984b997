/** A worker in a process of its own: a new one loads every module afresh, and a crash takes nothing else down. */
import { spawn, type ChildProcess } from "node:child_process";
import { readFromWorker, type FromWorker, type ToWorker } from "./protocol.ts";

/** How it ended: an exit code, or the signal that killed it. */
export type WorkerEnd = number | NodeJS.Signals;

/** How it ended, within a sentence: `exit code 1`, `SIGKILL`. */
export function endText(end: WorkerEnd): string {
  return typeof end === "number" ? `exit code ${end}` : end;
}

export interface WorkerProcessOptions {
  /** Arguments of node: the program and its own. */
  args: readonly string[];
  /** Default: this process's. */
  env?: NodeJS.ProcessEnv;
  onMessage?: (message: FromWorker) => void;
}

export class WorkerProcess {
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<WorkerEnd>;
  /** True once it was asked to end; an end before that is its own. */
  stopped = false;
  readonly #child: ChildProcess;

  constructor({ args, env, onMessage }: WorkerProcessOptions) {
    // A session of its own: Ctrl-C reaches every process of the terminal's group, and would be its second signal. Its end with its
    // owner's is what the channel is for.
    this.#child = spawn(process.execPath, [...process.execArgv, ...args], {
      detached: true,
      env: env ?? process.env,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.ended = new Promise((resolve) => {
      this.#child.once("error", () => resolve(1));
      this.#child.once("exit", (code, signal) => resolve(code ?? signal ?? 1));
    });
    // Whoever cares: what nobody listens for is kept for ever.
    this.#child.on("message", (said) => {
      const message = readFromWorker(said);
      if (message !== undefined) onMessage?.(message);
    });
  }

  /** 0 where it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Nothing is said to one that has ended. */
  tell(message: ToWorker, told: () => void = () => undefined): void {
    if (this.#child.connected) this.#child.send(message, told);
    else told();
  }

  /**
   * Lets it drain. Resolves when it has ended.
   * @param why in its user's words, for its log. @param patienceMs after which it is killed. Default: it is waited for.
   */
  async stop(why: string, patienceMs = Infinity): Promise<void> {
    // A second signal would cut the drain short.
    if (!this.stopped) this.tell({ say: "stop", why }, () => void this.#child.kill("SIGTERM"));
    this.stopped = true;
    const timer = patienceMs === Infinity ? undefined : setTimeout(() => this.#child.kill("SIGKILL"), patienceMs);
    await this.ended;
    clearTimeout(timer);
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.stopped = true;
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}
