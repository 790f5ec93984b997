/** Outcome: what becomes of a delivery. Decided here, purely, from what the handler gave; carried out in settle.ts. */
import type { ResolvedConfig } from "../actor/config.ts";
import { signalDelayMs, signalKind, type Deferred } from "../actor/signals.ts";
import { backoffMs, spreadMs } from "../lifecycle/backoff.ts";
import type { Lifecycle } from "../lifecycle/machine.ts";
import type { RunHistory } from "../lifecycle/runs.ts";
import type { DeadReason } from "../message/failure.ts";
import type { DeferReason, LostReason } from "./events.ts";

export type Outcome =
  | { kind: "completed"; value: unknown }
  | { kind: "retry"; error: Error; delayMs: number }
  | { kind: "deferred"; reason: DeferReason; delayMs: number }
  | { kind: "interrupted" }
  | { kind: "dead"; reason: DeadReason; error: Error }
  | { kind: "lost"; reason: LostReason };

/** What a run gave. */
export type RunResult = { ok: true; value: unknown } | { ok: false; error: Error };

/** Whether an attempt has failed: not so where its handler put the message back. */
export function isFailure(result: RunResult): boolean {
  const signal = result.ok ? undefined : signalKind(result.error);
  return !result.ok && signal !== "snooze" && signal !== "deferral";
}

export interface Decider {
  config: ResolvedConfig;
  lifecycle: Lifecycle;
  random: () => number;
  /** Counts a retry; by how much its backoff stretches, at least 1. */
  stretch: () => number;
}

/** A run ended. A success is decided without the machine. */
export function decideRun(
  { config, lifecycle, random, stretch }: Decider,
  result: RunResult,
  history: RunHistory,
): Outcome {
  if (result.ok) return { kind: "completed", value: result.value };
  if (history.completed) return { kind: "lost", reason: "completed" };
  const { error } = result;
  const signal = signalKind(error);
  if (signal === "snooze") return { kind: "deferred", reason: "snooze", delayMs: signalDelayMs(error) };
  if (signal === "deferral") {
    const { reason, delayMs } = error as Deferred<DeferReason>;
    return { kind: "deferred", reason, delayMs };
  }
  const terminal = signal === "terminal" || (signal === undefined && !mayRetry(config, error));
  const step = lifecycle.next("running", contextOf(config, history), { type: "FAILED", terminal });
  if (typeof step === "object") return { kind: "dead", reason: step.dead, error };
  const state = { attempt: history.attempt, lastDelayMs: history.lastDelayMs, error };
  const factor = stretch();
  // Whoever asked for a certain delay has a reason for it.
  const delayMs =
    signal === "retry-after" ? spreadMs(signalDelayMs(error), random) : backoffMs(config.retry, state, random, factor);
  return { kind: "retry", error, delayMs };
}

/** The body could not be turned into an input. */
export function decideInvalid(
  { config, lifecycle, random, stretch }: Decider,
  reason: "invalid" | "undecodable",
  error: Error,
  history: RunHistory,
): Outcome {
  const retry = config.onInvalid === "retry";
  const step = lifecycle.next("received", contextOf(config, history), { type: "INVALID", reason, retry });
  if (typeof step === "object") return { kind: "dead", reason: step.dead, error };
  const state = { attempt: history.attempt, lastDelayMs: history.lastDelayMs, error };
  return { kind: "retry", error, delayMs: backoffMs(config.retry, state, random, stretch()) };
}

/** A burial that broke off is repeated, and nothing else: `undefined` for a message whose fate is open. */
export function decideAgain({ fate }: RunHistory): Outcome | undefined {
  if (fate === undefined) return undefined;
  const error = new Error(fate.message);
  error.name = fate.name;
  return { kind: "dead", reason: fate.reason, error };
}

/** Before a run that has a history or an expiry: `undefined` lets it run. */
export function decideAdmission(
  { config, lifecycle }: Decider,
  expired: boolean,
  history: RunHistory,
): Outcome | undefined {
  if (!expired && history.soleStalls === 0) return undefined;
  const step = lifecycle.next("received", contextOf(config, history), { type: "RUN", expired });
  if (typeof step !== "object") return undefined;
  const error =
    step.dead === "expired"
      ? new Error("the message was older than its expiresIn when its turn came")
      : new Error(
          `its worker died in ${history.stalls} runs, or stood still in them for too long, ${history.soleStalls} of them with no other suspect`,
        );
  return { kind: "dead", reason: step.dead, error };
}

function mayRetry(config: ResolvedConfig, error: Error): boolean {
  try {
    return config.retry.when(error);
  } catch {
    // A `when` that throws must not turn a retryable failure into a dead letter.
    return true;
  }
}

function contextOf(config: ResolvedConfig, history: RunHistory) {
  return {
    attempt: history.attempt,
    attempts: config.retry.attempts,
    soleStalls: history.soleStalls,
    stallCap: config.stalls,
  };
}
