/**
 * Settle: carries out an outcome: its effects in order, the settlement last.
 * 1. Every effect can be repeated, because a crash before the settlement repeats it.
 * 2. Nothing is done for a delivery whose deadline has passed.
 * 3. An effect that fails leaves the message where it is; only a result that cannot be stored does not, since its handler returned.
 */
import type { AnyActor } from "../actor/actor-class.ts";
import type { ResolvedConfig } from "../actor/config.ts";
import type { Settlement } from "../broker/delivery.ts";
import type { Payloads } from "../broker/payloads.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import type { Bus } from "../broker/bus.ts";
import { monotonicMs, pause, wallMs, within } from "../kernel/clock.ts";
import { messageOf, stackOf, toError } from "../kernel/errors.ts";
import type { DeadLetters } from "../lifecycle/dead-letter.ts";
import {
  endedKeepMs,
  failuresOf,
  type Fate,
  type Noted,
  type RunError,
  type RunNote,
  type RunsStore,
} from "../lifecycle/runs.ts";
import { contentTypes, encode } from "../message/codec.ts";
import { cut, writeFailure, type Failure, type FailureReason } from "../message/failure.ts";
import { header, parseReplyAddress } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";
import type { Results } from "../result/results.ts";
import type { LostReason } from "./events.ts";
import type { Outcome } from "./outcome.ts";
import { bodyOwnerOf, type Run } from "./run.ts";

/** How long a message waits when the dead-letter stream cannot take it. */
const deadUnavailableMs = 30_000;
const retryEffectMs = 250;
/** How long an onDead may keep a slot that others may wait for, and how often that is looked at after it. */
const scarceOnDeadMs = 5_000;
const lookAgainMs = 500;
/** How long a worker tries to say that it lives; it may be without a connection all that time. */
const noteLostMs = 5 * 60_000;
const maxErrorText = 300;
const ack: Settlement = { kind: "ack" };

export interface SettlerOptions {
  names: Names;
  config: ResolvedConfig;
  actor: AnyActor;
  runs: RunsStore;
  results: Results;
  deadLetters: DeadLetters;
  payloads: Pick<Payloads, "forget">;
  reader: Pick<StreamReader, "holds" | "consumer">;
  bus: Bus;
  /** The server confirmed the settlement, or did not before the deadline; with what was done in the end. */
  onSettled: (run: Run, outcome: Outcome) => void;
  /** Others may wait for the slot of a run. */
  isSlotScarce: () => boolean;
  /** The connection was down since it came. */
  wasCut: (run: Run) => boolean;
  onResultLost: (run: Run, error: Error) => void;
  onProblem: (error: Error) => void;
}

export class Settler {
  readonly #options: SettlerOptions;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Undefined where the effects need no waiting for: the message's way on the fast path has no turn of the loop here. */
  settle(run: Run, outcome: Outcome, input: unknown): void | Promise<void> {
    if (outcome.kind === "completed") {
      const reply = parseReplyAddress(run.headers.get(header.reply));
      if (this.#options.config.resultTtlMs === undefined && reply === undefined) return this.#end(run, outcome, ack);
      if (!run.delivery.lost) return this.#complete(run, outcome, reply);
    }
    if (run.delivery.lost && outcome.kind !== "lost") return this.#late(run, outcome);
    return this.#unhappy(run, outcome, input);
  }

  async #complete(run: Run, outcome: Outcome & { kind: "completed" }, reply: string | undefined): Promise<void> {
    const { config, results } = this.#options;
    const ttlMs = config.resultTtlMs;
    if (ttlMs !== undefined) {
      try {
        await this.#insist(run, (timeoutMs) => results.completed(config.name, run.id, outcome.value, ttlMs, timeoutMs));
      } catch (thrown) {
        if (!run.delivery.lost) this.#options.onResultLost(run, toError(thrown));
      }
    }
    if (reply !== undefined && !run.delivery.lost) this.#answer(run, reply, outcome.value);
    return this.#end(run, outcome, ack);
  }

