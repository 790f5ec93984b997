/** The benchmark runs to its end and reports every figure that it promises. How fast anything is, is not tested here. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { GroupGain } from "../bench/group.ts";
import type { MetricsCost } from "../bench/metrics.ts";
import type { Comparison, Report } from "../bench/report.ts";

const main = fileURLToPath(new URL("../../dist/test/bench/main.js", import.meta.url));
const run = promisify(execFile);
const positive = (value: number): boolean => Number.isFinite(value) && value > 0;

test(
  "a quick run prints a whole report as JSON, and nothing else on standard output",
  { timeout: 180_000 },
  async () => {
    const { stdout } = await run(process.execPath, [main, "--quick", "--json"]);
    const report = JSON.parse(stdout) as Report;

    expect(report.settings).toMatchObject({ messages: 2_000, rounds: 1, bodyBytes: 128 });
    expect(report.machine.natsServer).toMatch(/^\d+\.\d+\.\d+/);
    expect(report.publish.map((one) => one.variant)).toEqual(["no schema", "zod schema"]);
    expect(report.consume.map((one) => one.variant)).toEqual([
      "concurrency 500",
      "zod schema, concurrency 500",
      "concurrency 5000",
      "concurrency 10",
    ]);
    const compared = [...report.publish, ...report.consume];
    expect(compared.filter((one) => !figuresOf(one).every(positive))).toEqual([]);
    expect(report.guards.map((one) => one.guard)).toEqual([
      "breaker around receive",
      "breaker inside receive",
      "rate limit",
      "rate limit by key",
      "concurrency limit",
      "concurrency limit by key",
      "hard time limit",
      "ctx.once",
    ]);
    expect(report.guards.filter(({ ratio, withCpuUs }) => !positive(ratio.median) || !positive(withCpuUs))).toEqual([]);
    for (const trips of [report.ask.bare, report.ask.godwit]) {
      expect(trips.count).toBe(50);
      expect(trips.p50Ms).toBeLessThanOrEqual(trips.p99Ms);
    }
    expect(positive(report.memory.bare.peakBytes) && positive(report.memory.godwit.peakBytes)).toBe(true);
    expect(report.goals).toMatchObject([
      { name: "tellMany to the bare publisher", atLeast: 0.6, met: expect.any(Boolean) },
      { name: "no-op actor to the bare consumer", atLeast: 0.5, met: expect.any(Boolean) },
    ]);
  },
);

test("a quick run of the metrics' cost prints it as JSON", { timeout: 120_000 }, async () => {
  const { stdout } = await run(process.execPath, [main, "metrics", "--quick", "--json"]);
  const { rounds, messages, publish, consume } = JSON.parse(stdout) as MetricsCost;
  expect([rounds, messages]).toEqual([1, 2_000]);
  for (const { offUs, onUs, ratio } of [publish, consume]) {
    expect([offUs, onUs, ratio].every(positive)).toBe(true);
    expect(ratio).toBeCloseTo(onUs / offUs, 6);
  }
});

test("an unknown option is refused with the usage", async () => {
  await expect(run(process.execPath, [main, "--quik"])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("npm run bench"),
  });
});

function figuresOf({ bare, godwit, ratio, bareCpuUs, godwitCpuUs }: Comparison): number[] {
  return [bare, godwit, ratio].flatMap(({ median, min, max }) => [median, min, max]).concat(bareCpuUs, godwitCpuUs);
}

test("a quick run of what a group gives prints it as JSON", { timeout: 120_000 }, async () => {
  const { stdout } = await run(process.execPath, [main, "group", "--quick", "--json"]);
  const gain = JSON.parse(stdout) as GroupGain;
  expect(gain.map(({ what }) => what)).toEqual(["two processes to one", "replaced at 200 MB to never"]);
  for (const { base, other, ratio } of gain) {
    expect(base).toBeGreaterThan(0);
    expect(other).toBeGreaterThan(0);
    expect(ratio.median).toBeCloseTo(other / base, 5);
  }
});
