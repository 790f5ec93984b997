/** Worker: runs actors in this process until it is stopped. */
import { EventEmitter } from "node:events";
import type { ActorSource } from "../actor/actor-class.ts";
import { registerActors, type RegisteredActor } from "../actor/registry.ts";
import { maxTimerMs, monotonicMs, within } from "../kernel/clock.ts";
import { ClosedError, GodwitError } from "../kernel/errors.ts";
import { toMs, type Duration } from "../kernel/duration.ts";
import type { Guards } from "../guard/guards.ts";
import { resolveOptions } from "../kernel/options.ts";
import { OwnContexts } from "../kernel/own-contexts.ts";
import { Lifecycle } from "../lifecycle/machine.ts";
import { RetryBudget } from "../lifecycle/retry-budget.ts";
import { Decoder } from "./decoder.ts";
import { declaredOf } from "./declared.ts";
import { DurableWatch } from "./durable-watch.ts";
import { ensureDurables, type ActorDurable } from "./durables.ts";
import type { WorkerEvents } from "./events.ts";
import { Executor, type Middleware } from "./executor.ts";
import { ActorHooks } from "./hooks.ts";
import { Intake, type IntakeLook } from "./intake.ts";
import { isolated } from "./isolated.ts";
import { ArrivalClock } from "./arrival-clock.ts";
import { LoopLagWatch } from "./loop-lag.ts";
import { LoopWatch } from "./loop-watch.ts";
import { Presence } from "./presence.ts";
import { Reporter, tellListeners } from "./reporter.ts";
import { workOptions, type WorkerServices, type WorkOptions } from "./services.ts";
import { Settler } from "./settle.ts";
import type { Watched } from "./sighting.ts";
import { Slots } from "./slots.ts";
import {
  actorSnapshot,
  figuresOf,
  memoryUse,
  newIdentity,
  type ActorSnapshot,
  type WorkerFigures,
  type WorkerIdentity,
  type WorkerSnapshot,
} from "./snapshot.ts";
import type { WorkerStats } from "./tally.ts";
import { Watchdog } from "./watchdog.ts";

interface RunningActor extends RegisteredActor {
  intake: Intake;
  reporter: Reporter;
  guards: Guards | undefined;
}

/** `starting` until its actors have started and it pulls; `draining` once it was asked to stop. */
export type WorkerState = "starting" | "running" | "draining" | "stopped";

const defaultGraceMs = 30_000;
/** For a start() that is about to end. */
const leastGraceMs = 1_000;
/** Behind the grace, for what is put back and for what has ended: without a server nothing of it would be confirmed. */
const [leastSettleMs, mostSettleMs] = [5_000, 10_000];

export class Worker extends EventEmitter<WorkerEvents> {
  readonly #services: WorkerServices;
  readonly #actors: RegisteredActor[];
  readonly #middleware: readonly Middleware[];
  readonly #ceiling: Slots;
  readonly #arrivals: ArrivalClock;
  readonly #lifecycle = new Lifecycle();
  readonly #budget = new RetryBudget();
  readonly #started: RegisteredActor[] = [];
  readonly #running: RunningActor[] = [];
  readonly #contexts = new OwnContexts();
  readonly #hooks: ActorHooks;
  /** Settles once no further actor will be started. */
  #startEnded: Promise<unknown> = Promise.resolve();
  #stopped: Promise<void> | undefined;
  readonly #loopWatch: LoopWatch;
  readonly #loopLag = new LoopLagWatch();
  readonly #identity: WorkerIdentity;
  readonly #madeMs = monotonicMs();
  readonly #presence: Presence;
  readonly #durables: DurableWatch;
  readonly #watchdog: Watchdog;
  #state: WorkerState = "starting";
  #blocked = 0;
  #turn = 0;
  readonly #offs: (() => void)[] = [];

