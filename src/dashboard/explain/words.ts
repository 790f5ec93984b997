/** What `explain` answers, in words. Pure. */
import { plural, span, time } from "../format.ts";

/** What is read of a finding; see `src/admin/explain.ts`, whose states these are. */
export interface Finding {
  id: string;
  actor?: string;
  state: string;
  place?: { stream: string; sequence: number; subject: string; storedAt: string; lane?: string; expiresAt?: string };
  ahead?: number;
  listening?: number;
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
      return `It waits${finding.ahead === undefined ? "" : `, with ${plural(finding.ahead, "message")} ahead of it`}.${listeners(finding)}`;
    case "scheduled":
      return `It is scheduled for ${time(until, nowMs)}, in ${span(Math.max(0, leftMs))}.`;
    case "running":
      return `It is in a worker's hands, attempt ${attempt}: it runs or is about to, unless it was put back for later.`;
    case "backing-off":
      if (leftMs > 0)
        return `It backs off until ${time(until, nowMs)}, for another ${span(leftMs)}; then comes attempt ${attempt}.`;
      return `It has been due for attempt ${attempt} since ${time(until, nowMs)}.${listeners(finding)}`;
    case "delivered":
      return "It was handed to a worker; of whether it still runs or is done an event leaves no trace.";
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

function listeners({ listening = 0 }: Finding): string {
  if (listening > 0) return "";
  return " No worker with room is listening, or a breaker or a limit holds its workers back.";
}
