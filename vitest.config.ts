import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { full } from "./test/support/size.ts";
import { TimesReporter } from "./test/support/times-reporter.ts";

const here = (path: string): string => fileURLToPath(new URL(`./${path}`, import.meta.url));

/** Tests import the public API from its source, so that there is one copy of each class and no build to wait for. */
const fromSource = [
  { find: /^godwit$/, replacement: here("src/index.ts") },
  { find: /^godwit\/testing$/, replacement: here("src/testing/index.ts") },
];

/** Threads load modules by themselves: from source each would first take a second to load the TypeScript loader. */
const fromBuilt = [
  { find: /^(?:\.\.\/)+src\/(.+)\.ts$/, replacement: here("dist/src/$1.js") },
  { find: /^(?:\.\.\/)+support\/isolation\/(.+)\.ts$/, replacement: here("dist/test/support/isolation/$1.js") },
];
const inThreads = ["test/integration/guard-isolation.test.ts"];

/** What these show is a matter of milliseconds, of a machine that they have to themselves: they run last, one at a time. */
const alone = [
  "test/integration/group-scale.test.ts",
  "test/faults/failover.test.ts",
  "test/integration/guard-herd.test.ts",
  "test/integration/guard-rate-limit-fleet.test.ts",
];

/** Bound in time over several processes, with room for a neighbour. */
const inPairs = [
  "test/faults/{cluster,killed-workers,two-hosts}.test.ts",
  "test/integration/guard-{breaker,concurrency}-fleet.test.ts",
  "test/integration/group-memory.test.ts",
  // Their ack-waits are a second: a process that gets no processor for so long has lost its messages.
  "test/integration/faults-{attempts,connection,server}.test.ts",
  "test/integration/payload-faults.test.ts",
];

/** Files wait most of the time; the full sizes leave less room beside them. Projects that start together have to agree on it. */
const waiting = full ? 2 : 4;

export default defineConfig({
  resolve: { alias: fromSource },
  test: {
    pool: "forks",
    reporters: ["default", new TimesReporter()],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts", "test/faults/*.test.ts"],
          exclude: [...inThreads, ...inPairs, ...alone],
          // Type errors elsewhere are for `npm run check:types` to report.
          typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], ignoreSourceErrors: true },
          maxWorkers: waiting,
        },
      },
      {
        extends: true,
        resolve: { alias: fromBuilt },
        test: { name: "built", include: inThreads, maxWorkers: waiting },
      },
      {
        extends: true,
        // One process for many files: most of what they take is the loading of the modules that they share.
        test: { name: "unit", include: ["test/unit/**/*.test.ts"], isolate: false, maxWorkers: waiting },
      },
      {
        extends: true,
        test: { name: "pairs", include: inPairs, maxWorkers: full ? 1 : 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: { name: "alone", include: alone, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
