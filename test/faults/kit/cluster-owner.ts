/** A process that owns a cluster, pauses one node of it, says where all are, and stays until it is killed. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "./cluster.ts";

const folder = await mkdtemp(join(tmpdir(), "godwit-cluster-"));
const cluster = await Cluster.start(folder);
await cluster.nodes[0]?.pause();
process.stdout.write(`${JSON.stringify({ folder, pids: cluster.nodes.map(({ pid }) => pid) })}\n`);
// Ends with the test, should that not get so far.
process.stdin.once("end", () => process.exit(1)).resume();
