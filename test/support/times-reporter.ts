/** Writes down how long each test file took, the slowest first, into `test-times.log`. */
import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

export class TimesReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const times = modules.map((module) => {
      const { duration, collectDuration, prepareDuration, setupDuration } = module.diagnostic();
      return {
        file: `${module.project.name}: ${module.relativeModuleId}`,
        testsMs: duration,
        loadMs: collectDuration + prepareDuration + setupDuration,
      };
    });
    const lines = times
      .toSorted((one, other) => other.testsMs + other.loadMs - one.testsMs - one.loadMs)
      .map(({ file, testsMs, loadMs }) => `${seconds(testsMs)} s and ${seconds(loadMs)} s to load  ${file}\n`);
    writeFileSync("test-times.log", lines.join(""));
  }
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1).padStart(6);
}