  /**
   * It ended when the message was no longer ours. What it completed counts where no later delivery has started: then everything of it may
   * leave. A failure counts as an attempt; one of a handler that was aborted for it is a stall.
   */
  async #late(run: Run, outcome: Outcome): Promise<void> {
    const { runs, config, onProblem } = this.#options;
    const { ackWaitMs, deadlineMs, disowned } = run.delivery;
    const cut = this.#options.wasCut(run);
    const late = run.blocked && outcome.kind !== "completed" ? undefined : lateNote(run, outcome);
    // What was put off counts no attempt.
    if (late === undefined && run.ran && !cut) run.blocked = true;
    if (late === undefined || run.wasLate || disowned) return this.#lose(run);
    const note = { ...late, cut };
    run.wasLate = true;
    let noted: Noted;
    try {
      // By now the record of another one that completed it may be gone.
      const isOld = monotonicMs() - deadlineMs > endedKeepMs(ackWaitMs);
      if (isOld && !(await this.#isOwed(run))) return this.#lose(run);
      ({ said: noted } = await runs.note(run.remembered, note, cut ? 30_000 : Math.min(30_000, ackWaitMs)));
    } catch (thrown) {
      onProblem(toError(thrown));
      return this.#lose(run);
    }
    // A worker that was cut off lives: its run, overtaken meanwhile, was no stall.
    run.noted &&= note.cut && noted === "overtaken";
    run.blocked = false;
    run.recorded = true;
    if (outcome.kind !== "completed" || noted !== "noted" || run.delivery.disowned) return this.#lose(run);
    run.delivery.deadlineMs = monotonicMs() + ackWaitMs;
    const reply = parseReplyAddress(run.headers.get(header.reply));
    if (config.resultTtlMs === undefined && reply === undefined) return this.#end(run, outcome, ack);
    return this.#complete(run, outcome, reply);
  }

  /** False once its durable has ended the message; where that cannot be told for sure, it has not. */
  async #isOwed({ delivery }: Run): Promise<boolean> {
    const { names, reader } = this.#options;
    const { stream, consumer, sequence } = delivery;
    if (stream === names.tasks || stream === names.schedule) return reader.holds(delivery);
    const durable = await reader.consumer(stream, consumer);
    return durable !== undefined && durable.inFlight > 0 && durable.ackFloor < sequence;
  }

