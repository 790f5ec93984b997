/** A real nats-server whose users' rights are changed while it runs, by a reload of its config. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBinary } from "../../../src/broker/embedded/binary.ts";
import { freePort } from "../free-port.ts";

export interface RestrictedServer {
  readonly url: string;
  /** From now on the user may publish to none of these subjects, nor listen to those. Resolves when the server has said so. */
  deny(subjects: readonly string[], listening?: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

export async function restrictedServer(): Promise<RestrictedServer> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-restricted-"));
  const config = join(folder, "server.conf");
  const port = await freePort();
  const list = (subjects: readonly string[]): string => JSON.stringify(subjects);
  const write = (denied: readonly string[], listening: readonly string[] = []): Promise<void> =>
    writeFile(
      config,
      `listen: "127.0.0.1:${port}"
jetstream { store_dir: "${folder}/store" }
authorization { users = [{ user: me, password: secret,
  permissions: { publish: { deny: ${list(denied)} }, subscribe: { deny: ${list(listening)} } } }] }
`,
    );
  await write([]);
  const server = spawn(await findBinary(), ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
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
  await says("Server is ready", 1);
  let reloads = 0;
  return {
    url: `nats://me:secret@127.0.0.1:${port}`,
    async deny(subjects, listening) {
      await write(subjects, listening);
      server.kill("SIGHUP");
      await says("Reloaded server configuration", ++reloads);
    },
    async stop() {
      server.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
