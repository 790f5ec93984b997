/**
 * A worker in a process of its own, whose actor `gated` never ends by itself. Says "ready", and stops when its standard input ends.
 * Arguments: the server's address and the namespace.
 */
import { ActorSystem } from "../../src/index.ts";
import { actorOf } from "./actors.ts";

const [servers = "", namespace = ""] = process.argv.slice(2);
const system = await ActorSystem.connect({ servers, namespace, log: "silent" });
const Gated = actorOf(
  { name: "gated", concurrency: 1, ackWait: "2s" },
  (_, ctx) => new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve(), { once: true })),
);
await system.work([Gated]);
process.stdout.write("ready\n");
process.stdin.resume();
process.stdin.once("end", () => process.exit());
