/** `godwit explain`: what has become of a message. */
import type { Command } from "commander";
import type { Answer, Explanation, HoldUp, WorkerRef } from "../admin/api.ts";
import { formatMs } from "../kernel/duration.ts";
import { NotFoundError } from "../kernel/errors.ts";
import type { RunError } from "../lifecycle/runs.ts";
import type { DeadReason } from "../message/failure.ts";
import { checkActorName, checkId } from "../message/names.ts";
import { toJson } from "../message/json-text.ts";
import type { DeferReason } from "../worker/events.ts";
import { connectOptions, jsonOption, withExisting, type ConnectFlags } from "./connect.ts";
import { exitCode } from "./exit.ts";
import { holdUpText, timeAhead, workerText } from "./hold-up-text.ts";
import { clean, print, printJson } from "./io.ts";
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
      `What has become of a message: waiting and why, scheduled, running where, put
back or backing off until when and why, dead, or done with its result, if the
actor keeps results. One id has several answers where several actors were sent
it. Where nothing is known of it the exit code is 1.

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
        const known = explanation.found.length > 0;
        if (!known && !flags.json) throw new NotFoundError(nothingOf(explanation));
        if (!known) process.exitCode = exitCode.failed;
        if (flags.json) printJson(explanation);
        else print(render(explanation));
      });
    });
}

/** A place may be longer than an id. */
function idOrPlace(value: string): string {
  return /^\S+:\d+$/.test(value) ? value : checkId(value);
}

function render({ found, searched }: Explanation): string {
  const blocks = found.map((one) => `${clean(`${one.actor ?? "message"} ${one.id}`)}\n${facts(factsOf(one))}`);
  const cuts = cutsOf(searched);
  if (cuts !== undefined) blocks.push(cuts);
  return blocks.join("\n\n");
}

function nothingOf({ query, searched }: Explanation): string {
  const nothing = `Nothing is stored about ${query}: it was never sent, or it is done and its actor keeps no results, or what was kept has expired.`;
  const cuts = cutsOf(searched);
  return cuts === undefined ? nothing : `${nothing} ${cuts}`;
}

function cutsOf(searched: Explanation["searched"]): string | undefined {
  const cuts = searched.filter(({ looked, of }) => looked < of);
  if (cuts.length === 0) return undefined;
  const list = cuts.map(({ stream, looked, of }) => `the newest ${count(looked)} of ${count(of)} in ${stream}`);
  return `Looked through only ${list.join(", ")}; --scan looks further.`;
}

function factsOf(answer: Answer): Fact[] {
  const place: Fact[] =
    "place" in answer
      ? [
          ["at", `${answer.place.stream}:${answer.place.sequence}`],
          ["subject", answer.place.subject],
          ["stored", `${time(answer.place.storedAt)} (${ago(answer.place.storedAt)})`],
          answer.place.expiresAt === undefined ? undefined : ["expires", time(answer.place.expiresAt)],
        ]
      : [];
  return [["state", stateOf(answer)], ...place, ...detailsOf(answer)];
}

function mendOf(reason: DeadReason, sequence: number): string {
  const misfit = reason === "invalid" || reason === "undecodable";
  // The same body would be refused again.
  const first = misfit ? "send it anew with a body that fits; or change the schema" : `godwit dead show ${sequence}`;
  return `${first}, then godwit dead requeue ${sequence}`;
}

function stateOf(answer: Answer): string {
  switch (answer.state) {
    case "waiting":
      return `waiting${answer.ahead === undefined ? "" : `, with ${plural(answer.ahead, "message")} ahead of it`}`;
    case "scheduled":
      return `scheduled for ${timeAhead(answer.until)}`;
    case "running":
      return `running since ${time(answer.since)} (${ago(answer.since)}), attempt ${answer.attempt}`;
    case "held":
      return `in the hands of a worker since ${time(answer.since)}, waiting for ${answer.by ?? "a free handler"}; then attempt ${answer.attempt}`;
    case "put-back":
      return isAhead(answer.until)
        ? `put back until ${timeAhead(answer.until)}, ${putBackReason(answer.reason)}; then attempt ${answer.attempt}`
        : `due again since ${time(answer.until)}, after it was put back, ${putBackReason(answer.reason)}; next is attempt ${answer.attempt}`;
    case "backing-off":
      return isAhead(answer.until)
        ? `backing off until ${timeAhead(answer.until)}, then attempt ${answer.attempt}`
        : `due for attempt ${answer.attempt} since ${time(answer.until)}`;
    case "in-flight":
      return `handed to a worker and not settled, and no worker that answers has it: it comes again when its visibility timeout of ${formatMs(answer.ackWaitMs)} has passed, or when what it was put back for is over; then attempt ${answer.attempt}`;
    case "delivered":
      return "handed to a worker, and no worker that answers has it; of whether it is done an event leaves no trace";
    case "stranded":
      return answer.mendable
        ? "stranded: stored, but its durable will not hand it out again"
        : "stranded: it failed, and its durable will not hand it out again";
    case "settled":
      return "done, or older than the actor's subscription";
    case "unserved":
      return "stored, and no actor that has ever run is there to take it; is the name right?";
    case "dead":
      return `dead letter ${answer.sequence}: ${answer.dead.reason}`;
    case "completed":
      return "completed";
    case "failed":
      return `failed (${answer.reason}); its dead letter is not among those looked at`;
    case "pending":
      return "accepted, with its result still to come; the message is not among those looked at";
    case "gone":
      return "no longer stored: completed, removed, or too old";
  }
}

function detailsOf(answer: Answer): Fact[] {
  switch (answer.state) {
    case "waiting":
      return holdUps(answer.holdUps);
    case "running":
    case "held":
      return [["worker", workerText(answer.worker)], stalls(answer.stalls), ...errors(answer.errors)];
    case "put-back":
    case "backing-off":
      return [...holdUps(answer.holdUps), stalls(answer.stalls), ...errors(answer.errors)];
    case "in-flight":
      return [...suspects(answer.suspects), stalls(answer.stalls), ...errors(answer.errors)];
    case "stranded":
      return [
        stalls(answer.stalls),
        ...errors(answer.errors),
        ...(answer.mendable ? [["mend", "godwit doctor --mend stranded"] as const] : []),
      ];
    case "delivered":
      return suspects(answer.suspects);
    case "dead": {
      const { origin, error, attempts, deliveries, diedAt, history } = answer.dead;
      return [
        ["error", `${error.name}: ${error.message}`],
        ["died", `${time(diedAt)} (${ago(diedAt)})`],
        ["was", `${origin.stream}:${origin.sequence}`],
        ["subject", origin.subject],
        ["runs", `${plural(attempts, "attempt")}, handed over ${plural(deliveries, "time")}`],
        stalls(answer.dead.stalls),
        ...errors(history),
        ["mend", mendOf(answer.dead.reason, answer.sequence)],
      ];
    }
    case "completed":
      return [answer.lost === undefined ? ["result", toJson(answer.value)] : ["result", `not kept: ${answer.lost}`]];
    case "failed":
      return [["error", answer.error]];
    case "scheduled":
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

function holdUps(list: readonly HoldUp[]): Fact[] {
  return list.map((one) => ["held up", holdUpText(one)]);
}

function suspects(list: readonly WorkerRef[]): Fact[] {
  return list.map((worker) => ["silent", `${workerText(worker)} may have it: it should answer and does not`]);
}

/** Keeps what a newer worker may say that this version has no words for. */
function putBackReason(reason: string | undefined): string {
  if (reason === undefined) return "for a reason that nobody remembers";
  const words = new Map<string, string>(Object.entries(putBackReasons));
  return words.get(reason) ?? reason;
}

const putBackReasons: Record<DeferReason, string> = {
  snooze: "by its handler (Snooze)",
  busy: "because it found no free handler",
  suspect: "because a run of it died with its worker and another such message runs",
  unavailable: "because what Godwit needs to run it could not be had",
  "dead-letters-unavailable": "because its dead letter could not be stored",
  "breaker-open": "because its circuit is open",
  "rate-limited": "because its rate limit has no slot for it",
  "concurrency-limited": "because its concurrency limit is used up",
};

function ago(iso: string): string {
  return `${formatMs(Math.max(0, Date.now() - Date.parse(iso)))} ago`;
}

function isAhead(iso: string): boolean {
  return Date.parse(iso) > Date.now();
}
