/** Waits for what a worker reports. */
import { toMs, type Duration } from "../kernel/duration.ts";
import { toError } from "../kernel/errors.ts";
import type { WorkerEvents } from "../worker/events.ts";
import type { Worker } from "../worker/worker.ts";

/** What a worker's event carries: `WaitedEvent<"dead">` has `actor`, `id`, `reason`, `error` … */
export type WaitedEvent<Name extends keyof WorkerEvents> = WorkerEvents[Name][0];

/**
 * Resolves with the next event of this name that fits. Call it before what causes the event: events that were are not kept.
 * @param fits which events count. Default: all.
 * @param timeout how long to wait at most. Default 10 s. It keeps the process alive meanwhile.
 * @throws Error after the timeout, with what the worker has done so far.
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
    const timer = setTimeout(() => {
      end();
      const counts = JSON.stringify(worker.stats.actors);
      reject(
        new Error(
          `The worker reported no fitting '${name}' within ${timeoutMs} ms; what it has done so far: ${counts}`,
        ),
      );
    }, timeoutMs);
    const end = (): void => {
      clearTimeout(timer);
      emitter.off(name, listener);
    };
    // The emitter's own types cannot follow a name that is itself a type parameter.
    const emitter = worker as unknown as Listenable<WaitedEvent<Name>>;
    emitter.on(name, listener);
  });
}

interface Listenable<Event> {
  on(name: string, listener: (event: Event) => void): unknown;
  off(name: string, listener: (event: Event) => void): unknown;
}
