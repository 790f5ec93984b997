/** Starts worker-process.ts. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../dist/test/support/worker-process.js", import.meta.url));

export interface WorkerProcess {
  readonly pid: number;
  /** Lets it stop in its own time. @returns its exit code. */
  stop(): Promise<number | null>;
}

/** Resolves when its worker pulls. */
export async function startWorkerProcess(
  servers: string,
  namespace: string,
  env: NodeJS.ProcessEnv = {},
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [script, servers, namespace], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const early = ended.then((code) => {
    throw new Error(`the worker process ended with code ${code} before it was ready`);
  });
  await Promise.race([once(child.stdout, "data"), early]);
  early.catch(() => undefined);
  return {
    pid: Number(child.pid),
    stop: () => {
      child.stdin.end();
      return ended;
    },
  };
}
