/** A fleet: workers under a rate limit, each in a process of its own, and what they wrote down. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "../embedded/until.ts";
import { Journal } from "../faults/journal.ts";
import type { LimitWorkerSetup } from "./worker.ts";

const workerScript = fileURLToPath(new URL("../../../dist/test/support/limits/worker.js", import.meta.url));

export class Fleet {
  readonly #folder = mkdtempSync(join(tmpdir(), "godwit-fleet-"));
  readonly journal = new Journal(join(this.#folder, "journal"));
  readonly #children: ChildProcess[] = [];

  /** Starts a worker; resolves once it pulls. @param nodeArguments for its process. */
  async spawn(setup: LimitWorkerSetup, nodeArguments: readonly string[] = []): Promise<ChildProcess> {
    const child = spawn(process.execPath, [...nodeArguments, workerScript, JSON.stringify(setup), this.journal.path], {
      stdio: ["pipe", "inherit", "inherit"],
    });
    this.#children.push(child);
    await until(
      `worker ${setup.worker} is ready`,
      () => {
        if (child.exitCode !== null) throw new Error(`worker ${setup.worker} ended before it was ready`);
        return this.journal.of("ready").some((entry) => entry.pid === child.pid);
      },
      30_000,
    );
    return child;
  }

  /** When handlers started, monotonic ms of the machine; those of one message or key where it is given. */
  starts(id?: string): number[] {
    return this.journal.of("run", id).map((entry) => entry.at);
  }

  async end(): Promise<void> {
    const running = this.#children.filter((child) => child.exitCode === null && child.signalCode === null);
    const exits = running.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of running) child.kill("SIGKILL");
    await Promise.all(exits);
    this.journal.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The machine's monotonic clock, ms: the same for all processes. */
export function machineMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
