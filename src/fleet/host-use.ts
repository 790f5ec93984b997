/**
 * Host use: how much CPU and memory is taken of what the processes of this host may have: those of the machine, or of the control group where that
 * has less.
 * 1. CPU use is that since the look before; the first look knows none and says 0.
 * 2. Memory that only holds copies of files counts as free: it is given up for whoever needs it.
 */
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, freemem, totalmem } from "node:os";
import { join } from "node:path";
import { monotonicMs } from "../kernel/clock.ts";

export interface HostUse {
  /** Of all CPU that may be used since the look before, 0 to 1. */
  cpuUse: number;
  /** How many cores that is; a part of one where the control group has no more. */
  cores: number;
  memoryBytes: number;
  memoryUsedBytes: number;
}

export interface HostUseOptions {
  /** Where the control group of this process is found, version 2. Default: as `/proc/self/cgroup` says. */
  cgroup?: string;
  /** Monotonic ms. */
  now?: () => number;
}

export class HostUseWatch {
  readonly #cgroup: string;
  readonly #now: () => number;
  #last: { atMs: number; busyMs: number };

  constructor({ cgroup, now = monotonicMs }: HostUseOptions = {}) {
    this.#cgroup = cgroup ?? ownCgroup();
    this.#now = now;
    this.#last = { atMs: now(), busyMs: this.#busyMs() };
  }

  look(): HostUse {
    const now = { atMs: this.#now(), busyMs: this.#busyMs() };
    const { atMs, busyMs } = this.#last;
    this.#last = now;
    const cores = this.#quota() ?? availableParallelism();
    const couldMs = (now.atMs - atMs) * (this.#quota() === undefined ? cpus().length : cores);
    const use = couldMs > 0 ? (now.busyMs - busyMs) / couldMs : 0;
    return { cpuUse: Math.min(1, Math.max(0, use)), cores, ...this.#memory() };
  }

  /** What has been computed, ms, ever: by the control group where it has a quota, else by the machine. */
  #busyMs(): number {
    const used = this.#quota() === undefined ? undefined : this.#field("cpu.stat", "usage_usec");
    if (used !== undefined) return used / 1_000;
    return cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  }

  /** In cores. */
  #quota(): number | undefined {
    const [quota, period] = (this.#text("cpu.max") ?? "").split(" ").map(Number);
    return quota !== undefined && period !== undefined && quota > 0 && period > 0 ? quota / period : undefined;
  }

  #memory(): Pick<HostUse, "memoryBytes" | "memoryUsedBytes"> {
    const total = totalmem();
    const [limit, current] = [Number(this.#text("memory.max")), Number(this.#text("memory.current"))];
    if (limit > 0 && limit < total && current > 0) {
      const files = this.#field("memory.stat", "inactive_file") ?? 0;
      return { memoryBytes: limit, memoryUsedBytes: Math.max(0, current - files) };
    }
    // Of version 1, or set further up.
    const constrained = process.constrainedMemory();
    if (constrained > 0 && constrained < total) {
      return { memoryBytes: constrained, memoryUsedBytes: Math.max(0, constrained - process.availableMemory()) };
    }
    return { memoryBytes: total, memoryUsedBytes: total - freemem() };
  }

  #field(file: string, name: string): number | undefined {
    const line = this.#text(file)
      ?.split("\n")
      .find((one) => one.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length + 1));
  }

  #text(file: string): string | undefined {
    return readText(join(this.#cgroup, file));
  }
}

function ownCgroup(): string {
  const own = /^0::(.*)$/m.exec(readText("/proc/self/cgroup") ?? "")?.[1] ?? "/";
  return join("/sys/fs/cgroup", own);
}

/** Undefined where there is no such file, as without control groups, or on other systems. */
function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** What processes may take together of the memory: all but what others have, and a reserve. @param reserve a share of all, 0 to 1. */
export function memoryForProcesses(
  use: Pick<HostUse, "memoryBytes" | "memoryUsedBytes">,
  ownBytes: number,
  reserve: number,
): number {
  const othersBytes = Math.max(0, use.memoryUsedBytes - ownBytes);
  return Math.max(0, use.memoryBytes * (1 - reserve) - othersBytes);
}
