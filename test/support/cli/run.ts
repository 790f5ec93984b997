/** Runs the built `godwit` as a user's shell would, in a folder of the test's own and without what this machine's environment says. */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import { until } from "../embedded/until.ts";

const main = fileURLToPath(new URL("../../../dist/src/cli/main.js", import.meta.url));

export interface RunOptions {
  cwd: string;
  env?: NodeJS.ProcessEnv;
  /** For standard input. Default: none, and it is closed. */
  input?: string;
}

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** This machine's environment without what it says of NATS and Godwit, but for where the server's binary is. */
export function environmentOf(env: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(NATS|GODWIT|COLUMNS)/.test(name) || /^(NATS_SERVER_BIN|GODWIT_CACHE)$/.test(name),
  );
  return { ...Object.fromEntries(kept), ...env };
}

/** A `godwit` that was started. */
export class Running {
  readonly child: ChildProcess;
  /** Resolves when it has ended and its output has been read. */
  readonly ended: Promise<Ended>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { cwd, env, input }: RunOptions) {
    this.child = spawn(process.execPath, [main, ...args], {
      cwd,
      env: environmentOf(env),
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      // The leader of a group of its own, so that a signal to the group is what Ctrl-C in a terminal is.
      detached: true,
    });
    this.child.stdout?.on("data", (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on("data", (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.child.stdin?.end(input);
    this.ended = new Promise((resolve) => {
      this.child.once("close", (code) => resolve({ code, stdout: this.stdout, stderr: this.stderr }));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Waits for a text on standard error or output. Fails at once when the process ends first. */
  async says(text: string | RegExp, times = 1, timeoutMs = 30_000): Promise<void> {
    const pattern = new RegExp(typeof text === "string" ? text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : text, "g");
    const count = (): number => [...`${this.stdout}\n${this.stderr}`.matchAll(pattern)].length;
    await until(
      `the process says ${String(text)} ${times} times; it said: ${this.stdout}${this.stderr}`,
      () => {
        if (count() >= times) return true;
        if (this.child.exitCode !== null)
          throw new Error(`it ended with code ${this.child.exitCode}: ${this.stdout}${this.stderr}`);
        return false;
      },
      timeoutMs,
    );
  }

  /** What Ctrl-C does: every process of the terminal's group gets the signal. */
  interrupt(): void {
    process.kill(-this.pid, "SIGINT");
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }
}

/** Runs a command to its end, in a process of its own; inProcess() does without one. */
export function godwit(args: readonly string[], options: RunOptions): Promise<Ended> {
  return new Running(args, options).ended;
}
