/** Backoff: how long a failed message waits. Pure but for the dice, which are handed in. */
import type { ResolvedConfig } from "../actor/config.ts";

export interface BackoffState {
  /** The attempt that failed, 1 for the first. */
  attempt: number;
  /** The delay before this attempt, for decorrelated jitter; 0 for none. */
  lastDelayMs: number;
  error: Error;
}

/**
 * Whole milliseconds until the next attempt, never above `retry.max`. Full and decorrelated jitter are those of Marc Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 * @param random in [0, 1), such as `Math.random`.
 * @param stretch at least 1: how far the retry budget is overdrawn. It widens what the dice choose from, and not what they chose:
 * cut off at `max`, stretched delays would all be `max`, and come back as one herd.
 */
export function backoffMs(
  retry: ResolvedConfig["retry"],
  state: BackoffState,
  random: () => number,
  stretch: number,
): number {
  const { baseMs, maxMs, jitter } = retry;
  if (jitter === "decorrelated" && typeof retry.backoff !== "function") {
    const ceilingMs = Math.min(maxMs, Math.max(baseMs, state.lastDelayMs) * 3 * stretch);
    return Math.min(maxMs, Math.round(baseMs + random() * Math.max(0, ceilingMs - baseMs)));
  }
  const delayMs = Math.min(maxMs, plainDelayMs(retry, state) * stretch);
  return Math.round(jitter === "none" ? delayMs : random() * delayMs);
}

function plainDelayMs({ backoff, baseMs }: ResolvedConfig["retry"], { attempt, error }: BackoffState): number {
  if (backoff === "fixed") return baseMs;
  if (backoff === "linear") return baseMs * attempt;
  if (backoff === "exponential") return baseMs * 2 ** Math.min(attempt - 1, 52);
  // A user's function may err; a wait of the base is safer than a retry storm.
  try {
    const own = backoff(attempt, error);
    return Number.isFinite(own) && own >= 0 ? own : baseMs;
  } catch {
    return baseMs;
  }
}

/** The delays before all attempts together, where the dice give the most and the retry budget holds, ms. */
export function retryHorizonMs(retry: ResolvedConfig["retry"]): number {
  const { attempts, backoff, baseMs, maxMs, jitter } = retry;
  // Nobody knows what a function will say.
  if (typeof backoff === "function") return (attempts - 1) * maxMs;
  let totalMs = 0;
  let lastDelayMs = 0;
  for (let attempt = 1; attempt < attempts; attempt++) {
    const delayMs =
      jitter === "decorrelated"
        ? Math.min(maxMs, Math.max(baseMs, lastDelayMs) * 3)
        : Math.min(maxMs, plainDelayMs(retry, { attempt, lastDelayMs, error: noError }));
    // It grows no more: the rest are as long.
    if (delayMs === lastDelayMs) return totalMs + (attempts - attempt) * delayMs;
    totalMs += delayMs;
    lastDelayMs = delayMs;
  }
  return totalMs;
}

const noError = new Error("none");

/** A delay that the handler asked for, plus up to a fifth, so that many who were told the same time do not come back as a herd. */
export function spreadMs(delayMs: number, random: () => number): number {
  return Math.round(delayMs * (1 + 0.2 * random()));
}
