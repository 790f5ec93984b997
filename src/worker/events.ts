/** Worker events: what a worker tells those who listen; metrics, logs and tests are built on it. */
import type { BreakerEvent } from "../guard/breaker/breaker.ts";
import type { GuardReason } from "../guard/guard.ts";
import type { DeadReason } from "../message/failure.ts";
import type { Blocked } from "./loop-watch.ts";
import type { Rebuilt } from "./sighting.ts";

/** Which message an event is about. */
export interface MessageRef {
  actor: string;
  id: string;
  stream: string;
  sequence: number;
  deliveries: number;
  /** 1 for the first attempt; 0 where no run had begun. */
  attempt: number;
  /** The span of the run, where its system traces. */
  traceId?: string;
  spanId?: string;
}

/**
 * Why a message was put back without an attempt being counted.
 * - `snooze`: its handler threw `Snooze`.
 * - `busy`: it found no free handler for a second; another worker may have one.
 * - `suspect`: an earlier run died with its worker, and it may not run beside another such message.
 * - `unavailable`: Godwit could not have what it needs to run it, such as the record of its earlier runs.
 * - `dead-letters-unavailable`: it is to be a dead letter, which could not be stored.
 * - `breaker-open`: its circuit is open, or its run was the probe of an open circuit and failed.
 * - `rate-limited`: its rate limit has no slot for it yet.
 * - `concurrency-limited`: as many as may are running under its concurrency limit.
 */
export type DeferReason = "snooze" | "busy" | "suspect" | "unavailable" | "dead-letters-unavailable" | GuardReason;
/**
 * Why a message is no longer this worker's. It comes again, unless its settlement did reach the server.
 * - `deadline`: its visibility timeout passed without a confirmed progress mark.
 * - `loop-gap`: it may have been on its way for more than a third of that timeout, as after a standstill, and was dropped unread.
 * - `unconfirmed`: it was settled, and the server did not confirm that in time.
 * - `completed`: an earlier delivery of it had completed late, so it was acknowledged and not run.
 * - `in-hand`: a server that had lost track delivered it again to the worker that still has it, which goes on with the first delivery.
 */
export type LostReason = "deadline" | "loop-gap" | "unconfirmed" | "in-hand" | "completed";

export interface WorkerEvents {
  started: [MessageRef];
  /** `ms`: how long the handler ran. */
  completed: [MessageRef & { ms: number }];
  retry: [MessageRef & { error: Error; delayMs: number }];
  deferred: [MessageRef & { reason: DeferReason; delayMs: number }];
  interrupted: [MessageRef];
  dead: [MessageRef & { reason: DeadReason; error: Error }];
  /** The message is no longer this worker's; what its handler returned was dropped. */
  lost: [MessageRef & { reason: LostReason }];
  /** An earlier run of this message died with its worker. */
  stalled: [MessageRef & { stalls: number }];
  progress: [MessageRef & { value: unknown }];
  /** The hard time limit has passed, and its handler has not ended. `limitMs`: which. */
  overdue: [MessageRef & { limitMs: number }];
  /** An overdue handler was given up: its slot is free, its message is settled as failed, and it may run on beside the next attempt. */
  abandoned: [MessageRef & { ms: number }];
  /** A result could not be stored although the handler returned; the message was settled as completed. */
  resultLost: [MessageRef & { error: Error }];
  /**
   * A circuit of this process opened, is probed by this process, closed, or is shared with the fleet no longer or again. `actors`: those of
   * this worker whose config names it; while it is open they pull nothing, or run their fallback.
   */
  breaker: [BreakerEvent & { actors: string[] }];
  /** Messages waited, handlers were free, and nothing came: what pulls from the durable was begun anew. */
  rebuilt: [Rebuilt & { actor: string }];
  /** The event loop of the process stood still for longer than `blockedAfter`; meanwhile nothing else ran. */
  blocked: [Blocked];
  /** Something that no message can be blamed for, such as a durable that is gone. `actor` is absent where it is about the whole worker. */
  problem: [{ actor?: string; error: Error }];
}
