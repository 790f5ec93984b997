/** Waits for what a worker reports. */
import { toMs, type Duration } from "../kernel/duration.ts";
import { toError, WaitTimeoutError } from "../kernel/errors.ts";
import type { WorkerEvents } from "../worker/events.ts";
import type { Worker } from "../worker/worker.ts";

/** What a worker's event carries: `WaitedEvent<"dead">` has `actor`, `id`, `reason`, `error` … */
export type WaitedEvent<Name extends keyof WorkerEvents> = WorkerEvents[Name][0];

/**
 * Resolves with the next event of this name that fits. Call it before what causes the event: events that were are not kept.
 * @param fits which events count. Default: all.
 * @param timeout how long to wait at most. Default 10 s. It keeps the process alive meanwhile.
 * @throws WaitTimeoutError after the timeout, with what the worker has done so far and the last error that it reported meanwhile.
 * @example
 * const dead = waitFor(worker, "dead", (event) => event.id === "p1");
 * await system.tell(ChargePayment, charge, { id: "p1" });
 * expect((await dead).reason).toBe("terminal");
 */
export function waitFor<Name extends keyof WorkerEvents>(
  worker: Worker,
  name: Name,
  fits: (event: WaitedEvent<Name>) => boolean = () => true,
  timeout: Duration = "10s",
): Promise<WaitedEvent<Name>> {
  const timeoutMs = toMs(timeout, "timeout");
  return new Promise((resolve, reject) => {
    const listener = (event: WaitedEvent<Name>): void => {
      try {
        if (!fits(event)) return;
        end();
        resolve(event);
      } catch (thrown) {
        end();
        reject(toError(thrown));
      }
    };
    let cause: Error | undefined;
    const noteError = ({ error }: { error: Error }): void => void (cause = error);
    const timer = setTimeout(() => {
      end();
      const done = JSON.stringify(worker.stats.actors);
      const last = cause ? `; the last error: ${cause.message}` : "";
      reject(
        new WaitTimeoutError(
          `The worker reported no fitting '${name}' within ${timeoutMs} ms (so far it has done: ${done}${last}); call waitFor before what causes the event, or give it longer.`,
          { cause },
        ),
      );
    }, timeoutMs);
    const end = (): void => {
      clearTimeout(timer);
      emitter.off(name, listener);
      for (const kind of failures) worker.off(kind, noteError);
    };
    // The emitter's own types cannot follow a name that is itself a type parameter.
    const emitter = worker as unknown as Listenable<WaitedEvent<Name>>;
    emitter.on(name, listener);
    for (const kind of failures) worker.on(kind, noteError);
  });
}

/** What a worker reports with an error that keeps other events from coming. */
const failures = ["retry", "dead", "problem"] as const;

interface Listenable<Event> {
  on(name: string, listener: (event: Event) => void): unknown;
  off(name: string, listener: (event: Event) => void): unknown;
}
