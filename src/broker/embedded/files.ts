/** The files that nats-server reads and writes in its store directory: config, log, and the port it got. */
import { readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

export interface ServerConfig {
  readonly serverName: string;
  readonly port: number | undefined;
  readonly maxPayloadBytes: number | undefined;
}

const portsFile = /_(\d+)\.ports$/;

/** The log of the server on `storeDir`. It is rotated at 4 MB and one old file is kept. */
export function logPath(storeDir: string): string {
  return join(storeDir, "nats-server.log");
}

/** Writes the server's config and gives its path. The server reads JSON as well as its own notation. */
export async function writeConfig(storeDir: string, config: ServerConfig): Promise<string> {
  const path = join(storeDir, "nats-server.conf");
  const text = JSON.stringify(
    {
      server_name: config.serverName,
      // No credentials are set up, so nobody but this machine may reach it.
      host: "127.0.0.1",
      port: config.port ?? -1,
      ...(config.maxPayloadBytes === undefined ? {} : { max_payload: config.maxPayloadBytes }),
      ports_file_dir: storeDir,
      logfile: logPath(storeDir),
      logfile_size_limit: 4 * 1024 * 1024,
      logfile_max_num: 2,
      jetstream: {
        store_dir: storeDir,
        // Streams reserve their max_bytes, 10 GB each, although they use little of it: room for many namespaces.
        max_file_store: 10 * 1024 ** 4,
        max_memory_store: 8 * 1024 ** 3,
      },
    },
    undefined,
    2,
  );
  await writeFile(path, `${text}\n`);
  return path;
}

/** Removes port files that killed servers left behind. The caller holds the store's lock. */
export async function clearPorts(storeDir: string): Promise<void> {
  const stale = (await readdir(storeDir)).filter((name) => portsFile.test(name));
  await Promise.all(stale.map((name) => rm(join(storeDir, name), { force: true })));
}

/** Where the server listens, which it writes down once it does, or undefined until then. */
export async function readPorts(storeDir: string): Promise<{ url: string; pid: number } | undefined> {
  for (const name of await readdir(storeDir)) {
    const pid = portsFile.exec(name)?.[1];
    if (pid === undefined) continue;
    try {
      const { nats } = JSON.parse(await readFile(join(storeDir, name), "utf8")) as { nats?: string[] };
      if (nats?.[0] !== undefined) return { url: nats[0], pid: Number(pid) };
    } catch {
      // Half written: the next look will find it whole.
    }
  }
  return undefined;
}

/** The last lines of the log as one line of text, for an error. */
export async function logTail(storeDir: string): Promise<string> {
  const text = await readFile(logPath(storeDir), "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n").slice(-4);
  // The stamp of each line (pid, date, time) says nothing here.
  return lines.map((line) => line.replace(/^\[\d+\] \S+ \S+ /, "").trim()).join(" | ");
}
