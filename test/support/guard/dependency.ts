/** A dependency that a test switches off and on, actors that call it, and a circuit breaker around it. */
import { Actor, config } from "godwit";
import type { Context, WorkerEvents } from "godwit";
import type { Worker } from "godwit";
import type { BreakerConfig } from "../../../src/actor/guard-config.ts";

export class Dependency {
  up = true;
  /** Ids of the messages that called it, in order, and when, monotonic ms. */
  readonly calls: { id: string; atMs: number; up: boolean }[] = [];

  call(ctx: Context): void {
    const { up } = this;
    this.calls.push({ id: ctx.id, atMs: performance.now(), up });
    if (!up) throw new Error("the dependency is down");
  }

  /** Calls that it refused. */
  get refused(): number {
    return this.calls.filter(({ up }) => !up).length;
  }
}

export interface CallerOptions extends Partial<BreakerConfig<unknown>> {
  actor?: string;
  attempts?: number;
  receive?: (ctx: Context) => unknown;
}

/** An actor that calls the dependency under the breaker `api`: volume 3, half of the calls, resetAfter 1 s unless told otherwise. */
export function callerOf(dependency: Dependency, options: CallerOptions = {}) {
  const { actor = "caller", attempts = 1, receive = (ctx) => dependency.call(ctx), ...breaker } = options;
  return class Caller extends Actor<unknown, unknown> {
    static override readonly config = config({
      name: actor,
      retry: { attempts, base: 10, backoff: "fixed", jitter: "none" },
      breaker: { name: "api", volume: 3, resetAfter: "1s", ...breaker },
    });

    override async receive(_input: unknown, ctx: Context): Promise<unknown> {
      return receive(ctx);
    }
  };
}

/** Events of a worker as they come, as text. */
export function historyOf(worker: Worker): string[] {
  const seen: string[] = [];
  const note = <E extends keyof WorkerEvents>(event: E, text: (...data: WorkerEvents[E]) => string): void => {
    const listener = (...data: WorkerEvents[E]): void => void seen.push(text(...data));
    worker.on(event, listener as never);
  };
  note("completed", ({ id, attempt }) => `completed ${id} in attempt ${attempt}`);
  note("retry", ({ id }) => `retry ${id}`);
  note("dead", ({ id }) => `dead ${id}`);
  note("deferred", ({ id, reason }) => `deferred ${id}: ${reason}`);
  note("breaker", ({ name, state, shared }) => `${name} ${state}${shared ? "" : ", alone"}`);
  note("problem", ({ error }) => `problem: ${error.message}`);
  return seen;
}
