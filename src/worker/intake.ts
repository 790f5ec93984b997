/**
 * Intake: one actor's flow of messages in one worker: pulls for free slots, holds what has none yet, keeps marks fresh, hands to the
 * executor.
 * 1. It asks for no more than there are free slots, over all its durables. A durable with nothing open may ask for one message
 *    more, since otherwise a busy durable would starve its siblings; a message that then finds no slot is held.
 * 2. Settlements that wait for the server's word count too, where they are many: those that a busy server is behind with would pile
 *    up here.
 * 3. What is held longer than `patienceMs` is put back: another worker may have room.
 * 4. Every message in hand is in `runs` until the server has confirmed its settlement or it is lost, and is marked every third of
 *    the ack-wait for as long as it is not settled.
 * 5. A server that was killed may have forgotten what it had delivered, and deliver it again: what is still in hand is not started
 *    beside itself. Its own settlement ends it. What was put back may come again once its delay is over.
 * 6. What it has in hand of a durable or a stream that is gone, or that was put back from an earlier copy, is disowned.
 * 7. A message that may have been on its way for long is dropped unread: it may have been another worker's for long.
 */
import type { Connection } from "../broker/connection.ts";
import { Delivery, DeliverySource, type AnyDelivery } from "../broker/delivery.ts";
import type { Acknowledger } from "../broker/acknowledger.ts";
import { Puller } from "../broker/puller.ts";
import { mayHaveStored } from "../broker/stream-reader.ts";
import { monotonicMs } from "../kernel/clock.ts";
import type { OwnContexts } from "../kernel/own-contexts.ts";
import type { MessagePlace } from "../message/place.ts";
import type { Guards } from "../guard/guards.ts";
import type { ActorDurable } from "./durables.ts";
import type { LostReason } from "./events.ts";
import type { Executor } from "./executor.ts";
import type { ArrivalClock } from "./arrival-clock.ts";
import type { Outcome } from "./outcome.ts";
import type { InHand } from "./answers.ts";
import { PutBacks } from "./put-backs.ts";
import type { Reporter } from "./reporter.ts";
import { Run, type RunServices } from "./run.ts";
import type { Slots } from "./slots.ts";

const patienceMs = 1_000;
const maxUnconfirmed = 1_000;

export interface IntakeOptions {
  connection: Connection;
  acknowledger: Acknowledger;
  durables: readonly ActorDurable[];
  ackWaitMs: number;
  /** This actor's slots, and those of the whole worker. */
  slots: Slots;
  ceiling: Slots;
  arrivals: ArrivalClock;
  executor: Executor;
  /** Undefined where the actor has none. */
  guards: Guards | undefined;
  reporter: Reporter;
  services: RunServices;
  contexts: OwnContexts;
  /** A slot of the whole worker came free; others may be waiting for it. */
  onFree: () => void;
}

/** `arrived`: messages that have come through it, ever. */
export type DurableLook = ActorDurable & { arrived: number };

