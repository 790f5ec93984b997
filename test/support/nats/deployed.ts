/** The three nodes of deploy/nats on loopback, with keys of their own, and what connects to them in a role. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nkeys } from "@nats-io/nats-core";
import { findBinary } from "../../../src/broker/embedded/binary.ts";
import { deployFolder } from "../deploy/files.ts";
import { freePort } from "../free-port.ts";

export const deployedRoles = ["publisher", "worker", "provisioner", "admin", "system"] as const;
export type DeployedRole = (typeof deployedRoles)[number];

export interface Deployed {
  /** How to connect as one of the roles. */
  as(role: DeployedRole): { servers: string[]; nkey: string; inboxPrefix: string };
  stop(): Promise<void>;
}

/**
 * @param permissions what stands in the place of files in deploy/nats/permissions. Default: those files.
 * @param accounts what stands in the place of accounts.conf.
 */
export async function startDeployed(permissions: Record<string, string> = {}, accounts?: string): Promise<Deployed> {
  const folder = await mkdtemp(join(tmpdir(), "godwit-deployed-"));
  await cp(`${deployFolder}nats`, folder, { recursive: true });
  for (const [role, text] of Object.entries(permissions))
    await writeFile(join(folder, "permissions", `${role}.conf`), text);
  if (accounts !== undefined) await writeFile(join(folder, "accounts.conf"), accounts);
  const conf = join(folder, "node.conf");
  const seeds = new Map<DeployedRole, string>();
  const publicKeys: Record<string, string> = {};
  for (const role of deployedRoles) {
    const key = nkeys.createUser();
    const path = join(folder, `${role}.nk`);
    await writeFile(path, key.getSeed(), { mode: 0o600 });
    seeds.set(role, path);
    publicKeys[`GODWIT_${role.toUpperCase()}`] = key.getPublicKey();
  }
  const nodes = [1, 2, 3];
  const ports = await Promise.all(nodes.map(() => freePort()));
  const routes = await Promise.all(nodes.map(() => freePort()));
  const binary = await findBinary();
  const children: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(
      nodes.map(async (node, at) => {
        const env = {
          ...process.env,
          ...publicKeys,
          NODE_NAME: `nats-${node}`,
          NODE_LISTEN: `"127.0.0.1:${ports[at]}"`,
          NODE_STORE: join(folder, `${node}`),
          NODE_CLUSTER_LISTEN: `"127.0.0.1:${routes[at]}"`,
          NODE_ROUTES: JSON.stringify(routes.map((port) => `nats://127.0.0.1:${port}`)),
        };
        const child = spawn(binary, ["-c", conf], { env, stdio: ["ignore", "ignore", "pipe"] });
        children.push(child);
        await saysReady(child);
      }),
    );
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    as: (role) => ({
      servers: ports.map((port) => `nats://127.0.0.1:${port}`),
      nkey: seeds.get(role) ?? "",
      inboxPrefix: `_INBOX_${role}`,
    }),
    stop,
  };
}

async function saysReady(child: ChildProcess): Promise<void> {
  let said = "";
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("Server is ready")) resolve();
    });
    child.once("exit", () => reject(new Error(`the server ended: ${said}`)));
  });
}
