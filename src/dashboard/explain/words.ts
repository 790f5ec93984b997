/** What `explain` answers, in words. Pure. */
import type { Answer, HoldUp, WorkerRef } from "../../admin/api.ts";
import { plural, span, time } from "../format.ts";

/** One sentence or two. */
export function inWords(answer: Answer, nowMs: number): string {
  switch (answer.state) {
    case "waiting":
      return `It waits${answer.ahead === undefined ? "" : `, with ${plural(answer.ahead, "message")} ahead of it`}.`;
    case "scheduled":
      return `It is scheduled for ${time(answer.until, nowMs)}, in ${span(Math.max(0, leftMs(answer.until, nowMs)))}.`;
    case "running":
      return `Attempt ${answer.attempt} runs${on(answer.worker)}, since ${time(answer.since, nowMs)}.`;
    case "held":
      return `A worker has it${on(answer.worker)}, and it waits for ${answer.by ?? "a free handler"}; then comes attempt ${answer.attempt}.`;
    case "put-back": {
      const { reason, until, attempt } = answer;
      const why = reason === undefined ? "" : ` (${reason})`;
      if (leftMs(until, nowMs) > 0)
        return `It was put back without an attempt${why}, until ${time(until, nowMs)}; then comes attempt ${attempt}.`;
      return `It was put back without an attempt${why}, and has been due again since ${time(until, nowMs)}.`;
    }
    case "in-flight":
      return `It was handed to a worker and not settled, and no worker that answers has it. It comes again within ${span(answer.ackWaitMs)}, its visibility timeout, or when what it was put back for is over.`;
    case "backing-off": {
      const { until, attempt } = answer;
      const left = leftMs(until, nowMs);
      if (left > 0)
        return `It backs off until ${time(until, nowMs)}, for another ${span(left)}; then comes attempt ${attempt}.`;
      return `It has been due for attempt ${attempt} since ${time(until, nowMs)}.`;
    }
    case "delivered":
      return "It was handed to a worker, and no worker that answers has it; of whether it is done an event leaves no trace.";
    case "stranded":
      return answer.mendable
        ? "It is stored, but its durable will not hand it out again: run godwit doctor --mend stranded."
        : "It failed, and its durable will not hand it out again.";
    case "settled":
      return "It is done, or older than the actor's subscription.";
    case "unserved":
      return "It is stored, and no actor that has ever run is there to take it. Is the name right?";
    case "dead": {
      const { reason, error } = answer.dead;
      return `It is dead letter ${answer.sequence}, ${reason}: ${error.name}: ${error.message}`;
    }
    case "completed":
      return answer.lost === undefined
        ? "It is completed."
        : `It is completed; its result could not be kept: ${answer.lost}`;
    case "failed":
      return `It failed, ${answer.reason}: ${answer.error}. Its dead letter is not among those that were looked at.`;
    case "pending":
      return "It was accepted and its result is still to come; the message itself is not among those that were looked at.";
    case "gone":
      return "It is no longer stored: completed, removed, or too old.";
  }
}

/** Why it is not further: a sentence for each reason. */
export function hindrances(answer: Answer, nowMs: number): string[] {
  const holdUps = "holdUps" in answer ? answer.holdUps : [];
  const suspects = "suspects" in answer ? answer.suspects : [];
  return [
    ...holdUps.map((one) => holdUpText(one, nowMs)),
    ...suspects.map(({ host, pid }) => `${host}, process ${pid}, may have it: it should answer and does not.`),
  ];
}

function holdUpText(one: HoldUp, nowMs: number): string {
  switch (one.why) {
    case "paused":
      return `Its actor is paused until ${one.until === undefined ? "it is resumed" : time(one.until, nowMs)}.`;
    case "no-worker": {
      const { length } = one.silent;
      const silent =
        length === 0 ? "" : `; ${plural(length, "worker")} should and ${length === 1 ? "is" : "are"} silent`;
      return `No worker that answers serves its actor${silent}.`;
    }
    case "busy":
      return `All ${plural(one.concurrency, "handler")} of its actor run.`;
    case "breaker-open":
      return `The breaker ${one.name} is open${one.byHand ? ", by hand" : ""}${one.probeAt === undefined ? "" : `; one call may probe from ${time(one.probeAt, nowMs)}`}.`;
    case "rate-limited":
      return one.held
        ? `The rate limit ${one.name} is held until ${time(one.until, nowMs)}.`
        : `The rate limit ${one.name} has no slot until ${time(one.until, nowMs)}.`;
    case "concurrency-limited":
      return `The concurrency limit ${one.name} is used up: ${plural(one.limit, "run")} at a time, ${one.waiting} waiting.`;
  }
}

function leftMs(until: string, nowMs: number): number {
  return Date.parse(until) - nowMs;
}

function on({ host, pid }: WorkerRef): string {
  return ` on ${host}, process ${pid}`;
}
