/** Guard: what stands between an actor and its messages: a breaker, a rate limit, a concurrency limit. */
import type { Context } from "../actor/context.ts";

/** Why a guard puts a message back. */
export type GuardReason = "breaker-open" | "rate-limited" | "concurrency-limited";

/** A message put back without an attempt being counted. */
export interface Deferral {
  reason: GuardReason;
  delayMs: number;
}

/** A run as guards see it; also what they know it by. */
export interface GuardedRun {
  readonly id: string;
  /** Above 1 it has a record to write between entering and starting. */
  readonly deliveries: number;
  /** The guard that it waits for, if it does: what `explain` shows. */
  waitsFor?: string | undefined;
  /** False once somebody else has decided its outcome: it need not be waited for. */
  readonly open: boolean;
  readonly delivery: { readonly lost: boolean };
  /** Its user's code held the event loop for longer than the message was its worker's. */
  blocked: boolean;
  /** Aborts its signal: what let it pass no longer holds. */
  abort(reason: Error): void;
}

/** A handler: takes the input and its run, gives what `receive` gives. */
export type Handler = (input: unknown, ctx: Context & GuardedRun) => unknown;

/**
 * One guard of one actor in one worker.
 * 1. `room` restrains the pull, so that few messages come only to be put back; `enter` decides, since open pulls deliver all the same.
 * 2. A run that entered leaves: after its handler, or when it does not run after all.
 */
export interface Guard {
  /** What people know it by: `rate limit mail-api`. */
  readonly label: string;
  /** Learns what the fleet knows, before the first pull. `onChange`: `room` may have grown. A guard without its server works on alone. */
  start(onChange: () => void): Promise<void>;
  /**
   * How many messages the actor may have asked for or be waiting with, `Infinity` where this guard does not restrain it.
   * @param demand how many it could start now, if messages are known to wait; 0 where none is known of.
   */
  room(demand: number): number;
  /**
   * Lets a run pass, now or after a short wait, or says for how long to put it back. Called again before the handler starts if
   * anything was waited for in between; a run that may still pass is let through at once.
   * @throws InvalidMessageError for an input that the guard can make nothing of, such as one without a key: no retry mends it.
   */
  enter(run: GuardedRun, input: unknown): Deferral | undefined | Promise<Deferral | undefined>;
  /** False where what let the run pass no longer holds, by now: it is to enter again. Asked when its handler is about to start. */
  holds?(run: GuardedRun): boolean;
  /** The run is over, or does not run after all; nothing happens where it had not entered. */
  leave(run: GuardedRun): void;
  /** Wraps what runs. `limited` puts what a guard runs in its place under the actor's time limit. */
  around?(handler: Handler, limited: (handler: Handler) => Handler): Handler;
  /** Nothing more is pulled: lets those that wait in `enter` go, deferred. */
  drain(): void;
  /** Ends timers and interest. */
  close(): void;
}
