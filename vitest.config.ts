import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Tests import the public API from its source, so that there is one copy of each class and no build to wait for. */
const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

/** What these show is a matter of milliseconds, over several processes: they run after the others, one at a time. */
const boundInTime = [
  "test/integration/guard-herd.test.ts",
  "test/integration/guard-*-fleet.test.ts",
  "test/integration/group-{memory,scale}.test.ts",
];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^godwit$/, replacement: source("index.ts") },
      { find: /^godwit\/testing$/, replacement: source("testing/index.ts") },
    ],
  },
  test: {
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "tests",
          include: ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts"],
          exclude: boundInTime,
          // Type errors elsewhere are for `npm run check:types` to report.
          typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], ignoreSourceErrors: true },
          maxWorkers: 2,
        },
      },
      {
        extends: true,
        test: { name: "alone", include: boundInTime, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        // A cluster and its workers are a dozen processes.
        test: { name: "faults", include: ["test/faults/*.test.ts"], maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
