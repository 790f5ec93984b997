/**
 * A worker of accesslog.count in a process of its own, to be killed. Arguments: the server's address, and how many pieces it counts
 * before it hangs with all further ones in hand: then it says so, once, and waits for its end.
 */
import { setTimeout as pause } from "node:timers/promises";
import { ActorSystem, type Middleware } from "godwit";
import { CountLogLines } from "../../../actors/count-log-lines.ts";

const [servers = "", hangAfter = "Infinity"] = process.argv.slice(2);
let counted = 0;

const hang: Middleware = async (input, ctx, next) => {
  if (counted >= Number(hangAfter)) {
    process.stdout.write(`hangs with ${ctx.id}\n`);
    await pause(600_000);
  }
  counted += 1;
  return next(input);
};

const system = await ActorSystem.connect({ servers, log: "error" });
await system.work([CountLogLines], { use: [hang] });
