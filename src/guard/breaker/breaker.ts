/**
 * Breaker: one circuit breaker of one process, by name, shared by all that name it.
 * 1. Closed: calls run and are counted. Open: none runs. Half-open: whoever gets the lease makes one call, the probe.
 * 2. The lease is a write that moves the time of the next probe forward, so the fleet begins at most one probe per `resetAfter`,
 *    also where one hangs or dies with its process.
 * 3. A probe that succeeds closes the circuit for the fleet; one that fails opens it anew. A call that began before the circuit
 *    opened changes nothing any more.
 */
import { randomUUID } from "node:crypto";
import { Deferred } from "../../actor/signals.ts";
import type { ResolvedBreakerSettings } from "../../actor/guard-config.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import { maxTimerMs, monotonicMs } from "../../kernel/clock.ts";
import { Circuit } from "./circuit.ts";
import { closedRecord, handBackRecord, leaseRecord, openRecord, patienceMs, phaseOf, putBackMs } from "./record.ts";
import type { Phase, Verdict } from "./record.ts";
import { BreakerSync } from "./sync.ts";
import type { Deferral } from "../guard.ts";
import { Probe } from "./probe.ts";
import type { SharedState } from "../shared-state.ts";

/** While no server has told the time, its error is infinite. */
const maxClockErrorMs = 100;

/** A circuit changed, as this process sees it. */
export interface BreakerEvent {
  name: string;
  /** `half-open`: this process probes. */
  state: Phase;
  /** False while the server is away, and this process goes by what it sees itself. */
  shared: boolean;
  /** The failure that opened it, where it was one of this process. */
  error?: Error;
  /** While it is open: wall-clock ms, by the server, at which one call of the fleet may probe. */
  probeAtMs?: number;
}

export interface BreakerServices {
  state: SharedState<unknown>;
  clock: ServerClock;
  onUp: (listener: () => void) => () => void;
  onEvent: (event: BreakerEvent) => void;
}

export class Breaker {
  readonly name: string;
  readonly #services: BreakerServices;
  readonly #sync: BreakerSync;
  readonly #changeListeners = new Set<() => void>();
  readonly #problemListeners = new Set<(error: Error) => void>();
  #settings: ResolvedBreakerSettings;
  /** While it is closed. */
  #circuit: Circuit | undefined;
  /** The newest of this process. */
  #probe: Probe | undefined;
  #probing: Promise<Probe | undefined> | undefined;
  readonly #probingRuns = new Set<object>();
  #timer: NodeJS.Timeout | undefined;
  #told: BreakerEvent;
  /** Why it is being opened. */
  #cause: Error | undefined;
  #closed = false;

