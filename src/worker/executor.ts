/**
 * Executor: one message's way through a worker, top to bottom: decode → admit → run → decide → settle.
 * Pulling is before it (intake.ts), the effects of each outcome are behind it (settle.ts).
 */
import type { AnyActor } from "../actor/actor-class.ts";
import type { ResolvedConfig } from "../actor/config.ts";
import type { Context } from "../actor/context.ts";
import type { AnyDelivery } from "../broker/delivery.ts";
import type { Payloads } from "../broker/payloads.ts";
import { monotonicMs, within } from "../kernel/clock.ts";
import type { Deferral, Handler } from "../guard/guard.ts";
import type { Guards } from "../guard/guards.ts";
import { TimeLimit } from "../guard/time-limit.ts";
import { DecodeError, InvalidMessageError, TimeLimitError, toError } from "../kernel/errors.ts";
import type { Lifecycle } from "../lifecycle/machine.ts";
import type { RetryBudget } from "../lifecycle/retry-budget.ts";
import { historyOf, type RunsStore } from "../lifecycle/runs.ts";
import { expiryOf, header, parseBodyObject } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";
import type { Decoded, Decoder } from "./decoder.ts";
import type { Suspects } from "./suspects.ts";
import {
  decideAdmission,
  decideAgain,
  decideInvalid,
  decideRun,
  isFailure,
  type Decider,
  type Outcome,
  type RunResult,
} from "./outcome.ts";
import { bodyOwnerOf, type Run } from "./run.ts";
import type { RunTracer } from "./run-tracer.ts";
import type { Reporter } from "./reporter.ts";
import type { Settler } from "./settle.ts";

/** Wraps every run of a worker. Call `next` once, with the input or another one; what it gives is what `receive` returned. */
export type Middleware = (input: unknown, ctx: Context, next: (input: unknown) => Promise<unknown>) => unknown;

const unavailableMs = 1_000;
/** A handler that returns its promise sooner is not worth a word. */
const worthNotingMs = 10;

export interface ExecutorOptions {
  names: Names;
  config: ResolvedConfig;
  actor: AnyActor;
  middleware: readonly Middleware[];
  decoder: Decoder;
  /** Whether a message came without its body because of its durable's settings. */
  lackedBody?: (delivery: AnyDelivery, sinceMs: number) => Promise<boolean>;
  /** Where a body is that was too large to come along. */
  payloads?: Pick<Payloads, "fetch" | "isStored">;
  runs: Pick<RunsStore, "look" | "note">;
  lifecycle: Lifecycle;
  budget: RetryBudget;
  suspects: Suspects;
  /** Undefined where the config has none. */
  guards?: Guards | undefined;
  settler: Pick<Settler, "settle">;
  /** Undefined where nobody traces. */
  tracer?: Pick<RunTracer, "around"> | undefined;
  /** The actor keeps its time limits itself, as one in a thread does. */
  ownLimits?: boolean;
  reporter: Pick<Reporter, "started" | "handled" | "stalled" | "problem" | "overdueBy" | "abandonedAt" | "lateEnd">;
  /** In [0, 1), for delays. Default `Math.random`. */
  random?: () => number;
  /** What it calls has held the event loop for so long before its first `await`; or not for sure, since others ran meanwhile. */
  onHeld?: (ms: number, sure?: boolean) => void;
  /** The run's slot is free. */
  onFree: () => void;
}

