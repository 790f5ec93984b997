/** Failures on the wire: how a task's final error travels in an answer, a stored result and a dead letter. */
import { causeCode, messageOf, TaskFailedError } from "../kernel/errors.ts";

/** Why a message became a dead letter. */
export const deadReasons = ["exhausted", "terminal", "invalid", "undecodable", "stalled", "expired"] as const;
export type DeadReason = (typeof deadReasons)[number];

/** `unanswerable`: the task completed, but what its handler returned cannot be sent. */
export type FailureReason = DeadReason | "unanswerable";

export interface Failure<Reason extends FailureReason = DeadReason> {
  reason: Reason;
  error: { name: string; message: string; code?: string };
}

const maxTextLength = 1_000;

/** A text for a record: at most so long, and one that every codec carries, also where it is cut within a character. */
export function cut(text: string, maxLength: number): string {
  return text.slice(0, maxLength).toWellFormed();
}

export function writeFailure<Reason extends FailureReason>(reason: Reason, error: Error): Failure<Reason> {
  const code = causeCode(error);
  return {
    reason,
    error: {
      name: cut(error.name, 100),
      message: cut(messageOf(error), maxTextLength),
      ...(code !== undefined && { code: cut(code, 100) }),
    },
  };
}

/** The error that an asker sees. Takes any value, since it comes from outside. */
export function readFailure(id: string, value: unknown): TaskFailedError {
  const { reason: said, error } = (value ?? {}) as { reason?: unknown; error?: Record<string, unknown> | null };
  const textOf = (field: unknown, otherwise: string): string => (typeof field === "string" ? field : otherwise);
  const reason = textOf(said, "unknown");
  const text = textOf(error?.["message"], "no error was given");
  const cause = new Error(text);
  cause.name = textOf(error?.["name"], "Error");
  if (typeof error?.["code"] === "string") Object.assign(cause, { code: error["code"] });
  const what =
    reason === "unanswerable" ? "completed, but its answer cannot be sent" : `became a dead letter (${reason})`;
  return new TaskFailedError(id, reason, `The task ${id} ${what}: ${text}`, { cause });
}