  /** @throws ConfigError, InvalidNameError, ActorNotFoundError for what cannot be run. */
  constructor(sources: readonly ActorSource[], options: WorkOptions, services: WorkerServices) {
    super();
    const resolved = resolveOptions(workOptions, options, "options of work()");
    const { concurrency, blockedAfter, rebuildAfter, use } = resolved;
    this.#services = services;
    this.#hooks = new ActorHooks(services.log, resolved.startTimeout);
    this.#arrivals = new ArrivalClock(services.connection);
    this.#actors = registerActors(sources);
    this.#middleware = use;
    this.#loopWatch = new LoopWatch({
      afterMs: blockedAfter,
      inProgress: (sinceMs) =>
        this.#running
          // A thread holds no loop but its own.
          .filter(({ config, intake }) => config.isolate === undefined && intake.inProgress(sinceMs))
          .map(({ config }) => config.name),
      onBlocked: (blocked) => {
        this.#blocked += 1;
        this.#tell("blocked", [blocked]);
      },
    });
    const onError = (error: Error): unknown => error instanceof GodwitError && this.#tell("problem", [{ error }]);
    this.#offs.push(services.connection.onError(onError));
    this.#identity = newIdentity(this.actors, services.group);
    this.#watchdog = new Watchdog({
      reader: services.reader,
      connection: services.connection,
      queues: [services.names.tasks, services.names.schedule],
      rebuildAfterMs: rebuildAfter,
      healthWindowMs: services.healthWindowMs,
    });
    this.#durables = new DurableWatch(services);
    this.#presence = new Presence({
      names: services.names,
      bus: services.bus,
      workers: services.workers,
      identity: this.#identity,
      declared: Object.fromEntries(this.#actors.map(({ config }) => [config.name, declaredOf(services.names, config)])),
      figures: () => this.#figures(),
      snapshot: () => this.snapshot(),
      find: (message) =>
        this.#running.flatMap(({ config, intake }) => {
          const inHand = intake.find(message);
          return inHand === undefined ? [] : [{ actor: config.name, inHand }];
        }),
      onProblem: (error) => this.#tell("problem", [{ error }]),
    });
    this.#ceiling = new Slots(concurrency ?? this.#actors.reduce((sum, actor) => sum + actor.config.concurrency, 0));
  }

  /** What is about the whole worker is told by no actor of it: there may be none yet. */
  #tell<E extends keyof WorkerEvents>(event: E, data: WorkerEvents[E]): void {
    tellListeners(this, this.#services.log, this.#contexts, event, data);
  }

  /** The names of its actors. */
  get actors(): string[] {
    return this.#actors.map((actor) => actor.config.name);
  }

  get state(): WorkerState {
    return this.#state;
  }

  /** Its ceiling: handlers that may run at once over all its actors. @internal */
  get concurrency(): number {
    return this.#ceiling.limit;
  }

  /** @internal */
  get identity(): WorkerIdentity {
    return this.#identity;
  }

  get stats(): WorkerStats {
    const actors: WorkerStats["actors"] = {};
    for (const { config, intake, reporter } of this.#running) {
      const { outcomes, overdue, abandoned } = reporter.tally;
      actors[config.name] = { ...outcomes, inHand: intake.inHand, overdue, abandoned };
    }
    const unhealthyReasons = this.#unhealthyReasons();
    return {
      actors,
      lifecycleEntries: this.#lifecycle.entries,
      blocked: this.#blocked,
      healthy: unhealthyReasons.length === 0,
      unhealthyReasons,
    };
  }

  /** All that this worker says of itself: what metrics, `top` and the dashboard show. @internal */
  snapshot(): WorkerSnapshot {
    const { healthy, unhealthyReasons } = this.stats;
    return {
      ...this.#identity,
      // One that starts answers nobody yet.
      state: this.#state === "starting" || this.#state === "running" ? "running" : "draining",
      at: new Date().toISOString(),
      ageMs: monotonicMs() - this.#madeMs,
      concurrency: this.#ceiling.limit,
      running: this.#running.reduce((sum, { intake }) => sum + intake.running, 0),
      memory: memoryUse(),
      loop: this.#loopLag.look(),
      blocked: this.#blocked,
      healthy,
      unhealthyReasons,
      perActor: this.perActor(),
    };
  }

  /** What each of its actors does and has done, by name. @internal */
  perActor(): Record<string, ActorSnapshot> {
    return Object.fromEntries(
      this.#running.map(({ config, intake, reporter }) => [config.name, actorSnapshot(config, reporter.tally, intake)]),
    );
  }

  #figures(): WorkerFigures {
    const snapshot = this.snapshot();
    return { ...figuresOf(snapshot), state: this.#state === "starting" ? "starting" : snapshot.state };
  }

  /** What its watchdog knows of each durable, by actor; nothing of those that have not been looked at yet. @internal */
  watched(): Map<string, Watched[]> {
    return this.#watchdog.watched();
  }

  /** What of its durables somebody has changed, and cannot be put back: one sentence for each. @internal */
  get edited(): string[] {
    return this.#durables.edited.reasons;
  }

  /** How each of its actors stands with its durables, by name. @internal */
  looks(): Map<string, IntakeLook> {
    return new Map(this.#running.map(({ config, intake }) => [config.name, intake.look()]));
  }

  #unhealthyReasons(): string[] {
    return this.#running
      .filter(({ reporter }) => reporter.tally.adrift > 0)
      .map(
        ({ config, reporter }) =>
          `abandoned handlers of ${config.name} still run: ${reporter.tally.adrift}; only the end of the process ends them`,
      );
  }

  /** Makes durables, starts the actors, pulls. What had started is stopped if one fails, or the worker is stopped meanwhile. */
  async start(): Promise<void> {
    const starting = this.#startActors();
    this.#startEnded = starting.catch(() => undefined);
    try {
      await starting;
      const off = this.#services.guards.onBreaker((event) => {
        const its = this.#running.filter(({ config }) => config.breaker?.name === event.name);
        this.#tell("breaker", [{ ...event, actors: its.map(({ config }) => config.name) }]);
      });
      this.#offs.push(off);
      // The server's time, and what the fleet knows of a dependency, are learnt before the first pull.
      await this.#services.clock.settled();
      await Promise.all(this.#running.map(async ({ guards, intake }) => guards?.start(() => intake.replenish())));
      if (this.#stopped !== undefined) throw new ClosedError("worker");
    } catch (error) {
      await this.stop({ grace: 0 });
      throw error;
    }
    this.#arrivals.start();
    this.#loopWatch.start();
    this.#loopLag.start();
    this.#presence.start();
    for (const { intake } of this.#running) intake.start();
    this.#state = "running";
    this.#presence.tell();
    this.#watchdog.start();
    this.#durables.start();
  }

  async #startActors(): Promise<void> {
    const { provision, log } = this.#services;
    // Once others can know of it, they take nothing from a durable that this one needs.
    await this.#presence.announce();
    for (const actor of this.#actors) {
      if (this.#stopped !== undefined) return;
      const { config } = actor;
      const durables = await ensureDurables(this.#services, config, provision);
      const reporter = new Reporter(this, config.name, log, this.#contexts, this.#services.timed);
      const running = config.isolate === undefined ? actor : isolated(actor, reporter, this.#hooks.startTimeoutMs);
      await this.#hooks.start(running);
      this.#started.push(running);
      const assembled = this.#assemble(running, durables, reporter);
      this.#running.push(assembled);
      this.#watchdog.guard(assembled);
      this.#durables.keep({ config, durables, reporter, intake: assembled.intake });
    }
  }

  /**
   * Stops pulling at once, lets what runs finish within the grace, puts the rest back without counting an attempt, and stops the
   * actors, whose stop() has the grace again. A second call returns the first one's promise.
   * @param options.grace default 30 s.
   */
  stop(options: { grace?: Duration } = {}): Promise<void> {
    if (this.#stopped === undefined) {
      const graceMs = options.grace === undefined ? defaultGraceMs : toMs(options.grace, "grace");
      this.#state = "draining";
      this.#presence.tell();
      this.#watchdog.stop();
      this.#stopped = this.#stopOnce(graceMs).finally(() => {
        this.#state = "stopped";
        this.#services.onStopped();
      });
    }
    return this.#stopped;
  }

  async #stopOnce(graceMs: number): Promise<void> {
    if (!(await within(Math.max(graceMs, leastGraceMs), this.#startEnded))) {
      this.#hooks.giveUp();
      await this.#startEnded;
    }
    const grace = AbortSignal.timeout(Math.min(graceMs, maxTimerMs));
    const settleMs = Math.min(mostSettleMs, Math.max(graceMs, leastSettleMs));
    await Promise.all(this.#running.map(({ intake }) => intake.drain(grace, settleMs)));
    for (const { intake } of this.#running) intake.close();
    for (const off of this.#offs) off();
    this.#arrivals.stop();
    this.#loopWatch.stop();
    this.#loopLag.stop();
    await this.#durables.stop();
    await this.#presence.stop();
    await this.#hooks.stop(this.#started.toReversed(), graceMs);
  }

  #assemble(actor: RegisteredActor, durables: ActorDurable[], reporter: Reporter): RunningActor {
    const { names, connection, acknowledger, bus, sender, payloads, runs, results, deadLetters, log } = this.#services;
    const { config, instance } = actor;
    const { guards: registry, tracer, reader } = this.#services;
    const guards = registry.guardsOf(config, (error) => reporter.problem(error));
    const settler = new Settler({
      names,
      config,
      actor: instance,
      runs,
      results,
      deadLetters,
      payloads,
      reader,
      bus,
      onSettled: (run, outcome) => {
        intake.ended(run, outcome);
        reporter.ended(run, outcome);
        tracer?.ended(run, outcome);
      },
      isSlotScarce: () => !intake.hasSlot,
      wasCut: (run) => connection.wasCutSince(run.heldSinceMs),
      onResultLost: (run, error) => reporter.resultLost(run, error),
      onProblem: (error) => reporter.problem(error),
    });
    const executor = new Executor({
      names,
      config,
      actor: instance,
      middleware: this.#middleware,
      lackedBody: (delivery, sinceMs) => this.#durables.edited.lackedBody(delivery, sinceMs),
      decoder: new Decoder(names, config, this.#services.payload),
      payloads,
      runs,
      lifecycle: this.#lifecycle,
      budget: this.#budget,
      suspects: this.#services.suspects,
      guards,
      tracer,
      ownLimits: config.isolate !== undefined,
      settler,
      reporter,
      onHeld: (ms, sure) => this.#loopWatch.held(config.name, ms, sure),
      onFree: () => intake.freed(),
    });
    const intake: Intake = new Intake({
      connection,
      acknowledger,
      durables,
      ackWaitMs: config.ackWaitMs,
      slots: new Slots(config.concurrency),
      ceiling: this.#ceiling,
      arrivals: this.#arrivals,
      executor,
      guards,
      reporter,
      services: {
        actor: config.name,
        sender,
        log,
        onProgress: (run, value) => reporter.progress(run, value),
        nowMs: () => this.#services.clock.nowMs(),
        tools: registry,
        isTask: (stream) => stream === names.tasks || stream === names.schedule,
      },
      contexts: this.#contexts,
      onFree: () => this.#replenish(intake),
    });
    return { ...actor, intake, reporter, guards };
  }

  /** A slot came free: its own actor first; when the whole worker had been full, the others in turn. */
  #replenish(own: Intake): void {
    own.replenish();
    if (this.#ceiling.free !== 1) return;
    this.#turn += 1;
    for (let at = 0; at < this.#running.length; at++) {
      const { intake } = this.#running[(this.#turn + at) % this.#running.length] as RunningActor;
      if (intake !== own) intake.replenish();
    }
  }
}
