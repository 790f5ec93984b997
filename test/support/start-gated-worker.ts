/** Starts gated-worker.ts, to be stopped by a signal as a host that hangs would be, and killed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { freeze } from "./freeze.ts";

const script = fileURLToPath(new URL("../../dist/test/support/gated-worker.js", import.meta.url));

export interface GatedWorker {
  readonly pid: number;
  /** Resolves once it stands still: alive, and silent. */
  freeze(): Promise<void>;
  /** Kills it. Resolves once it is gone. */
  end(): Promise<void>;
}

/** Resolves when its worker pulls. */
export async function startGatedWorker(servers: string, namespace: string): Promise<GatedWorker> {
  const child = spawn(process.execPath, [script, servers, namespace], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  const early = ended.then(([code]) => {
    throw new Error(`the worker process ended with code ${String(code)} before it was ready`);
  });
  await Promise.race([once(child.stdout, "data"), early]);
  early.catch(() => undefined);
  const pid = Number(child.pid);
  return {
    pid,
    freeze: () => freeze(pid),
    end: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
