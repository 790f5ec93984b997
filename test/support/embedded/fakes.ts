/** Shell scripts that stand in for nats-server and npm. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Writes an executable shell script and gives its path. */
export async function fakeCommand(folder: string, name: string, body: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\n${body}\n`);
  await chmod(path, 0o755);
  return path;
}

/** A nats-server that knows nothing but its version. */
export function fakeServer(folder: string, version: string): Promise<string> {
  return fakeCommand(folder, "nats-server", `echo "nats-server: v${version}"`);
}
