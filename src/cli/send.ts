/** What tell, ask and publish share: the options of a message, and what is said once it is sent. */
import type { Command } from "commander";
import type { Sent, TellOptions } from "../actor/context.ts";
import { checkId, checkLane, lanes, type Lane } from "../message/names.ts";
import type { ActorSystem } from "../system/actor-system.ts";
import { wasEverServed } from "../worker/served.ts";
import { note, print, printJson } from "./io.ts";
import { checked, duration, oneOf } from "./parse.ts";

export interface SendFlags {
  id?: string;
  codec?: "msgpack" | "json";
  delay?: number;
  lane?: Lane;
  expiresIn?: number;
}

/** Adds --id and --codec, for a task also --lane, --delay and --expires-in. */
export function sendOptions(command: Command, kind: "task" | "event"): Command {
  command
    .option("--id <id>", "makes sending again harmless for two minutes (default: a new id)", checked(checkId))
    .option("--codec <codec>", "msgpack or json (default: msgpack)", oneOf("--codec", ["msgpack", "json"]));
  if (kind === "event") return command;
  return command
    .option("--lane <lane>", `${lanes.join(", ")} (default: normal)`, checked(checkLane))
    .option("--delay <duration>", "run no earlier than after this: 30s, 5m, 2h", duration("--delay"))
    .option("--expires-in <duration>", "a dead letter if it has not run by then", duration("--expires-in"));
}

/** What was given, and nothing else: an option that is there and undefined is refused. */
export function tellOptions({ id, codec, delay, lane, expiresIn }: SendFlags): TellOptions {
  return {
    ...(id !== undefined && { id }),
    ...(codec !== undefined && { codec }),
    ...(delay !== undefined && { delay }),
    ...(lane !== undefined && { lane }),
    ...(expiresIn !== undefined && { expiresIn }),
  };
}

export function printSent(sent: Sent, json: boolean | undefined): void {
  if (json) return printJson(sent);
  print(`${sent.id}  ${sent.stream}:${sent.sequence}${sent.duplicate ? "  duplicate: nothing was stored" : ""}`);
}

export async function noteUnserved(system: ActorSystem, actor: string): Promise<void> {
  if (await wasEverServed(system.parts, actor)) return;
  note(`no worker has ever run ${actor}, so its tasks wait; is the name right?`);
}
