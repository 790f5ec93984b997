import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Tests import the public API from its source, so that there is one copy of each class and no build to wait for. */
const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^godwit$/, replacement: source("index.ts") },
      { find: /^godwit\/testing$/, replacement: source("testing/index.ts") },
    ],
  },
  test: {
    include: ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts"],
    // Type errors elsewhere are for `npm run check:types` to report.
    typecheck: { enabled: true, include: ["test/types/**/*.test-d.ts"], ignoreSourceErrors: true },
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
