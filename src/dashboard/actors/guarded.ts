/** What holds an actor back just now, from its own figures and those of the guards that it names. Pure. */
import type { ActorFrame, BreakerFrame, Frame, LimitFrame } from "../../admin/api.ts";
import { span, time } from "../format.ts";

export interface Holds {
  paused: boolean;
  pausedUntil?: string;
  breaker?: BreakerFrame;
  /** Limits that make it wait. */
  limits: LimitFrame[];
}

/** Deferrals by the guards, as workers name their reasons. */
const limitReasons = ["rate-limited", "concurrency-limited"];

export function holdsOf(actor: ActorFrame, frame: Frame, nowMs: number): Holds {
  const { pausedUntil } = actor;
  const paused = isPaused(actor, nowMs);
  const breaker = frame.breakers.find(({ name, state }) => name === actor.breaker && state !== "closed");
  const deferred = limitReasons.some((reason) => (actor.deferrals[reason] ?? 0) > 0);
  return {
    paused,
    ...(paused && pausedUntil !== undefined && { pausedUntil }),
    ...(breaker !== undefined && { breaker }),
    limits: limitsOf(actor, frame).filter((limit) => deferred || isHeld(limit, nowMs) || isFull(limit)),
  };
}

/** A pause may have ended since the frame was made. */
export function isPaused({ paused, pausedUntil }: ActorFrame, nowMs: number): boolean {
  return paused && (pausedUntil === undefined || Date.parse(pausedUntil) > nowMs);
}

export function limitsOf(actor: ActorFrame, frame: Frame): LimitFrame[] {
  return frame.limits.filter(({ kind, name }) => name === (kind === "rate" ? actor.rateLimit : actor.concurrencyLimit));
}

export function isHeld(limit: LimitFrame, nowMs: number): boolean {
  return limit.kind === "rate" && limit.heldUntil !== undefined && Date.parse(limit.heldUntil) > nowMs;
}

function isFull(limit: LimitFrame): boolean {
  return limit.kind === "concurrency" && (limit.waiting ?? 0) > 0;
}

/** `until 14:03:22, for another 4 min`. */
export function untilText(until: string | undefined, nowMs: number): string {
  if (until === undefined) return "until it is resumed";
  const leftMs = Date.parse(until) - nowMs;
  return `until ${time(until, nowMs)}, for another ${span(Math.max(1_000, leftMs))}`;
}