  async #unhappy(run: Run, outcome: Outcome, input: unknown): Promise<void> {
    switch (outcome.kind) {
      case "completed":
        return this.#end(run, outcome, ack);
      case "retry": {
        const { error, delayMs } = outcome;
        const note: RunNote = { state: "failed", delayMs, error: runError(run, error) };
        const said = await this.#note(run, note);
        if (said === "over") return this.#end(run, { kind: "lost", reason: "completed" }, ack);
        if (said === undefined) return run.delivery.lost ? this.#late(run, outcome) : this.#lose(run);
        return this.#end(run, outcome, { kind: "nak", delayMs });
      }
      case "deferred":
      case "interrupted": {
        // A `started` that stays would be taken for a stall.
        const delayMs = outcome.kind === "deferred" ? outcome.delayMs : 0;
        const note: RunNote = { state: "interrupted", putBackMs: delayMs };
        if (run.noted && (await this.#note(run, note)) !== "noted") return this.#lose(run);
        return this.#end(run, outcome, { kind: "nak", delayMs });
      }
      case "dead":
        return this.#bury(run, outcome, input);
      case "lost":
        // Its late run has done all that there was to do, or does so now.
        if (outcome.reason === "completed") return this.#end(run, outcome, ack);
        return this.#lose(run, outcome.reason);
    }
  }

  async #bury(run: Run, outcome: Outcome & { kind: "dead" }, input: unknown): Promise<void> {
    const { config, deadLetters, results, runs, onProblem } = this.#options;
    const { delivery, history } = run;
    const { reason, error } = outcome;
    const unnoted: RunError[] = [];
    if (run.ran) {
      const last = runError(run, error);
      const said = await this.#note(run, { state: "failed", error: last, fate: fateOf(outcome) });
      if (said === "over") return this.#end(run, { kind: "lost", reason: "completed" }, ack);
      if (said === undefined && delivery.lost) return this.#late(run, outcome);
      // Without the record it is buried all the same; only a crash before the term would then run the handler again.
      if (said === undefined) unnoted.push(last);
    } else {
      run.seen ??= await runs.look(run.remembered, delivery.ackWaitMs).catch((thrown: unknown) => {
        onProblem(toError(thrown));
        return undefined;
      });
    }
    const record = run.seen?.record;
    try {
      await this.#insist(run, (timeoutMs) =>
        deadLetters.bury(
          {
            actor: config.name,
            id: run.id,
            stream: delivery.stream,
            sequence: delivery.sequence,
            subject: delivery.subject,
            storedAtMs: delivery.storedAtMs,
            deliveries: delivery.count,
            headers: delivery.headers,
            body: run.body,
            attempts: (record === undefined ? 0 : failuresOf(record)) + unnoted.length,
            stalls: history.stalls,
            history: [...(record?.errors ?? []), ...unnoted],
            reason,
            error,
            ...(run.ran && { stack: stackOf(error) }),
          },
          timeoutMs,
        ),
      );
    } catch (thrown) {
      const cause = toError(thrown);
      onProblem(
        new Error(
          `The dead letter of ${run.id} could not be stored (${cause.message}); the message waits and is tried again.`,
          { cause },
        ),
      );
      const deferred = { kind: "deferred", reason: "dead-letters-unavailable", delayMs: deadUnavailableMs } as const;
      return this.#unhappy(run, deferred, undefined);
    }
    const failure = writeFailure(reason, error);
    const ttlMs = config.resultTtlMs;
    if (ttlMs !== undefined) {
      try {
        await this.#insist(run, (timeoutMs) => results.failed(config.name, run.id, failure, ttlMs, timeoutMs));
      } catch (thrown) {
        if (!run.delivery.lost) this.#options.onResultLost(run, toError(thrown));
      }
    }
    const reply = parseReplyAddress(run.headers.get(header.reply));
    if (reply !== undefined && !run.delivery.lost) this.#answerFailed(run, reply, failure);
    if (input !== undefined && !run.delivery.lost) {
      await this.#compensate(run, input, error);
      // All is done that its next delivery would do again.
      if (delivery.lost && !delivery.disowned) delivery.deadlineMs = monotonicMs() + delivery.ackWaitMs;
    }
    return this.#end(run, outcome, { kind: "term", reason });
  }

  /** Goes on without an onDead that does not end. */
  async #compensate(run: Run, input: unknown, error: Error): Promise<void> {
    const { actor, config, isSlotScarce } = this.#options;
    const limitMs = config.hardLimitMs ?? config.ackWaitMs;
    try {
      run.beginOnDead();
      const compensating = Promise.resolve().then(() => actor.onDead(input as never, error, run as never));
      const beganMs = monotonicMs();
      let waitMs = Math.min(limitMs, scarceOnDeadMs);
      while (!(await within(waitMs, compensating))) {
        const tookMs = monotonicMs() - beganMs;
        if (tookMs < limitMs && !isSlotScarce()) waitMs = Math.min(limitMs - tookMs, lookAgainMs);
        else {
          run.abort(new Error("onDead has not ended in time"));
          run.log.error({ ms: Math.round(tookMs) }, "onDead has not ended in time, and is no longer waited for");
          return;
        }
      }
    } catch (thrown) {
      run.log.error({ err: toError(thrown) }, "onDead failed");
    }
  }

  #end(run: Run, outcome: Outcome, settlement: Settlement): void | Promise<void> {
    if (run.delivery.lost) return outcome.kind === "completed" ? this.#late(run, outcome) : this.#lose(run);
    run.phase = "done";
    run.delivery.settle(settlement, (confirmed) => {
      if (!confirmed && run.noted) this.#noteLost(run);
      if (confirmed && run.bodyObject !== undefined) this.#forgetBody(run, run.bodyObject, outcome);
      if (confirmed && run.recorded && settlement.kind !== "nak") this.#forgetRuns(run);
      this.#options.onSettled(run, confirmed ? outcome : { kind: "lost", reason: "unconfirmed" });
    });
  }

  /** A task has one reader, and a dead letter keeps a copy. An event may have other readers, also one that came again as a task: its body expires. */
  #forgetBody(run: Run, object: string, { kind }: Outcome): void {
    const { names, config, payloads } = this.#options;
    const { delivery, headers } = run;
    const isTask = delivery.stream === names.tasks || delivery.stream === names.schedule;
    if (headers.get(header.event) !== undefined) return;
    if (isTask && (kind === "completed" || kind === "dead")) payloads.forget(object, bodyOwnerOf(names, config, run));
  }

  /** Best effort: what stays expires. */
  #forgetRuns({ remembered, delivery }: Run): void {
    this.#options.runs.end(remembered, delivery.ackWaitMs).catch(() => undefined);
  }

  #lose(run: Run, reason: LostReason = "deadline"): void {
    if (run.checking && !this.#options.wasCut(run)) run.blocked = true;
    if (run.noted || run.blocked) this.#noteLost(run);
    run.phase = "done";
    this.#options.onSettled(run, { kind: "lost", reason });
  }

  /** Undefined where the record could not be written while the message was ours. */
  async #note(run: Run, note: RunNote): Promise<Noted | undefined> {
    const { runs } = this.#options;
    try {
      const noted = await this.#insist(run, (timeoutMs) => runs.note(run.remembered, note, timeoutMs, run.seen));
      run.noted = false;
      run.recorded = true;
      run.seen = noted.seen;
      return noted.said;
    } catch (thrown) {
      this.#options.onProblem(toError(thrown));
      return undefined;
    }
  }

  /**
   * The worker lives, so this was no stall, unless its event loop stood still. Best effort: the entry is this run's own, so it is safe
   * although others run it now. Where a disowned message lay another one may have its record.
   */
  #noteLost(run: Run): void {
    const { runs } = this.#options;
    const note: RunNote = run.blocked ? { state: "started", late: true } : { state: "interrupted" };
    run.noted = run.blocked = false;
    if (run.delivery.disowned) return;
    runs.note(run.remembered, note, noteLostMs).catch((thrown: unknown) => this.#options.onProblem(toError(thrown)));
  }

  /**
   * Repeats an effect for as long as one ack-wait, at most 30 s. The message stays ours meanwhile, since its progress is marked; after
   * that its slot is worth more than another try. A try ends with the deadline as it stands: sent when the connection is back, it
   * could undo what another worker did in the meantime.
   */
  async #insist<T>(run: Run, effect: (timeoutMs: number) => Promise<T>): Promise<T> {
    const endMs = monotonicMs() + Math.min(30_000, run.delivery.ackWaitMs);
    for (;;) {
      try {
        return await effect(Math.max(1, Math.min(endMs, run.delivery.deadlineMs) - monotonicMs()));
      } catch (error) {
        if (monotonicMs() + retryEffectMs >= endMs || run.delivery.lost || isFinal(error)) throw error;
        await pause(retryEffectMs);
      }
    }
  }

  #answer(run: Run, reply: string, value: unknown): void {
    const { names, bus } = this.#options;
    const subject = names.replySubject(reply);
    try {
      const fields = { [header.contentType]: contentTypes.msgpack, [header.outcome]: "completed" };
      bus.publish(subject, encode(value, "msgpack"), fields, run.delivery.deadlineMs);
    } catch (thrown) {
      // The handler returned what cannot travel; the asker should hear that rather than wait.
      this.#answerFailed(run, reply, writeFailure("unanswerable", toError(thrown)));
    }
  }

  #answerFailed(run: Run, reply: string, failure: Failure<FailureReason>): void {
    const { names, bus } = this.#options;
    const fields = { [header.contentType]: contentTypes.msgpack, [header.outcome]: "failed" };
    bus.publish(names.replySubject(reply), encode(failure, "msgpack"), fields, run.delivery.deadlineMs);
  }
}

/** What a run that ended late has to say; undefined for what no handler gave. */
function lateNote(run: Run, outcome: Outcome): RunNote | undefined {
  if (outcome.kind === "completed") return { state: "completed", late: true };
  if (!run.ran || (outcome.kind !== "retry" && outcome.kind !== "dead")) return undefined;
  const note: RunNote = { state: "failed", late: true, error: runError(run, outcome.error) };
  return outcome.kind === "dead" ? { ...note, fate: fateOf(outcome) } : note;
}

function fateOf({ reason, error }: Outcome & { kind: "dead" }): Fate {
  return { reason, name: cut(error.name, 100), message: cut(error.message, maxErrorText) };
}

/** With the causes, which often say more than the error. */
function runError(run: Run, error: Error): RunError {
  const message = cut(messageOf(error), maxErrorText);
  return { at: wallMs(), attempt: run.attempt, name: cut(error.name, 100), message };
}

/** Of errors that trying again does not mend; the last one, of a bucket that is gone. */
const finalCodes = new Set<unknown>([
  "UNENCODABLE",
  "INVALID_NAME",
  "CLOSED",
  "PAYLOAD_TOO_LARGE",
  "TOPOLOGY_MISMATCH",
]);

function isFinal(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return finalCodes.has(code);
}
