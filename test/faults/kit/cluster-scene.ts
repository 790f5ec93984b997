/** A cast around a cluster, with three copies of everything. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { ActorSystem } from "godwit";
import { messageId } from "../../../src/message/headers.ts";
import { Cast } from "../../support/faults/cast.ts";
import { account, type Account } from "./checker.ts";
import { Cluster } from "./cluster.ts";

/** What Cast.spawn() makes a publisher of; its setup is a PublisherSetup. */
export const publisherScript = fileURLToPath(new URL("../../../dist/test/faults/kit/publisher.js", import.meta.url));

export class ClusterScene extends Cast {
  readonly cluster: Cluster;

  private constructor(folder: string, cluster: Cluster) {
    super(folder, () => ({ servers: cluster.urls, durability: "replicated" }));
    this.cluster = cluster;
  }

  static async open(options: { proxied?: boolean } = {}): Promise<ClusterScene> {
    const folder = await mkdtemp(join(tmpdir(), "godwit-cluster-"));
    try {
      return new ClusterScene(folder, await Cluster.start(folder, options));
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  protected override closeServers(): Promise<void> {
    return this.cluster.stop();
  }
}

/** Accounts for what this cast's journal and the server know. */
export async function accountOf(cast: Cast, system: ActorSystem): Promise<Account> {
  const dead: string[] = [];
  for await (const { id } of system.dead.list()) dead.push(id);
  return account({ entries: cast.journal.entries, dead, waiting: await waitingIds(system) });
}

/** Ids of the tasks that are still in their streams, delayed ones too. */
async function waitingIds(system: ActorSystem): Promise<string[]> {
  const { names, reader } = system.parts;
  const ids: string[] = [];
  for (const stream of [names.tasks, names.schedule]) {
    for await (const message of reader.scan(stream, ">")) ids.push(messageId(message));
  }
  return ids;
}
