/** A worker in a process of its own, for `dev`: a restart loads every module afresh, and a crash takes nothing else down. */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

/** How it ended: an exit code, or the signal that killed it. */
export type WorkerEnd = number | NodeJS.Signals;

/** What a worker is told before it is asked to end. */
export interface StopReason {
  why: string;
}

const main = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "./main.ts" : "./main.js", import.meta.url));

export class WorkerProcess {
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<WorkerEnd>;
  /** True once it was asked to end; an end before that is its own. */
  stopped = false;
  readonly #child: ChildProcess;

  /** @param args of `godwit worker`. */
  constructor(args: readonly string[]) {
    // A session of its own: Ctrl-C reaches every process of the terminal's group, and would be its second signal. Its end with its
    // owner's is what the channel is for.
    this.#child = spawn(process.execPath, [...process.execArgv, main, "worker", "--owned", ...args], {
      detached: true,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.ended = new Promise((resolve) => {
      this.#child.once("error", () => resolve(1));
      this.#child.once("exit", (code, signal) => resolve(code ?? signal ?? 1));
    });
  }

  /** Lets it drain. Resolves when it has ended. @param why in its user's words, for its log. */
  async stop(why: string): Promise<void> {
    // A second one would cut the drain short.
    if (!this.stopped) this.#ask(why);
    this.stopped = true;
    await this.ended;
  }

  /** The signal asks, also a worker that has not begun to listen; what was sent before it says why. */
  #ask(why: string): void {
    const kill = (): void => void this.#child.kill("SIGTERM");
    if (this.#child.connected) this.#child.send({ why } satisfies StopReason, kill);
    else kill();
  }

  /** Ends it at once. */
  async kill(): Promise<void> {
    this.stopped = true;
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}
