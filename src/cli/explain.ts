/** `godwit explain`: what has become of a message. */
import type { Command } from "commander";
import type { Explanation, Finding } from "../admin/explain.ts";
import { formatMs } from "../kernel/duration.ts";
import type { RunError } from "../lifecycle/runs.ts";
import type { DeadReason } from "../message/failure.ts";
import { checkActorName, checkId } from "../message/names.ts";
import { toJson } from "../message/json-text.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { print, printJson } from "./io.ts";
import { checked, whole } from "./parse.ts";
import { count, facts, plural, time } from "./table.ts";

type Fact = readonly [name: string, value: string] | undefined;

interface ExplainFlags extends ConnectFlags {
  actor?: string;
  scan?: number;
  json?: boolean;
}

export function explainCommand(program: Command): void {
  const command = program
    .command("explain")
    .argument("<message>", "its id, or STREAM:SEQ as 'tell' and the logs give it", checked(idOrPlace))
    .option("-a, --actor <name>", "only what concerns this actor", checked(checkActorName))
    .option("--scan <messages>", "look through this many of each stream (default: the newest 10,000)", whole("--scan"));
  connectOptions(jsonOption(command))
    .summary("what has become of a message")
    .description(
      `What has become of a message: waiting, scheduled, running, backing off, dead,
or done with its result, if the actor keeps results. One id has several
answers where several actors were sent it.

Streams have no index by id, so the newest messages of each are looked
through; the answer says where older ones were left out. STREAM:SEQ needs no
search.`,
    )
    .addHelpText(
      "after",
      `
Examples:
  godwit explain p1
  godwit explain godwit_TASKS:1742
  godwit explain p1 --actor payments.charge --scan 1000000`,
    )
    .action(async (message: string, flags: ExplainFlags) => {
      const { actor, scan } = flags;
      await withExisting(flags, async (system) => {
        const { Inspector } = await import("../admin/inspector.ts");
        const options = { ...(actor !== undefined && { actor }), ...(scan !== undefined && { scan }) };
        const explanation = await new Inspector(system).explain(message, options);
        if (flags.json) printJson(explanation);
        else print(render(explanation));
      });
    });
}

/** A place may be longer than an id. */
function idOrPlace(value: string): string {
  return /^\S+:\d+$/.test(value) ? value : checkId(value);
}

function render({ query, found, searched }: Explanation): string {
  const blocks = found.map((one) => `${one.actor ?? "message"} ${one.id}\n${facts(factsOf(one))}`);
  if (found.length === 0) {
    blocks.push(
      `Nothing is stored about ${query}: it was never sent, or it is done and its actor keeps\nno results, or what was kept has expired.`,
    );
  }
  const cuts = searched.filter(({ looked, of }) => looked < of);
  if (cuts.length > 0) {
    const list = cuts.map(({ stream, looked, of }) => `the newest ${count(looked)} of ${count(of)} in ${stream}`);
    blocks.push(`Looked through only ${list.join(",\n")}; --scan looks further.`);
  }
  return blocks.join("\n\n");
}

function factsOf(finding: Finding): Fact[] {
  const place: Fact[] =
    "place" in finding
      ? [
          ["at", `${finding.place.stream}:${finding.place.sequence}`],
          ["subject", finding.place.subject],
          ["stored", `${time(finding.place.storedAt)} (${ago(finding.place.storedAt)})`],
          finding.place.expiresAt === undefined ? undefined : ["expires", time(finding.place.expiresAt)],
        ]
      : [];
  return [["state", stateOf(finding)], ...place, ...detailsOf(finding)];
}

function mendOf(reason: DeadReason, sequence: number): string {
  const misfit = reason === "invalid" || reason === "undecodable";
  // The same body would be refused again.
  const first = misfit ? "send it anew with a body that fits; or change the schema" : `godwit dead show ${sequence}`;
  return `${first}, then godwit dead requeue ${sequence}`;
}

function stateOf(finding: Finding): string {
  switch (finding.state) {
    case "waiting":
      return `waiting${finding.ahead === undefined ? "" : `, with ${plural(finding.ahead, "message")} ahead of it`}${listeners(finding.listening)}`;
    case "scheduled":
      return `scheduled for ${time(finding.until)} (${ahead(finding.until)})`;
    case "running":
      return `in a worker's hands, attempt ${finding.attempt}: running or about to, unless it was put back for later`;
    case "backing-off":
      return Date.parse(finding.until) > Date.now()
        ? `backing off until ${time(finding.until)} (${ahead(finding.until)}), then attempt ${finding.attempt}`
        : `due for attempt ${finding.attempt} since ${time(finding.until)}${listeners(finding.listening)}`;
    case "delivered":
      return "handed to a worker; of whether it still runs or is done an event leaves no trace";
    case "settled":
      return "done, or older than the actor's subscription";
    case "unserved":
      return "stored, and no actor that has ever run is there to take it; is the name right?";
    case "dead":
      return `dead letter ${finding.sequence}: ${finding.dead.reason}`;
    case "completed":
      return "completed";
    case "failed":
      return `failed (${finding.reason}); its dead letter is not among those looked at`;
    case "pending":
      return "accepted, with its result still to come; the message is not among those looked at";
    case "gone":
      return "no longer stored: completed, removed, or too old";
  }
}

function detailsOf(finding: Finding): Fact[] {
  switch (finding.state) {
    case "running":
    case "backing-off":
      return [stalls(finding.stalls), ...errors(finding.errors)];
    case "dead": {
      const { origin, error, attempts, deliveries, diedAt, history } = finding.dead;
      return [
        ["error", `${error.name}: ${error.message}`],
        ["died", `${time(diedAt)} (${ago(diedAt)})`],
        ["was", `${origin.stream}:${origin.sequence}`],
        ["subject", origin.subject],
        ["runs", `${plural(attempts, "attempt")}, handed over ${plural(deliveries, "time")}`],
        stalls(finding.dead.stalls),
        ...errors(history),
        ["mend", mendOf(finding.dead.reason, finding.sequence)],
      ];
    }
    case "completed":
      return [finding.lost === undefined ? ["result", toJson(finding.value)] : ["result", `not kept: ${finding.lost}`]];
    case "failed":
      return [["error", finding.error]];
    case "waiting":
    case "scheduled":
    case "delivered":
    case "settled":
    case "unserved":
    case "pending":
    case "gone":
      return [];
  }
}

function errors(list: readonly RunError[]): Fact[] {
  return list.map(({ at, attempt, name, message }) => [
    `attempt ${attempt}`,
    `${time(new Date(at).toISOString())} ${name}: ${message}`,
  ]);
}

function stalls(stalls: number): Fact {
  return stalls === 0 ? undefined : ["stalls", `${plural(stalls, "run")} whose worker died`];
}

function listeners(open: number): string {
  return open > 0 ? "" : "; no worker with room is listening, or a breaker or rate limit holds its workers back";
}

function ago(iso: string): string {
  return `${formatMs(Math.max(0, Date.now() - Date.parse(iso)))} ago`;
}

function ahead(iso: string): string {
  return `in ${formatMs(Math.max(0, Date.parse(iso) - Date.now()))}`;
}
