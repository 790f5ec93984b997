/**
 * The lifecycle of a message as an xstate machine: received → running → completed | backoff → running … | dead.
 * 1. The runs record is its memory: each use rehydrates it with `resolveState`, so that a rolling deploy never reads another
 *    version's internals.
 * 2. It is entered only when something goes wrong: it costs tens of microseconds, which a message that succeeds must not pay.
 */
import { setup, transition } from "xstate";
import type { DeadReason } from "../message/failure.ts";

interface LifecycleContext {
  attempt: number;
  attempts: number;
  soleStalls: number;
  stallCap: number;
}

type LifecycleEvent =
  | { type: "RUN"; expired: boolean }
  | { type: "FAILED"; terminal: boolean }
  | { type: "INVALID"; reason: "invalid" | "undecodable"; retry: boolean }
  | { type: "SUCCEEDED" };

const machine = setup({
  types: { context: {} as LifecycleContext, events: {} as LifecycleEvent, input: {} as LifecycleContext },
  guards: {
    expired: ({ event }) => event.type === "RUN" && event.expired,
    stalledOut: ({ context }) => context.soleStalls >= context.stallCap,
    terminal: ({ event }) => event.type === "FAILED" && event.terminal,
    exhausted: ({ context }) => context.attempt >= context.attempts,
    invalidAtOnce: ({ event }) => event.type === "INVALID" && !event.retry,
    undecodable: ({ event }) => event.type === "INVALID" && event.reason === "undecodable",
  },
}).createMachine({
  id: "message",
  context: ({ input }) => input,
  initial: "received",
  states: {
    received: {
      on: {
        RUN: [
          { guard: "expired", target: "dead.expired" },
          { guard: "stalledOut", target: "dead.stalled" },
          { target: "running" },
        ],
        INVALID: [
          { guard: "undecodable", target: "dead.undecodable" },
          { guard: "invalidAtOnce", target: "dead.invalid" },
          { guard: "exhausted", target: "dead.invalid" },
          { target: "backoff" },
        ],
      },
    },
    running: {
      on: {
        SUCCEEDED: "completed",
        FAILED: [
          { guard: "terminal", target: "dead.terminal" },
          { guard: "exhausted", target: "dead.exhausted" },
          { target: "backoff" },
        ],
      },
    },
    backoff: { on: { RUN: [{ guard: "expired", target: "dead.expired" }, { target: "running" }] } },
    completed: { type: "final" },
    dead: {
      initial: "terminal",
      states: {
        expired: { type: "final" },
        stalled: { type: "final" },
        terminal: { type: "final" },
        exhausted: { type: "final" },
        invalid: { type: "final" },
        undecodable: { type: "final" },
      },
    },
  },
});

export type LifecycleStep = "running" | "backoff" | "completed" | { dead: DeadReason };

export class Lifecycle {
  /** How often the machine was entered; a worker whose messages all succeed at once stays at 0. */
  entries = 0;

  /** Where an event leads from a state that the runs record gives. */
  next(from: "received" | "running", context: LifecycleContext, event: LifecycleEvent): LifecycleStep {
    this.entries += 1;
    const [snapshot] = transition(machine, machine.resolveState({ value: from, context }), event);
    const { value } = snapshot;
    if (typeof value === "object") return { dead: value["dead"] };
    if (value === from) throw new Error(`the lifecycle has no way from ${from} on ${event.type}`);
    return value as "running" | "backoff" | "completed";
  }
}
