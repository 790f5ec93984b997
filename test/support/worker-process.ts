/**
 * A worker in a process of its own: says "ready", works, and stops when its standard input ends.
 * Arguments: the server's address and the namespace. Its actor `shared` answers with its process id and the input.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ActorSystem } from "../../src/index.ts";
import { actorOf } from "./actors.ts";

const [servers = "", namespace = ""] = process.argv.slice(2);
const system = await ActorSystem.connect({ servers, namespace, log: "silent" });
const Shared = actorOf({ name: "shared", concurrency: 2 }, async (input) => {
  await sleep(10);
  return { pid: process.pid, input };
});
await system.work([Shared]);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.once("end", () => void system.close().then(() => process.stdin.destroy()));
