/**
 * Asker: tells a task and waits for its answer.
 * Answers come to `<ns>.reply.<asker>.<n>` and nowhere else, so that no header can aim a worker at another subject.
 */
import { randomBytes } from "node:crypto";
import type { ActorClass } from "../actor/actor-class.ts";
import type { TellOptions } from "../actor/context.ts";
import type { Bus, BusMessage } from "../broker/bus.ts";
import type { TaskFailedError } from "../kernel/errors.ts";
import { AskTimeoutError, DuplicateError, toError } from "../kernel/errors.ts";
import { maxTimerMs, monotonicMs } from "../kernel/clock.ts";
import { toMs, type Duration } from "../kernel/duration.ts";
import { decode } from "../message/codec.ts";
import { header } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";
import { readFailure, writeFailure } from "../message/failure.ts";
import { newId } from "../message/names.ts";
import { target, type Producer } from "./producer.ts";

export interface AskOptions extends TellOptions {
  /** How long to wait for the answer. Default 30 s. The task expires then too, unless `expiresIn` says otherwise. */
  timeout?: Duration;
}

/** Finds the stored outcome of a task, waiting up to `waitMs` for it to be final; `undefined` where nothing is stored. */
export type FindOutcome = (actor: string, id: string, waitMs: number) => Promise<StoredOutcome | undefined>;
export type StoredOutcome =
  | { state: "pending" }
  /** `error`: why the value could not be stored. */
  | { state: "completed"; value: unknown; error?: Error }
  | { state: "failed"; error: TaskFailedError };

interface Waiting {
  readonly actor: string;
  readonly id: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class Asker {
  readonly #names: Names;
  readonly #bus: Bus;
  readonly #producer: Producer;
  readonly #findOutcome: FindOutcome;
  readonly #name = randomBytes(9).toString("base64url");
  readonly #waiting = new Map<string, Waiting>();
  #unsubscribe: (() => void) | undefined;
  #count = 0;

  constructor(options: { names: Names; bus: Bus; producer: Producer; findOutcome: FindOutcome }) {
    this.#names = options.names;
    this.#bus = options.bus;
    this.#producer = options.producer;
    this.#findOutcome = options.findOutcome;
  }

  /**
   * What the actor's `receive` returned.
   * @throws AskTimeoutError (the task goes on if it has begun, else stays until it expires), TaskFailedError when it became a dead
   * letter or its answer cannot be sent, DuplicateError when the id was sent before and no result is stored, and what `tell` throws.
   */
  async ask(actor: ActorClass | string, body: unknown, options: AskOptions = {}): Promise<unknown> {
    const { timeout, ...tellOptions } = options;
    const timeoutMs = toMs(timeout ?? "30s", "timeout");
    const { name, config } = target(actor);
    // Chosen here and not by tell(): the answer may be faster than the confirmation, and its errors name the id.
    const id = tellOptions.id === undefined ? newId() : tellOptions.id;
    tellOptions.id = id;
    if (tellOptions.expiresIn === undefined && config?.expiresInMs === undefined) tellOptions.expiresIn = timeoutMs;
    this.#unsubscribe ??= this.#bus.subscribe(this.#names.replySubject(`${this.#name}.*`), (message) =>
      this.#answer(message),
    );
    this.#count += 1;
    const address = `${this.#name}.${this.#count.toString(36)}`;
    const endMs = monotonicMs() + timeoutMs;
    const keepsResults = config?.resultTtlMs !== undefined;
    const answer = this.#expect(address, timeoutMs, name, id, keepsResults);
    const told = this.#producer
      .tell(actor, body, tellOptions, address)
      .then(({ duplicate }) =>
        duplicate ? this.#fromBefore(name, id, keepsResults, endMs - monotonicMs(), answer) : answer,
      );
    // Whichever loses the race may still fail, and nobody looks at it then.
    for (const promise of [answer, told]) promise.catch(() => undefined);
    try {
      return await Promise.race([told, answer]);
    } finally {
      this.#forget(address);
    }
  }

  /** Ends every ask that has no answer. One whose task was not confirmed has just been told so, and that holds. */
  async close(): Promise<void> {
    this.#unsubscribe?.();
    await new Promise((resolve) => setImmediate(resolve));
    for (const { actor, id, timer, reject } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(
        new AskTimeoutError(
          id,
          `The system was closed before ${actor} answered; the task ${id} goes on without it: ask result() or 'godwit explain' for it by its id.`,
        ),
      );
    }
    this.#waiting.clear();
  }

  /** The outcome of the task that had the id first. A task still under way is waited for where its result will be stored. */
  async #fromBefore(
    actor: string,
    id: string,
    keepsResults: boolean,
    restMs: number,
    timeout: Promise<unknown>,
  ): Promise<unknown> {
    let outcome = await this.#findOutcome(actor, id, 0);
    // Its sender notes a task as pending only after it was stored, and one that tells by name does not.
    if (outcome?.state === "pending" || (outcome === undefined && keepsResults)) {
      outcome = await this.#findOutcome(actor, id, Math.max(0, restMs));
    }
    switch (outcome?.state) {
      case "completed":
        if (outcome.error !== undefined) throw readFailure(id, writeFailure("unanswerable", outcome.error));
        return outcome.value;
      case "failed":
        throw outcome.error;
      case "pending":
        return timeout;
      case undefined:
        throw new DuplicateError(
          id,
          `A task with id ${JSON.stringify(id)} was sent to ${actor} before and no result of it is stored; use a new id, or give the actor a result ttl.`,
        );
    }
  }

  #expect(address: string, timeoutMs: number, actor: string, id: string, keepsResults: boolean): Promise<unknown> {
    const where = keepsResults ? "result() or 'godwit explain'" : "'godwit explain'";
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => {
          reject(
            new AskTimeoutError(
              id,
              `${actor} did not answer within ${timeoutMs} ms; the task ${id} goes on if it has begun, else it waits for a worker until it expires: ask ${where} for it by its id.`,
            ),
          );
        },
        Math.min(timeoutMs, maxTimerMs),
      );
      this.#waiting.set(address, { actor, id, timer, resolve, reject });
    });
  }

  #forget(address: string): void {
    clearTimeout(this.#waiting.get(address)?.timer);
    this.#waiting.delete(address);
  }

  #answer(message: BusMessage): void {
    const address = message.subject.slice(this.#names.replySubject("").length);
    const waiting = this.#waiting.get(address);
    const outcome = message.headers.get(header.outcome);
    // Anyone may publish there: what does not say how it ended is no answer.
    if (!waiting || (outcome !== "completed" && outcome !== "failed")) return;
    try {
      const value = decode(message.body, message.headers.get(header.contentType));
      if (outcome === "failed") waiting.reject(readFailure(waiting.id, value));
      else waiting.resolve(value);
    } catch (thrown) {
      waiting.reject(toError(thrown));
    }
  }
}