/** How an actor stands with its durables, for those who watch whether it really consumes. */
export interface IntakeLook {
  /** Why it asks for nothing more: its handlers are taken, or a guard holds it back. */
  restraint: "busy" | "guard" | undefined;
  /** When its guards last let through less than it wanted, monotonic ms. A rate limit may do so many times in a second, also one that is wide. */
  guardedAtMs: number;
  durables: DurableLook[];
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #pullers: Puller[] = [];
  /** In their order. */
  readonly #durables: ActorDurable[] = [];
  readonly #runs = new Set<Run>();
  /** Of these, the ones that were in hand when the connection last came back, and that go on after the event loop stood still. */
  readonly #elders = new Map<string, Run>();
  readonly #putBacks = new PutBacks();
  #held: Run[] = [];
  /** It would ask for more, were fewer settlements unconfirmed. */
  #behind = false;
  /** Its guards let nothing through, when it last wanted something. */
  #guarded = false;
  #guardedAtMs = -Infinity;
  #turn = 0;
  #ticker: NodeJS.Timeout | undefined;
  #offUp: (() => void) | undefined;
  #stopping = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  start(): void {
    const { connection, durables, ackWaitMs } = this.#options;
    for (const durable of durables) this.add(durable);
    this.#offUp = connection.onUp(() => {
      for (const run of this.#runs) this.#elders.set(identity(run.delivery), run);
      // Marks that fell into a time without a connection were not sent.
      this.#markAll(0);
      for (const durable of this.#durables) void this.#recognise(durable);
    });
    this.#ticker = setInterval(() => this.#tick(), Math.min(1_000, ackWaitMs / 6)).unref();
    this.replenish();
  }

  /** Pulls from one more of its actor's durables. */
  add(own: ActorDurable): void {
    if (this.#stopping) return;
    const { connection, ackWaitMs, reporter, arrivals, acknowledger } = this.#options;
    const { stream, spec } = own;
    const durable = spec.durable_name;
    const source = new DeliverySource(stream, durable, ackWaitMs);
    this.#durables.push(own);
    this.#pullers.push(
      new Puller({
        connection,
        stream,
        durable,
        onMessage: (message) => {
          const delivery = new Delivery(message, source, arrivals.sentSinceMs, acknowledger);
          this.#accept(delivery);
          return delivery.pending;
        },
        onReady: () => this.replenish(),
        onGone: () => this.#disown(({ delivery }) => delivery.consumer === durable && delivery.stream === stream),
        onRefused: (error) => reporter.problem(error),
      }),
    );
  }

  /** How many messages are in hand. */
  get inHand(): number {
    return this.#runs.size;
  }

  /** How many handlers run. */
  get running(): number {
    let running = 0;
    // A slot is taken too by what waits for a guard.
    for (const { phase } of this.#runs) if (phase === "running") running += 1;
    return running;
  }

  look(): IntakeLook {
    const busy = !this.hasSlot || this.#held.length > 0 || this.#behind;
    return {
      restraint: busy ? "busy" : this.#guarded ? "guard" : undefined,
      guardedAtMs: this.#guardedAtMs,
      durables: this.#pullers.map(({ arrived }, at) => ({ ...(this.#durables[at] as ActorDurable), arrived })),
    };
  }

  /** Begins the puller of one of its durables anew, by the place of that in `look()`. */
  rebuild(at: number): void {
    this.#pullers[at]?.rebuild();
  }

  /** What it knows of a message; undefined where that is nothing. */
  find(message: MessagePlace): InHand | undefined {
    for (const { delivery, phase, beganMs, heldSinceMs, attempt, waitsFor } of this.#runs) {
      if (delivery.sequence !== message.sequence || delivery.stream !== message.stream || phase === "done") continue;
      if (delivery.storedAtMs !== message.storedAtMs) continue;
      const nowMs = monotonicMs();
      if (phase === "held") return { phase, sinceMs: nowMs - heldSinceMs, ...(waitsFor && { by: waitsFor }) };
      return { phase, sinceMs: nowMs - (beganMs || heldSinceMs), attempt };
    }
    return this.#putBacks.find(message);
  }

  /** Whether a handler was in progress at some time since then, monotonic ms. */
  inProgress(sinceMs: number): boolean {
    for (const run of this.#runs) {
      if (run.phase === "running" || run.checking || (run.ran && run.beganMs + run.handledMs > sinceMs)) return true;
    }
    return false;
  }

  /** Starts what is held and asks for what there is room for. */
  replenish(): void {
    this.#startHeld();
    if (this.#stopping) return;
    const { slots, ceiling, guards } = this.#options;
    const freeSlots = Math.min(slots.free, ceiling.free);
    const room = Math.min(freeSlots, maxUnconfirmed - this.#unconfirmed);
    this.#behind = room < freeSlots;
    let free = room - this.#held.length;
    if (free < 1) return;
    for (const puller of this.#pullers) free -= puller.outstanding;
    if (guards !== undefined) {
      const allowed = this.#allowed(guards, free);
      if (allowed < 1) return;
      free = Math.min(free, allowed);
    }
    this.#turn += 1;
    for (let at = 0; at < this.#pullers.length; at++) {
      const puller = this.#pullers[(this.#turn + at) % this.#pullers.length] as Puller;
      if (!puller.ready) continue;
      const wanted = puller.hot ? Math.max(1, puller.known) : 1;
      let batch = 0;
      if (puller.outstanding === 0) batch = Math.max(1, Math.min(free, wanted));
      else if (free >= slots.limit / 2) batch = Math.min(free, wanted - puller.outstanding);
      if (batch < 1) continue;
      free -= batch;
      puller.pull(batch);
    }
  }

  /** How many more messages the guards let it ask for. The one that any durable may have open brings nothing while that is empty. */
  #allowed(guards: Guards, free: number): number {
    let known = this.#held.length;
    let coming = known;
    for (const puller of this.#pullers) {
      if (puller.hot) known += puller.known;
      coming += puller.hot ? puller.outstanding : Math.max(0, puller.outstanding - 1);
    }
    const wanted = Math.min(Math.max(0, free), known);
    const room = guards.room(wanted);
    this.#guarded = room < 1;
    if (room < wanted) this.#guardedAtMs = monotonicMs();
    return room - coming;
  }

  /**
   * Stops pulling and puts back what has not started. Resolves once nothing is in hand. When the signal aborts, what still runs is
   * aborted and put back too, and `settleMs` later nothing is waited for any more.
   */
  async drain(grace: AbortSignal, settleMs: number): Promise<void> {
    this.#stopping = true;
    this.#options.guards?.drain();
    await Promise.all(this.#pullers.map((puller) => puller.drain()));
    const held = this.#held.splice(0);
    await Promise.all(held.map((run) => this.#giveUp(run, { kind: "interrupted" })));
    await this.#idle(grace);
    for (const run of [...this.#runs].filter((one) => one.open)) {
      // Its attempt has failed already; only its handler's end is waited for.
      if (run.overdue !== undefined) {
        run.overdue.letGo();
        continue;
      }
      run.abort(new Error("the worker stops"));
      void this.#giveUp(run, { kind: "interrupted" });
    }
    // What is being settled is bounded by itself, but for an onDead; what it leaves undone its next delivery repeats.
    await this.#idle(AbortSignal.timeout(Math.min(settleMs, this.#options.ackWaitMs)));
  }

  /** Ends timers and interest. */
  close(): void {
    clearInterval(this.#ticker);
    this.#offUp?.();
    this.#options.guards?.close();
    for (const puller of this.#pullers) puller.close();
  }

  #accept(delivery: Delivery): void {
    const { arrivals, services } = this.#options;
    const nowMs = monotonicMs();
    const run = new Run(delivery, services, nowMs);
    if (arrivals.gapMs(nowMs) > delivery.ackWaitMs / 3) return this.#drop(run, "loop-gap");
    if (this.#elders.size > 0 && this.#isInHand(delivery)) return this.#drop(run, "in-hand");
    this.#runs.add(run);
    if (this.#stopping) void this.#giveUp(run, { kind: "interrupted" });
    else if (this.hasSlot && this.#held.length === 0) this.#execute(run);
    else this.#held.push(run);
  }

  /** Nothing is said of it to the server. */
  #drop(run: Run, reason: LostReason): void {
    run.phase = "done";
    this.#options.reporter.ended(run, { kind: "lost", reason });
  }

  /** After a time without a connection: its stream may have been made anew, or put back from a copy. What cannot be asked is believed. */
  async #recognise({ stream }: ActorDurable): Promise<void> {
    const own = [...this.#runs].filter(({ delivery }) => delivery.stream === stream);
    if (own.length === 0) return;
    const info = await this.#options.connection.jsm.streams.info(stream).catch(() => undefined);
    if (info !== undefined) this.#disown((run) => own.includes(run) && !mayHaveStored(info, run.delivery));
  }

  /** Whatever is sent for these could end other messages, which have their places by now. */
  #disown(isGone: (run: Run) => boolean): void {
    for (const run of [...this.#runs].filter(isGone)) {
      run.delivery.disown();
      run.abort(new Error("the stream of the message, or its durable, was deleted"));
      void this.#giveUp(run, { kind: "lost", reason: "deadline" });
    }
  }

  #isInHand(delivery: Delivery): boolean {
    const run = this.#elders.get(identity(delivery));
    if (run === undefined) return false;
    const elder = run.delivery;
    // The stream was made anew, and has another message in that place: the elder's settlement would end it unrun.
    if (elder.storedAtMs !== delivery.storedAtMs) elder.disown();
    return (run.blocked && run.open && !elder.disowned) || (!elder.lost && monotonicMs() < elder.returnsAtMs);
  }

  /** How many settlements wait for the server's word. */
  get #unconfirmed(): number {
    return this.#runs.size - this.#held.length - this.#options.slots.taken;
  }

  /** A handler is free, its own and of the whole worker's. */
  get hasSlot(): boolean {
    return this.#options.slots.free > 0 && this.#options.ceiling.free > 0;
  }

  #startHeld(): void {
    while (this.#held.length > 0 && this.hasSlot && !this.#stopping) {
      const run = this.#held.shift() as Run;
      if (run.delivery.lost) void this.#giveUp(run, { kind: "lost", reason: "deadline" });
      else this.#execute(run);
    }
  }

  #execute(run: Run): void {
    const { slots, ceiling, executor, contexts } = this.#options;
    slots.take();
    ceiling.take();
    // A context of its own: the handler's part before its first await would else share one with every later message.
    // oxlint-disable-next-line typescript/unbound-method -- its second argument is what it is called on
    void contexts.next().runInAsyncScope(executor.execute, executor, run);
  }

  /** A slot came free: the next run may begin. */
  freed(): void {
    this.#options.slots.release();
    this.#options.ceiling.release();
    this.#options.onFree();
  }

  async #giveUp(run: Run, outcome: Outcome): Promise<void> {
    if (run.open) await this.#options.executor.giveUp(run, outcome);
  }

  /** A run's settlement is confirmed, or it is lost: it is no longer in hand. */
  ended(run: Run, outcome: Outcome): void {
    this.#runs.delete(run);
    if (outcome.kind === "deferred") this.#putBacks.add(run.delivery, outcome.reason, outcome.delayMs);
    if (this.#elders.size > 0) {
      const place = identity(run.delivery);
      if (this.#elders.get(place) === run) this.#elders.delete(place);
    }
    if (this.#behind) {
      this.#behind = false;
      // Not for each of a group that the server confirmed at once.
      queueMicrotask(() => this.replenish());
    }
    if (this.#runs.size > 0) return;
    for (const wake of this.#idleWaiters) wake();
    this.#idleWaiters = [];
  }

  /** Keeps what is in hand ours, drops what is not, and puts back what waits too long. */
  #tick(): void {
    const { ackWaitMs } = this.#options;
    this.#markAll(ackWaitMs / 3 - ackWaitMs / 12);
    const nowMs = monotonicMs();
    for (const run of this.#runs) {
      if (!run.open || !run.delivery.lost) continue;
      const blocked = run.phase === "running" && !this.#options.connection.wasCutSince(run.heldSinceMs);
      run.abort(
        new Error("the message is no longer this worker's: its ack-wait passed without a confirmed progress mark"),
      );
      // What it gives may still count.
      if (blocked) {
        run.blocked = true;
        this.#elders.set(identity(run.delivery), run);
      } else void this.#giveUp(run, { kind: "lost", reason: "deadline" });
    }
    const tired = this.#held.filter((run) => nowMs - run.heldSinceMs > patienceMs);
    if (tired.length > 0) {
      this.#held = this.#held.filter((run) => !tired.includes(run));
      for (const run of tired) void this.#giveUp(run, { kind: "deferred", reason: "busy", delayMs: 0 });
    }
    this.replenish();
  }

  #markAll(olderThanMs: number): void {
    const nowMs = monotonicMs();
    for (const run of this.#runs) {
      if (run.phase !== "done" && nowMs - run.delivery.markedMs >= olderThanMs) run.delivery.mark();
    }
  }

  async #idle(until?: AbortSignal): Promise<void> {
    if (this.#runs.size === 0 || until?.aborted) return;
    await new Promise<void>((resolve) => {
      this.#idleWaiters.push(resolve);
      until?.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}

function identity({ stream, sequence }: AnyDelivery): string {
  return `${stream}:${sequence}`;
}
