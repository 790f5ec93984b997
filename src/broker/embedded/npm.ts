/** Installs one package into a folder through the user's own npm, so that its registry, proxy and credentials apply. */
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { runCommand } from "./command.ts";

const timeoutMs = 180_000;

/**
 * Installs `spec` (`name@version`) below `folder`, without running any of its scripts.
 * @throws Error with npm's own reason.
 */
export async function installPackage(spec: string, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const npm = npmCommand(env);
  // engine-strict is off because the package asks for a newer Node than it needs: it holds one native binary.
  const flags = [
    "--no-save",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-engine-strict",
    "--no-global",
    "--no-dry-run",
  ];
  const args = [...npm.args, "install", "--prefix", folder, ...flags, spec];
  const end = await runCommand(npm.command, args, { env, timeoutMs, cwd: folder });
  if (end.kind === "failed")
    throw new Error(`npm could not be run to install ${spec}: ${end.error.message}`, { cause: end.error });
  if (end.code !== 0)
    throw new Error(`npm could not install ${spec}: ${reason(end.output)}`, { cause: new Error(end.output) });
}

// Under `npm run` and `npx`, npm_execpath is the very npm in use; yarn and pnpm set it too, to themselves.
function npmCommand(env: NodeJS.ProcessEnv): { command: string; args: string[] } {
  const script = env["npm_execpath"];
  if (script && basename(script).startsWith("npm-cli.") && existsSync(script))
    return { command: process.execPath, args: [script] };
  return { command: "npm", args: [] };
}

function reason(output: string): string {
  const lines = output
    .split("\n")
    .filter((line) => /^npm (error|ERR!)/.test(line))
    .map((line) => line.replace(/^npm (error|ERR!)\s*/, "").trim())
    .filter((line) => line !== "" && !line.startsWith("A complete log"));
  return lines.slice(0, 2).join(", ") || "it gave no reason";
}
