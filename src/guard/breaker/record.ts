/** Breaker record: what the fleet agrees on about one circuit, and what follows from it. Pure. */
import * as z from "zod";
import { signalKind } from "../../actor/signals.ts";
import type { Shared } from "../shared-state.ts";

const shape = z.object({
  v: z.literal(1),
  state: z.enum(["open", "closed"]),
  /** While open: server time from which one call may probe. Whoever moves it forward is the one. */
  probeAtMs: z.number(),
  /** Who wrote it: a write whose answer was lost is known again by this. */
  by: z.string(),
  /** Somebody opened it by hand: until `probeAtMs` nothing that a process finds out closes it. */
  byHand: z.boolean().optional(),
});

export type BreakerRecord = Readonly<z.output<typeof shape>>;

/** `half-open`: one call of the fleet may find out whether the dependency is back. */
export type Phase = "closed" | "open" | "half-open";

/** What a call's error says about the dependency. `answered`: it works, the answer was just no success. */
export type Verdict = "failed" | "answered" | "nothing";

/** Lets those that were put back not come all at once. */
const maxSpreadMs = 500;
const spreadShare = 0.1;
const minPutBackMs = 50;
/** A person may close the circuit at any time. */
const longestPutBackMs = 60_000;
/** How soon another may take a probe that was given back: not at once, or a limit behind the breaker would make it go round in circles. */
const handBackMs = 250;
/** So that a dead fleet's record does not stay for ever. */
const keepMs = 7 * 86_400_000;
/** One opened by hand is forgotten after so long, unless a worker runs then: that writes it anew. */
const longestHandMs = 365 * 86_400_000;

export function closedRecord(by: string): BreakerRecord {
  return { v: 1, state: "closed", probeAtMs: 0, by };
}

export function openRecord(nowMs: number, resetAfterMs: number, by: string): BreakerRecord {
  return { v: 1, state: "open", probeAtMs: nowMs + resetAfterMs, by };
}

/** Opened by a person, until he closes it or a time has come: then one call may probe. */
export function handOpenRecord(untilMs: number, by: string): BreakerRecord {
  return { v: 1, state: "open", probeAtMs: untilMs, by, byHand: true };
}

/** True while a person's word holds. */
export function isHeldOpen(record: BreakerRecord, nowMs: number): boolean {
  return record.state === "open" && record.byHand === true && nowMs < record.probeAtMs;
}

/** How long the record is kept. A living fleet writes it with each probe; one opened by hand lasts without that. */
export function recordTtlMs(record: BreakerRecord, nowMs: number): number {
  const heldMs = isHeldOpen(record, nowMs) ? record.probeAtMs - nowMs : 0;
  return keepMs + Math.min(heldMs, longestHandMs);
}

/**
 * The lease of a probe: nobody else takes one, whatever becomes of this one, until `resetAfterMs` after the latest time at which its call
 * may begin.
 */
export function leaseRecord(nowMs: number, resetAfterMs: number, by: string): BreakerRecord {
  return openRecord(nowMs + patienceMs(resetAfterMs), resetAfterMs, by);
}

/** How long after its lease was asked for a probe may begin. */
export function patienceMs(resetAfterMs: number): number {
  return Math.max(100, Math.min(1_000, resetAfterMs / 4));
}

/** A probe that was not made is anyone's again. */
export function handBackRecord(nowMs: number, resetAfterMs: number, by: string): BreakerRecord {
  return openRecord(nowMs, Math.min(handBackMs, resetAfterMs), by);
}

/** Undefined for what is none of ours, or of a version that this one cannot read. */
export function readRecord(value: unknown): BreakerRecord | undefined {
  return shape.safeParse(value).data;
}

export function phaseOf(record: BreakerRecord, nowMs: number): Phase {
  if (record.state === "closed") return "closed";
  return nowMs < record.probeAtMs ? "open" : "half-open";
}

/** As told by another host; one whose clock was wrong must not keep it open for longer than anyone would. A person may. */
export function clamped(record: BreakerRecord, nowMs: number, resetAfterMs: number): BreakerRecord {
  if (record.byHand === true) return record;
  return { ...record, probeAtMs: Math.min(record.probeAtMs, nowMs + resetAfterMs + patienceMs(resetAfterMs)) };
}

/** How long a message is put back for: until about the next probe, and no longer than a delay that nobody can take back should be. */
export function putBackMs(record: BreakerRecord, nowMs: number, resetAfterMs: number, random: () => number): number {
  const spreadMs = Math.min(maxSpreadMs, resetAfterMs * spreadShare) * random();
  const probeMs = record.probeAtMs - nowMs;
  const waitMs = Math.min(probeMs, longestPutBackMs, record.byHand === true ? resetAfterMs : Infinity);
  return Math.ceil(Math.max(minPutBackMs, waitMs) + spreadMs);
}

/**
 * This process could not write its record where it meant to, because somebody else had written `theirs`: whose counts? What was found out
 * within the last `resetAfterMs` counts more than what another found out before; a person's word counts more than either.
 */
export function whoseCounts(
  own: { record: BreakerRecord; was: number; ageMs: number },
  theirs: Shared<BreakerRecord>,
  resetAfterMs: number,
  nowMs: number,
): "own" | "theirs" {
  if (theirs.value !== undefined && isHeldOpen(theirs.value, nowMs)) return "theirs";
  if (theirs.revision === own.was) return "own";
  if ((theirs.value?.state ?? "closed") === own.record.state) return "theirs";
  return own.ageMs < resetAfterMs ? "own" : "theirs";
}

/** @param counts false for an error that says nothing against the dependency; the config's `retry.when` and `breaker.when`. */
export function judge(error: unknown, counts: (error: Error) => boolean): Verdict {
  switch (signalKind(error)) {
    case "terminal":
      return "answered";
    case "snooze":
    case "retry-after":
    case "deferral":
      return "nothing";
    case undefined:
      break;
  }
  try {
    return counts(error as Error) ? "failed" : "answered";
  } catch {
    return "failed";
  }
}
