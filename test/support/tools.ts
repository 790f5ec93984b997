/** Programs that tests use and npm does not bring. */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";

/** Runs a program to its end. Rejects where it fails, with what it printed. */
export const run = promisify(execFile);

/**
 * Undefined where it can be run, else a sentence that says how to get it: a reason to skip a test.
 * @throws Error with that sentence where tests may not be skipped for it: CI=true or GODWIT_REQUIRE_TOOLS.
 */
export function missingTool(command: string, debianPackage: string): string | undefined {
  if (spawnSync(command, ["--version"], { stdio: "ignore" }).error === undefined) return undefined;
  const sentence = `skipped: '${command}' is not installed; apt-get install -y --no-install-recommends ${debianPackage}`;
  const { CI, GODWIT_REQUIRE_TOOLS } = process.env;
  if (CI === "true" || (GODWIT_REQUIRE_TOOLS ?? "") !== "") throw new Error(sentence);
  return sentence;
}
