/**
 * A worker for the dashboard's tests. It says "ready"; on a line "mend" on standard input its actor `orders.charge` stops refusing everything, and it
 * says "mended"; it stops when its standard input ends. Arguments: the server's address and the namespace.
 */
import { createInterface } from "node:readline";
import { ActorSystem, Terminal } from "../../../src/index.ts";
import { actorOf } from "../actors.ts";

const [servers = "", namespace = ""] = process.argv.slice(2);
const system = await ActorSystem.connect({ servers, namespace, log: "silent" });
let broken = true;

const Charge = actorOf<{ order: number; bad?: boolean }>({ name: "orders.charge" }, ({ order, bad = false }) => {
  if (!broken && !bad) return;
  throw new Terminal(`order ${order} was refused`, { cause: new Error("the till is shut") });
});
const Send = actorOf({ name: "mails.send" }, () => undefined);
const Call = actorOf({ name: "partners.call", breaker: { name: "partner" } }, () => undefined);
const Report = actorOf({ name: "reports.build", rateLimit: { name: "ration", limit: 10, per: "1s" } }, () => undefined);

await system.work([Charge, Send, Call, Report]);
process.stdout.write("ready\n");
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  if (line === "mend") broken = false;
  process.stdout.write("mended\n");
});
lines.once("close", () => void system.close().then(() => process.stdin.destroy()));