export class Executor {
  readonly #options: ExecutorOptions;
  readonly #decider: Decider;
  readonly #receive: Handler;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    const { config, lifecycle, budget, random = Math.random } = options;
    this.#decider = { config, lifecycle, random, stretch: () => budget.retry(monotonicMs()) };
    // Inside the guards: a breaker has to hear of a handler that hangs.
    const limited = limiting(options);
    const composed = compose(options.actor, options.middleware);
    const handler = options.ownLimits === true ? composed : limited(composed);
    const guarded = options.guards?.around(handler, limited) ?? handler;
    this.#receive = options.tracer?.around(guarded) ?? guarded;
  }

  /**
   * Takes one message to its end. Resolves once its settlement is sent; then its slot is free. Never rejects. One function, because
   * each further async one costs a message that succeeds at once a promise and a turn.
   */
  async execute(run: Run): Promise<void> {
    const { decoder, reporter } = this.#options;
    let outcome: Outcome | undefined;
    let input: unknown;
    let end: Outcome;
    let isOurs = false;
    try {
      // A first delivery has no history, and reads none.
      if (run.delivery.count > 1) outcome = await this.#recall(run);
      if (outcome === undefined && run.delivery.body.length === 0) outcome = await this.#fetchBody(run);
      if (outcome === undefined) {
        const wasLost = (run.delivery.count > 1 || run.fetchedBody !== undefined) && run.delivery.lost;
        const decoding = decoder.decode(run.delivery, run.body);
        let { lost } = run.delivery;
        if (lost && !wasLost) this.#noteBlocked(run);
        let decoded: Decoded;
        if (decoding instanceof Promise) {
          run.checking = !lost;
          decoded = await this.#inTime(decoding);
          ({ lost } = run.delivery);
          run.checking &&= lost;
          if (run.checking) this.#options.onHeld?.(monotonicMs() - run.heldSinceMs, false);
        } else decoded = decoding;
        if (decoded.ok) input = decoded.input;
        outcome = this.#admit(run, decoded, lost);
      }
      const { guards } = this.#options;
      if (outcome === undefined && guards !== undefined) outcome = await this.#enter(run, input, guards);
      if (outcome === undefined && run.delivery.count > 1 && !run.noted) {
        outcome = await this.#noteStarted(run);
        // What had been granted may have run out meanwhile.
        if (outcome === undefined && guards !== undefined) outcome = await this.#enter(run, input, guards);
      }
      // So it may while the handler of another that was let through with it began.
      while (outcome === undefined && guards !== undefined && !guards.holds(run)) {
        outcome = await this.#enter(run, input, guards);
      }
      if (outcome === undefined) {
        this.#begin(run);
        let result: RunResult;
        try {
          const handled = this.#receive(input, run);
          const heldMs = monotonicMs() - run.beganMs;
          if (heldMs > worthNotingMs) this.#options.onHeld?.(heldMs);
          result = { ok: true, value: await handled };
        } catch (thrown) {
          result = { ok: false, error: toError(thrown) };
        }
        // The attempt has failed, but its handler still runs, and a second one must not overlap it.
        if (run.overdue !== undefined) await run.overdue.over;
        run.end();
        reporter.handled(run);
        if (isFailure(result) && run.open) {
          isOurs = true;
          run.phase = "settling";
          await this.#lookAgain(run);
        }
        outcome = decideRun(this.#decider, result, run.history);
      }
      end = outcome;
    } catch (thrown) {
      // What Godwit itself needed (the runs record, a body) could not be had: no attempt, and soon again.
      reporter.problem(toError(thrown));
      end = { kind: "deferred", reason: "unavailable", delayMs: unavailableMs };
    }
    try {
      const settling = isOurs ? this.#options.settler.settle(run, end, input) : this.#settle(run, end, input);
      if (settling !== undefined) await settling;
    } catch (thrown) {
      reporter.problem(toError(thrown));
    } finally {
      this.#options.suspects.leave(run);
      if (run.entered) this.#options.guards?.leave(run);
      this.#options.onFree();
    }
  }

  /** Ends a run from outside: its worker stops, or the message is no longer its own. Its handler's late result is dropped. */
  giveUp(run: Run, outcome: Outcome): void | Promise<void> {
    return this.#settle(run, outcome, undefined);
  }

  /** The first to come here decides what becomes of the run. */
  #settle(run: Run, outcome: Outcome, input: unknown): void | Promise<void> {
    if (!run.open) return;
    run.phase = "settling";
    return this.#options.settler.settle(run, outcome, input);
  }

  /**
   * Fetches the body that was too large to come along. Anyone can publish the header: what is no name of ours is as none. One that the durable
   * left out comes with another delivery.
   */
  async #fetchBody(run: Run): Promise<Outcome | undefined> {
    const { names, config, payloads, lackedBody } = this.#options;
    if (Number(run.headers.get(header.size)) > 0 && (await lackedBody?.(run.delivery, run.heldSinceMs)) === true) {
      return { kind: "deferred", reason: "unavailable", delayMs: unavailableMs };
    }
    const object = parseBodyObject(run.headers.get(header.bodyObject));
    if (object === undefined || payloads === undefined) return undefined;
    let error: Error;
    try {
      run.fetchedBody = await payloads.fetch(object, bodyOwnerOf(names, config, run));
      run.bodyObject = object;
      if (run.fetchedBody !== undefined) return undefined;
      error = new DecodeError(
        `The body, the object ${object}, is gone from the object store: it was there for longer than payload.maxAge.`,
      );
    } catch (thrown) {
      if (!(thrown instanceof DecodeError)) throw thrown;
      error = thrown;
    }
    const { stream } = run.delivery;
    const isTask = stream === names.tasks || stream === names.schedule;
    // Another worker that completed a task took its body away.
    if (isTask && !(await payloads.isStored(run.delivery))) return { kind: "lost", reason: "deadline" };
    const decided = decideAgain(run.history);
    return decided ?? decideInvalid(this.#decider, "undecodable", error, run.history);
  }

  /** What a schema or a mapping gives that is asynchronous, and may never end: then the attempt has failed. */
  async #inTime(decoding: Promise<Decoded>): Promise<Decoded> {
    const { config, reporter } = this.#options;
    const limitMs = config.hardLimitMs ?? config.ackWaitMs;
    let decoded: Decoded | undefined;
    if (
      await within(
        limitMs,
        decoding.then((done) => (decoded = done)),
      )
    )
      return decoded as unknown as Decoded;
    const error = new TimeLimitError(
      config.name,
      limitMs,
      `The schema of ${config.name}, or the mapping of its subscription, did not end within ${limitMs} ms; let it give up earlier, or raise timeLimit.hard.`,
    );
    reporter.problem(error);
    return { ok: false, reason: "overdue", error };
  }

  /** The check of its body, or a function that tells a key, held the event loop for longer than the message was ours. */
  #noteBlocked(run: Run): void {
    run.blocked = true;
    this.#options.onHeld?.(monotonicMs() - run.heldSinceMs);
  }

  /**
   * Reads what earlier runs left, and says at once where that decides. Leaves word before the body is decoded, since that may be what
   * brings its worker down; but for an actor with guards, which may put the message back many times, only where something did.
   */
  async #recall(run: Run): Promise<Outcome | undefined> {
    const { runs, reporter, config, guards, suspects } = this.#options;
    run.seen = await runs.look(run.remembered, undefined, (error) => reporter.problem(error));
    run.recorded = run.seen.record !== undefined;
    run.history = historyOf(run.seen.record, run.delivery.count);
    const { completed, fate, stalls, soleStalls } = run.history;
    if (completed) return { kind: "lost", reason: "completed" };
    if (stalls > 0) reporter.stalled(run);
    // One more than it may have: its body was decoded once more, for its burial, and that did not end either.
    if (soleStalls > config.stalls) return decideAdmission(this.#decider, false, run.history);
    if (fate !== undefined) return undefined;
    if (!suspects.enter(run)) return { kind: "deferred", reason: "suspect", delayMs: 1_000 };
    return guards === undefined || stalls > 0 ? this.#noteStarted(run) : undefined;
  }

  /** An outcome for what must not run, `undefined` for what may. */
  #admit(run: Run, decoded: Decoded, lost: boolean): Outcome | undefined {
    if (lost || !run.open) return { kind: "lost", reason: "deadline" };
    const decided = decideAgain(run.history);
    if (decided !== undefined) return decided;
    if (!decoded.ok && decoded.reason === "overdue") return decideRun(this.#decider, decoded, run.history);
    if (!decoded.ok) return decideInvalid(this.#decider, decoded.reason, decoded.error, run.history);
    return decideAdmission(this.#decider, this.#isExpired(run), run.history);
  }

  /** By its sender's word; where that says nothing, as of events and of what other programs send, by the config and its age. */
  #isExpired(run: Run): boolean {
    const { expiresInMs } = this.#options.config;
    const expiresAtMs = expiryOf(run) ?? (expiresInMs === undefined ? undefined : run.storedAtMs + expiresInMs);
    return expiresAtMs !== undefined && expiresAtMs < run.storedAtMs + run.ageMs;
  }

  /** A redelivery leaves word before it runs, so that the next one knows if this one dies. */
  async #noteStarted(run: Run): Promise<Outcome | undefined> {
    // Before the write: one whose answer is lost may stand all the same.
    run.noted = true;
    run.recorded = true;
    const note = { state: "started" } as const;
    const { said, seen } = await this.#options.runs.note(run.remembered, note, run.delivery.ackWaitMs, run.seen);
    run.seen = seen;
    if (said !== "noted") {
      // Its end was noted meanwhile, which its next delivery reads.
      run.noted = false;
      return { kind: "deferred", reason: "unavailable", delayMs: unavailableMs };
    }
    return run.open && !run.delivery.lost ? undefined : { kind: "lost", reason: "deadline" };
  }

  /** Past its guards. Those that let it wait may do so for longer than it is ours. */
  async #enter(run: Run, input: unknown, guards: Guards): Promise<Outcome | undefined> {
    let deferral: Deferral | undefined;
    try {
      const entering = guards.enter(run, input);
      if (run.blocked) this.#noteBlocked(run);
      deferral = await entering;
    } catch (thrown) {
      // Those before the one that threw have let it in. It cannot tell what it is to count this message by.
      guards.leave(run);
      if (!(thrown instanceof InvalidMessageError)) throw thrown;
      return decideInvalid(this.#decider, "invalid", thrown, run.history);
    }
    run.entered = deferral === undefined;
    if (deferral !== undefined) return { kind: "deferred", ...deferral };
    return run.open && !run.delivery.lost ? undefined : { kind: "lost", reason: "deadline" };
  }

  #begin(run: Run): void {
    const { config, budget, reporter } = this.#options;
    run.begin(this.#options.ownLimits === true ? undefined : config.softLimitMs);
    budget.run(run.beganMs);
    reporter.started(run);
  }

  /**
   * A failure is decided by what the record says by now, which a first delivery has not read: the server may have forgotten others, or
   * have handed it out twice. It is read for the note of the failure anyway.
   */
  async #lookAgain(run: Run): Promise<void> {
    const { delivery } = run;
    if (delivery.lost) return;
    try {
      run.seen = await this.#options.runs.look(run.remembered, Math.max(1, delivery.deadlineMs - monotonicMs()));
      run.history = historyOf(run.seen.record, delivery.count);
    } catch (thrown) {
      this.#options.reporter.problem(toError(thrown));
    }
  }
}

