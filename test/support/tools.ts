/** Programs that some tests need and not every machine has. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

export const run = promisify(execFile);

/**
 * Whether to skip what needs the program. Says so in a sentence. On a machine that has to have it, as CI's, nothing is skipped.
 * @param debianPackage which brings it.
 */
export async function isMissing(program: string, debianPackage: string): Promise<boolean> {
  try {
    await run(program, ["--version"]);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  if (process.env["CI"] === "true" || process.env["GODWIT_REQUIRE_TOOLS"]) return false;
  process.stderr.write(`Skipped: what needs ${program}, which Debian's package ${debianPackage} brings.\n`);
  return true;
}
