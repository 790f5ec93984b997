/** CPU and memory of the host or of its control group. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { freemem, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HostUseWatch, memoryForProcesses } from "../../src/fleet/host-use.ts";

let cgroup: string;
beforeAll(async () => {
  cgroup = await mkdtemp(join(tmpdir(), "godwit-cgroup-"));
});
afterAll(() => rm(cgroup, { recursive: true, force: true }));

const write = (file: string, text: string): Promise<void> => writeFile(join(cgroup, file), text);

test("in a control group with a quota and a limit, they are what there is", async () => {
  await write("cpu.max", "150000 100000\n");
  await write("cpu.stat", "usage_usec 5000000\nuser_usec 1\n");
  await write("memory.max", "1000000000\n");
  await write("memory.current", "700000000\n");
  await write("memory.stat", "anon 1\ninactive_file 200000000\nactive_file 5\n");
  let nowMs = 0;
  const watch = new HostUseWatch({ cgroup, now: () => nowMs });
  nowMs = 2_000;
  // 1.5 of 3 s.
  await write("cpu.stat", "usage_usec 6500000\nuser_usec 1\n");
  expect(watch.look()).toEqual({ cpuUse: 0.5, cores: 1.5, memoryBytes: 1e9, memoryUsedBytes: 5e8 });
  nowMs = 3_000;
  expect(watch.look().cpuUse).toBe(0);
});

test("a quota of max and a limit of max are none", async () => {
  await write("cpu.max", "max 100000\n");
  await write("memory.max", "max\n");
  const { cores, memoryBytes } = new HostUseWatch({ cgroup }).look();
  expect(Number.isInteger(cores)).toBe(true);
  expect(memoryBytes).toBe(new HostUseWatch({ cgroup: join(cgroup, "none") }).look().memoryBytes);
});

test("without a control group the machine's are seen: a busy core is its share of them", () => {
  const watch = new HostUseWatch({ cgroup: join(cgroup, "none") });
  const beganMs = performance.now();
  while (performance.now() - beganMs < 500);
  const { cpuUse, cores, memoryBytes, memoryUsedBytes } = watch.look();
  expect(cpuUse).toBeGreaterThan(0.5 / cores);
  expect(cpuUse).toBeLessThanOrEqual(1);
  expect(memoryBytes).toBeLessThanOrEqual(totalmem());
  expect(memoryUsedBytes).toBeGreaterThan(0);
  expect(memoryBytes - memoryUsedBytes).toBeLessThanOrEqual(freemem() * 1.1);
});

test("two looks at one moment are no division by zero", () => {
  const watch = new HostUseWatch({ cgroup, now: () => 5 });
  expect([watch.look().cpuUse, watch.look().cpuUse]).toEqual([0, 0]);
});

test("processes may take what others have not, less a reserve", () => {
  expect(memoryForProcesses({ memoryBytes: 1_000, memoryUsedBytes: 500 }, 300, 0.1)).toBe(700);
  // What they share counts in each of them.
  expect(memoryForProcesses({ memoryBytes: 1_000, memoryUsedBytes: 500 }, 600, 0.1)).toBe(900);
  expect(memoryForProcesses({ memoryBytes: 1_000, memoryUsedBytes: 1_000 }, 0, 0.1)).toBe(0);
});
