/** Runs one short command to its end and gives its exit code and what it printed. */
import { spawn } from "node:child_process";

/** How a command ended: with an exit code, or without one. */
export type CommandEnd =
  | { readonly kind: "exited"; readonly code: number; readonly output: string }
  | { readonly kind: "failed"; readonly error: Error };

export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  /** An open file that the command sees as descriptor 3. */
  readonly fd?: number;
  readonly cwd?: string;
}

const outputLimit = 64 * 1024;

/**
 * Runs `command`, found on the PATH of `options.env`. Never rejects: a command that is missing, killed by a signal or
 * slower than `timeoutMs` is `failed`. Output is stdout and stderr together, the last 64 KB of it.
 */
export function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<CommandEnd> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      env: options.env,
      cwd: options.cwd,
      stdio: ["ignore", "pipe", "pipe", ...(options.fd === undefined ? [] : [options.fd])],
      timeout: options.timeoutMs,
      killSignal: "SIGKILL",
    });
    let output = "";
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-outputLimit);
    };
    child.stdout?.on("data", collect);
    child.stderr?.on("data", collect);
    child.once("error", (error) => resolve({ kind: "failed", error }));
    child.once("close", (code, signal) => {
      if (code !== null) return resolve({ kind: "exited", code, output });
      const error = new Error(`${command} was ended by ${signal} within its limit of ${options.timeoutMs / 1_000} s`);
      resolve({ kind: "failed", error });
    });
  });
}
