/**
 * Isolated actor: stands for an actor whose handler runs in threads of their own, one run at a time in each.
 * 1. The hard limit ends the thread, whatever it does: the attempt has failed at once, and other threads go on.
 * 2. A thread that dies is a failed attempt. It is replaced.
 * 3. The limits count from the handler's beginning: the time that a thread takes to start is not the handler's.
 * 4. A thread that cannot be made ready fails no attempt: the message is put back.
 */
import { MessageChannel } from "node:worker_threads";
import type { AnyActor } from "../../actor/actor-class.ts";
import type { ResolvedConfig } from "../../actor/config.ts";
import type { Context } from "../../actor/context.ts";
import { Deferred } from "../../actor/signals.ts";
import { maxTimerMs } from "../../kernel/clock.ts";
import {
  ActorStartError,
  ConfigError,
  EncodeError,
  ThreadError,
  TimeLimitError,
  toError,
} from "../../kernel/errors.ts";
import { checkCrossing } from "../../message/value-check.ts";
import { Line } from "./line.ts";
import type { Given, ThreadSide, Verdict, WorkerSide } from "./protocol.ts";
import { factsOf, serveContext, unsendable } from "./serve-context.ts";
import { Threads } from "./threads.ts";
import { readError, writeError } from "./wire-error.ts";

/** A run as its isolation sees it. */
export interface IsolatedRun extends Context {
  abort(reason: Error): void;
}

export interface IsolationOptions<Run extends IsolatedRun> {
  config: ResolvedConfig;
  /** For `onDead`, which runs in the worker's own thread. */
  instance: AnyActor;
  /** How long a thread may take to be ready. */
  startTimeoutMs: number;
  /** The hard limit has passed, and its thread is ended. */
  onOverdue: (run: Run) => void;
  /** A thread died that had nothing to do, or could not be made ready for a run. */
  onProblem: (error: Error) => void;
}

/** When a message comes again whose thread could not be made ready. */
const unavailableMs = 1_000;

export class IsolatedActor<Run extends IsolatedRun> implements AnyActor {
  readonly #options: IsolationOptions<Run>;
  #threads: Threads | undefined;
  #started: Promise<void> | undefined;
  readonly #verdicts = new WeakMap<Error, Verdict>();

  constructor(options: IsolationOptions<Run>) {
    this.#options = options;
  }

  /** The actor's, whose functions that judge an error know what was said of it in its thread, where `instanceof` holds. */
  get config(): ResolvedConfig {
    const { config } = this.#options;
    const { retry, breaker } = config;
    const trips = breaker?.when;
    return {
      ...config,
      retry: { ...retry, when: (error) => this.#verdicts.get(error)?.retry ?? retry.when(error) },
      breaker:
        breaker === undefined || trips === undefined
          ? breaker
          : { ...breaker, when: (error) => this.#verdicts.get(error)?.breaker ?? trips(error) },
    };
  }

  /** Makes one thread ready, to know that they can be. @throws ConfigError, ActorStartError. */
  async start(): Promise<void> {
    const { config, onProblem } = this.#options;
    const threads = (this.#threads = new Threads(config, onProblem));
    try {
      await threads.prepare();
    } catch (thrown) {
      await this.stop();
      throw thrown;
    }
  }

  async receive(input: never, ctx: never): Promise<unknown> {
    return this.#run(input, ctx);
  }

  async #run(input: unknown, run: Run): Promise<unknown> {
    const kill = new AbortController();
    const limits = this.#limits(run, kill);
    try {
      const given = await this.#inThread(input, run, kill.signal, () => limits.start());
      if (given.ok) return given.value;
      const error = readError(given.error);
      this.#verdicts.set(error, given.verdict);
      throw error;
    } catch (thrown) {
      const error = toError(kill.signal.aborted ? kill.signal.reason : thrown);
      // What a handler throws comes as what it gave: these two are of the thread's preparation.
      const unprepared = !limits.started && (error instanceof ActorStartError || error instanceof ConfigError);
      throw unprepared ? this.#unavailable(error) : error;
    } finally {
      limits.end();
    }
  }

  /** Reports it. @returns what puts the message back. */
  #unavailable(error: Error): Deferred {
    const { config, onProblem } = this.#options;
    onProblem(error);
    const message = `no thread of ${config.name} could be made ready: ${error.message}`;
    return new Deferred("unavailable", unavailableMs, message, { cause: error });
  }

  #limits(run: Run, kill: AbortController): { readonly started: boolean; start(): void; end(): void } {
    const { onOverdue, startTimeoutMs } = this.#options;
    const { name, softLimitMs, hardLimitMs } = this.#options.config;
    const timers: NodeJS.Timeout[] = [];
    const after = (ms: number, act: () => void): number => timers.push(setTimeout(act, Math.min(ms, maxTimerMs)));
    let started = false;
    after(startTimeoutMs, () => !started && kill.abort(new ActorStartError(name, startTimeoutMs)));
    return {
      get started() {
        return started;
      },
      start(): void {
        started = true;
        if (softLimitMs !== undefined) {
          after(softLimitMs, () => run.abort(new Error(`the soft time limit of ${softLimitMs} ms has passed`)));
        }
        if (hardLimitMs === undefined) return;
        after(hardLimitMs, () => {
          const error = new TimeLimitError(name, hardLimitMs);
          kill.abort(error);
          run.abort(error);
          onOverdue(run);
        });
      },
      end: () => timers.forEach((timer) => clearTimeout(timer)),
    };
  }

  /** What the handler gives in a thread. Settles when that is free again, or dead. */
  async #inThread(input: unknown, run: Run, killed: AbortSignal, begun: () => void): Promise<Given> {
    const { name } = this.#options.config;
    if (this.#threads === undefined) throw new ThreadError(name, "its worker has stopped");
    checkCrossing(input);
    const { port1, port2 } = new MessageChannel();
    const bell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    let hasBegun = false;
    const atBegin = (): void => {
      hasBegun = true;
      begun();
    };
    const offered = serveContext(run, () => line, atBegin);
    const line: Line<WorkerSide, ThreadSide> = new Line<WorkerSide, ThreadSide>(port1, offered, bell);
    const served = this.#threads.run(port2, bell, killed);
    const died = served.then(() => {
      throw new ThreadError(name, "it ended the run without an answer");
    });
    const answered = line.call("receive", factsOf(run), input).catch(async (thrown: unknown): Promise<Given> => {
      // Closed from over there: why is about to be known.
      if (line.closed) await died;
      // It has returned, and is not run again over what it returned.
      if (hasBegun && thrown instanceof EncodeError) return { ok: true, value: unsendable(thrown) };
      throw thrown;
    });
    const abort = (): void => line.send("abort", writeError(run.signal.reason));
    if (run.signal.aborted) abort();
    run.signal.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([answered, died]);
    } finally {
      run.signal.removeEventListener("abort", abort);
      line.close();
      await served.catch(() => undefined);
    }
  }

  /** In the worker's own thread: the handler's may be gone. The instance there is started when it is first needed. */
  async onDead(input: never, error: Error, ctx: never): Promise<void> {
    const { instance } = this.#options;
    this.#started ??= instance.start().catch((thrown: unknown) => {
      this.#started = undefined;
      throw thrown;
    });
    await this.#started;
    await instance.onDead(input, error, ctx);
  }

  /** Ends all threads, busy ones too. */
  async stop(): Promise<void> {
    const threads = this.#threads;
    this.#threads = undefined;
    await threads?.stop();
    if (this.#started !== undefined) await this.#options.instance.stop();
  }
}