  constructor(name: string, settings: ResolvedBreakerSettings, services: BreakerServices) {
    this.name = name;
    this.#settings = settings;
    this.#services = services;
    this.#told = { name, state: "closed", shared: true };
    const { state, clock, onUp } = services;
    this.#sync = new BreakerSync({
      name,
      state,
      clock,
      onUp,
      resetAfterMs: () => this.#settings.resetAfter,
      onRecord: () => this.#follow(),
      onShared: (error) => this.#sayShared(error),
    });
    this.#circuit = this.#newCircuit();
  }

  get settings(): ResolvedBreakerSettings {
    return this.#settings;
  }

  /** Other settings from now on: a config declares what a handler had asked for. */
  configure(settings: ResolvedBreakerSettings): void {
    this.#settings = settings;
    if (this.#circuit === undefined) return;
    this.#circuit.end();
    this.#circuit = this.#newCircuit();
  }

  /** Resolves once it is known what the fleet knows. Never rejects. */
  start(): Promise<void> {
    return this.#sync.start();
  }

  get phase(): Phase {
    const { record } = this.#sync;
    return record.state === "closed" ? "closed" : phaseOf(record, this.#earliestMs);
  }

  /** Calls and counts it, or refuses to unless it is closed. @throws Deferred, and what the call throws. */
  async run<T>(call: () => T | Promise<T>, judge: (error: unknown) => Verdict): Promise<T> {
    if (this.#circuit === undefined) throw this.refusal();
    return this.#circuit.run(call, judge);
  }

  /** The right to make the one call that may be made now, undefined where somebody else has it or the circuit is not half-open. */
  async probe(): Promise<Probe | undefined> {
    if (this.#probing !== undefined) {
      await this.#probing;
      return undefined;
    }
    this.#probing = this.#takeProbe();
    try {
      return await this.#probing;
    } finally {
      this.#probing = undefined;
    }
  }

  async #takeProbe(): Promise<Probe | undefined> {
    const { phase } = this;
    if (phase !== "half-open") return undefined;
    const { resetAfter } = this.#settings;
    let untilMs = 0;
    const lease = await this.#sync.take(() => {
      untilMs = monotonicMs() + patienceMs(resetAfter);
      return leaseRecord(this.#latestMs, resetAfter, randomUUID());
    });
    if (lease === undefined) return undefined;
    this.#probe = new Probe({
      isCurrent: () => this.#sync.record.by === lease.by,
      untilMs,
      onSuccess: () => this.#sync.decide(closedRecord(randomUUID())),
      onFailure: (error) => this.#open(error),
      onGivenBack: () => this.#sync.decide(handBackRecord(this.#latestMs, this.#settings.resetAfter, randomUUID())),
      refusal: (error) => this.refusal(error),
    });
    this.#tell();
    return this.#probe;
  }

  /** Calls what is a run's probe as a whole: what the run asks of this breaker meanwhile is part of it. */
  async asProbe<T>(run: object, call: () => Promise<T>): Promise<T> {
    this.#probingRuns.add(run);
    try {
      return await call();
    } finally {
      this.#probingRuns.delete(run);
    }
  }

  isProbing(run: object): boolean {
    return this.#probingRuns.has(run);
  }

  /** What is thrown into a handler instead of its call, or for a probe that failed. */
  refusal(cause?: Error): Deferred {
    const why = cause === undefined ? "is open" : `stays open, because its probe failed (${cause.message})`;
    return new Deferred("breaker-open", this.#putBackMs, `The circuit of ${this.name} ${why}.`, { cause });
  }

  /** What becomes of a message that cannot run now. */
  deferral(): Deferral {
    return { reason: "breaker-open", delayMs: this.#putBackMs };
  }

  get #putBackMs(): number {
    return putBackMs(this.#sync.record, this.#earliestMs, this.#settings.resetAfter, Math.random);
  }

  /** The server's time, at least: so no host whose clock is a little fast probes too early. */
  get #earliestMs(): number {
    const { clock } = this.#services;
    return clock.nowMs() - Math.min(clock.errorMs, maxClockErrorMs);
  }

  /** The server's time, at most. */
  get #latestMs(): number {
    const { clock } = this.#services;
    return clock.nowMs() + Math.min(clock.errorMs, maxClockErrorMs);
  }

  /** Calls the listener when more may run than before. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener);
    return () => this.#changeListeners.delete(listener);
  }

  /** Calls the listener when the server is away. */
  onProblem(listener: (error: Error) => void): () => void {
    this.#problemListeners.add(listener);
    return () => this.#problemListeners.delete(listener);
  }

  #newCircuit(): Circuit {
    return new Circuit(this.#settings, (error) => this.#open(error));
  }

  #open(error: Error): void {
    this.#cause = error;
    this.#sync.decide(openRecord(this.#latestMs, this.#settings.resetAfter, randomUUID()));
    this.#cause = undefined;
  }

  /** Another record counts now. */
  #follow(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    if (this.#sync.record.state === "open") {
      this.#circuit?.end();
      this.#circuit = undefined;
      this.#awaitProbe();
    } else {
      this.#circuit ??= this.#newCircuit();
    }
    this.#tell();
    this.#wake();
  }

  #awaitProbe(): void {
    const waitMs = this.#sync.record.probeAtMs - this.#earliestMs;
    if (waitMs <= 0) return;
    const onTime = (): void => {
      if (this.phase === "open") this.#awaitProbe();
      else this.#wake();
    };
    this.#timer = setTimeout(onTime, Math.min(Math.ceil(waitMs), maxTimerMs)).unref();
  }

  /** In a turn of its own: it is called from within a call's end, which must not fail by it. */
  #wake(): void {
    queueMicrotask(() => {
      for (const listener of this.#changeListeners) listener();
    });
  }

  #tell(): void {
    const { record, shared } = this.#sync;
    const state = record.state === "closed" ? "closed" : this.#probe?.current === true ? "half-open" : "open";
    if (state === this.#told.state && shared === this.#told.shared) return;
    const { name } = this;
    this.#told = {
      name,
      state,
      shared,
      ...(this.#cause !== undefined && { error: this.#cause }),
      ...(state === "open" && { probeAtMs: record.probeAtMs }),
    };
    this.#services.onEvent(this.#told);
  }

  #sayShared(error: Error | undefined): void {
    this.#tell();
    if (error === undefined) return;
    const problem = new Error(
      `The circuit of ${this.name} cannot be shared (${error.message}); this process goes by its own calls until it can.`,
      { cause: error },
    );
    for (const listener of this.#problemListeners) listener(problem);
  }

  /** Ends timers and interest. What runs ends as it would have. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#circuit?.end();
    this.#sync.close();
  }
}
