/** What `explain` answers, in words. Pure. */
import { plural, span, time } from "../format.ts";

interface WorkerRef {
  host: string;
  pid: number;
}

/** Of each kind the fields that it has. */
export interface HoldUp {
  why: string;
  name?: string;
  until?: string;
  probeAt?: string;
  byHand?: boolean;
  held?: boolean;
  silent?: readonly WorkerRef[];
  running?: number;
  concurrency?: number;
  limit?: number;
  waiting?: number;
}

/** What is read of a finding; see `src/admin/explain.ts`, whose states these are. */
export interface Finding {
  id: string;
  actor?: string;
  state: string;
  place?: { stream: string; sequence: number; subject: string; storedAt: string; lane?: string; expiresAt?: string };
  ahead?: number;
  listening?: number;
  /** Why nobody takes it. */
  holdUps?: readonly HoldUp[];
  worker?: WorkerRef;
  /** Workers that may have it and do not answer. */
  suspects?: readonly WorkerRef[];
  since?: string;
  /** The guard that it waits for. */
  by?: string;
  ackWaitMs?: number;
  until?: string;
  attempt?: number;
  stalls?: number;
  errors?: readonly { at: number; attempt: number; name: string; message: string }[];
  /** Of the dead letter. */
  sequence?: number;
  dead?: { reason: string; error: { name: string; message: string }; diedAt: string };
  value?: unknown;
  lost?: string;
  reason?: string;
  error?: string;
}

export interface Explanation {
  query: string;
  found: readonly Finding[];
  searched: readonly { stream: string; looked: number; of: number }[];
}

/** One sentence or two. */
export function inWords(finding: Finding, nowMs: number): string {
  const { until = "", attempt = 1 } = finding;
  const leftMs = Date.parse(until) - nowMs;
  switch (finding.state) {
    case "waiting":
      return `It waits${finding.ahead === undefined ? "" : `, with ${plural(finding.ahead, "message")} ahead of it`}.`;
    case "scheduled":
      return `It is scheduled for ${time(until, nowMs)}, in ${span(Math.max(0, leftMs))}.`;
    case "running": {
      const since = finding.since === undefined ? "" : `, since ${time(finding.since, nowMs)}`;
      return `Attempt ${attempt} runs${by(finding.worker)}${since}.`;
    }
    case "held":
      return `A worker has it${by(finding.worker)}, and it waits for ${finding.by ?? "a free handler"}; then comes attempt ${attempt}.`;
    case "put-back": {
      const why = finding.reason === undefined ? "" : ` (${finding.reason})`;
      if (leftMs > 0)
        return `It was put back without an attempt${why}, until ${time(until, nowMs)}; then comes attempt ${attempt}.`;
      return `It was put back without an attempt${why}, and has been due again since ${time(until, nowMs)}.`;
    }
    case "in-flight":
      return `It was handed to a worker and not settled, and no worker that answers has it. It comes again within ${span(finding.ackWaitMs)}, its visibility timeout, or when what it was put back for is over.`;
    case "backing-off":
      if (leftMs > 0)
        return `It backs off until ${time(until, nowMs)}, for another ${span(leftMs)}; then comes attempt ${attempt}.`;
      return `It has been due for attempt ${attempt} since ${time(until, nowMs)}.`;
    case "delivered":
      return "It was handed to a worker, and no worker that answers has it; of whether it is done an event leaves no trace.";
    case "settled":
      return "It is done, or older than the actor's subscription.";
    case "unserved":
      return "It is stored, and no actor that has ever run is there to take it. Is the name right?";
    case "dead":
      return `It is dead letter ${finding.sequence}, ${finding.dead?.reason ?? ""}: ${finding.dead?.error.name ?? ""}: ${finding.dead?.error.message ?? ""}`;
    case "completed":
      return finding.lost === undefined
        ? "It is completed."
        : `It is completed; its result could not be kept: ${finding.lost}`;
    case "failed":
      return `It failed, ${finding.reason ?? ""}: ${finding.error ?? ""}. Its dead letter is not among those that were looked at.`;
    case "pending":
      return "It was accepted and its result is still to come; the message itself is not among those that were looked at.";
    case "gone":
      return "It is no longer stored: completed, removed, or too old.";
    default:
      return `Its state is ${finding.state}.`;
  }
}

/** Why it is not further: a sentence for each reason. */
export function hindrances({ holdUps = [], suspects = [] }: Finding, nowMs: number): string[] {
  return [
    ...holdUps.map((one) => holdUpText(one, nowMs)),
    ...suspects.map(({ host, pid }) => `${host}, process ${pid}, may have it: it should answer and does not.`),
  ];
}

function holdUpText({ why, name = "", ...of }: HoldUp, nowMs: number): string {
  const until = of.until === undefined ? "until that is undone" : `until ${time(of.until, nowMs)}`;
  switch (why) {
    case "paused":
      return `Its actor is paused ${until}.`;
    case "no-worker":
      return `No worker that answers serves its actor${of.silent?.length ? `; ${plural(of.silent.length, "worker")} should and is silent` : ""}.`;
    case "busy":
      return `All ${plural(of.concurrency ?? 0, "handler")} of its actor run.`;
    case "breaker-open":
      return `The breaker ${name} is open${of.byHand === true ? ", by hand" : ""}${of.probeAt === undefined ? "" : `; one call may probe from ${time(of.probeAt, nowMs)}`}.`;
    case "rate-limited":
      return of.held === true
        ? `The rate limit ${name} is held ${until}.`
        : `The rate limit ${name} has no slot ${until}.`;
    case "concurrency-limited":
      return `The concurrency limit ${name} is used up: ${plural(of.limit ?? 0, "run")} at a time, ${of.waiting ?? 0} waiting.`;
    default:
      return `Its actor is held up: ${why}.`;
  }
}

function by(worker: WorkerRef | undefined): string {
  return worker === undefined ? "" : ` on ${worker.host}, process ${worker.pid}`;
}