function compose(actor: AnyActor, middleware: readonly Middleware[]): (input: unknown, ctx: Context) => unknown {
  const receive = (input: unknown, ctx: Context): unknown => actor.receive(input as never, ctx as never);
  return middleware.reduceRight<(input: unknown, ctx: Context) => unknown>(
    (next, layer) => (input, ctx) => layer(input, ctx, async (passed) => next(passed, ctx)),
    receive,
  );
}

/** Puts a handler under its actor's hard time limit; leaves it as it is where there is none. */
function limiting({ config, reporter }: ExecutorOptions): (handler: Handler) => Handler {
  const { name, hardLimitMs, abandonAfterMs } = config;
  if (hardLimitMs === undefined || abandonAfterMs === undefined) return (handler) => handler;
  const timeLimit = new TimeLimit<Run>({
    actor: name,
    hardMs: hardLimitMs,
    abandonAfterMs,
    onOverdue: (run) => reporter.overdueBy(run, hardLimitMs),
    onAbandoned: (run) => reporter.abandonedAt(run, monotonicMs() - run.beganMs),
    onLateEnd: () => reporter.lateEnd(),
  });
  // Whatever wraps a handler hands on the context that it was given, which is the run.
  return (handler) => (input, ctx) => timeLimit.within(ctx as Run, () => handler(input, ctx));
}
