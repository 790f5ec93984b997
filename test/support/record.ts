/** Records what a worker says, so that a test can wait for it and look back at it. */
import type { Worker, WorkerEvents } from "../../src/index.ts";

type EventName = keyof WorkerEvents;
type EventOf<E extends EventName> = WorkerEvents[E][0];

const eventNames: EventName[] = [
  "started",
  "completed",
  "retry",
  "deferred",
  "interrupted",
  "dead",
  "lost",
  "stalled",
  "progress",
  "overdue",
  "abandoned",
  "blocked",
  "resultLost",
  "problem",
];

export interface Recorded<E extends EventName = EventName> {
  event: E;
  /** Monotonic ms. */
  atMs: number;
  /** What the event carried. */
  data: EventOf<E>;
}

export class Recorder {
  /** Everything so far, in order. */
  readonly all: Recorded[] = [];
  #waiters: (() => void)[] = [];

  constructor(worker: Worker) {
    for (const event of eventNames) {
      worker.on(event, (data: EventOf<typeof event>) => {
        this.all.push({ event, atMs: performance.now(), data });
        for (const wake of this.#waiters.splice(0)) wake();
      });
    }
  }

  /** The events of one name so far. */
  of<E extends EventName>(event: E): Recorded<E>[] {
    return this.all.filter((one): one is Recorded<E> => one.event === event);
  }

  /** Resolves with the events of that name once there are `count` of them. */
  async until<E extends EventName>(event: E, count = 1, timeoutMs = 20_000): Promise<Recorded<E>[]> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const found = this.of(event);
      if (found.length >= count) return found;
      const restMs = deadlineMs - performance.now();
      if (restMs <= 0) {
        const seen = eventNames.map((name) => `${this.of(name).length} ${name}`).join(", ");
        throw new Error(`waited ${timeoutMs} ms in vain for ${count} × ${event}; there were ${seen}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, restMs);
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
}

/** Starts recording. Call it right after `work()`: no message can have come by then. */
export function record(worker: Worker): Recorder {
  return new Recorder(worker);
}
