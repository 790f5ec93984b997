/** A real nats-server by a config of the test's own, for what an embedded server does not have: TLS, operators, accounts, routes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary } from "../../../src/broker/embedded/binary.ts";
import { freePort } from "../free-port.ts";

export interface OwnServer {
  readonly port: number;
  /** All that it has logged. */
  log(): string;
  /** Writes another config, and resolves when the server goes by it. */
  reload(config: string): Promise<void>;
  stop(): Promise<void>;
}

export interface OwnServerOptions {
  port?: number;
  /** The config's text; `listen` is added to what it says, and where `jetstream` keeps its files unless it says so itself. */
  config: string;
  env?: NodeJS.ProcessEnv;
}

/** Starts it, and resolves when it says that it is ready; a node of a cluster may still look for the others. */
export async function ownServer({ port: wanted, config, env = {} }: OwnServerOptions): Promise<OwnServer> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-server-"));
  const port = wanted ?? (await freePort());
  const file = join(folder, "server.conf");
  const whole = (text: string): string =>
    `listen: "127.0.0.1:${port}"\n${/^\s*jetstream\b/m.test(text) ? "" : `jetstream { store_dir: "${folder}/store" }\n`}${text}\n`;
  await writeFile(file, whole(config));
  const server = spawn(await findBinary(), ["-c", file], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
  const exited = once(server, "exit");
  let said = "";
  let heard: () => void = () => undefined;
  server.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    heard();
  });
  const says = async (text: string, times: number): Promise<void> => {
    while (said.split(text).length <= times) {
      const more = new Promise<void>((resolve) => (heard = resolve));
      const end = exited.then(() => Promise.reject(new Error(`the server ended: ${said}`)));
      await Promise.race([more, end]);
    }
  };
  const stop = async (): Promise<void> => {
    if (server.exitCode === null && server.signalCode === null) {
      server.kill("SIGKILL");
      await exited;
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await says("Server is ready", 1);
  } catch (error) {
    await stop();
    throw error;
  }
  let reloads = 0;
  return {
    port,
    log: () => said,
    async reload(text) {
      await writeFile(file, whole(text));
      server.kill("SIGHUP");
      await says("Reloaded server configuration", ++reloads);
    },
    stop,
  };
}
