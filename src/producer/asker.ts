/**
 * Asker: tells a task and waits for its answer.
 * Answers come to `<ns>.reply.<asker>.<n>` and nowhere else, so that no header can aim a worker at another subject.
 */
import { randomBytes } from "node:crypto";
import type { ActorClass } from "../actor/actor-class.ts";
import type { TellOptions } from "../actor/context.ts";
import type { Bus, BusMessage } from "../broker/bus.ts";
import type { TaskFailedError } from "../kernel/errors.ts";
import { AskTimeoutError, ClosedError, DuplicateError } from "../kernel/errors.ts";
import { toMs, type Duration } from "../kernel/duration.ts";
import { decode } from "../message/codec.ts";
import { header } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";
import { readFailure } from "../message/failure.ts";
import { target, type Producer } from "./producer.ts";

export interface AskOptions extends TellOptions {
  /** How long to wait for the answer. Default 30 s. The task expires then too, unless `expiresIn` says otherwise. */
  timeout?: Duration;
}

/** Finds the stored outcome of a task, waiting up to `waitMs`; `undefined` where none is stored. */
export type FindOutcome = (actor: string, id: string, waitMs: number) => Promise<StoredOutcome | undefined>;
export type StoredOutcome = { state: "completed"; value: unknown } | { state: "failed"; error: TaskFailedError };

interface Waiting {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
  id: string;
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
   * @throws AskTimeoutError (the task stays until it expires), TaskFailedError when it became a dead letter, DuplicateError
   * when the id was sent before and no result is stored, and what `tell` throws.
   */
  async ask(actor: ActorClass | string, body: unknown, options: AskOptions = {}): Promise<unknown> {
    const { timeout, ...tellOptions } = options;
    const timeoutMs = toMs(timeout ?? "30s", "timeout");
    const { name, config } = target(actor);
    if (tellOptions.expiresIn === undefined && config?.expiresInMs === undefined) tellOptions.expiresIn = timeoutMs;
    this.#unsubscribe ??= this.#bus.subscribe(this.#names.replySubject(`${this.#name}.*`), (message) =>
      this.#answer(message),
    );
    this.#count += 1;
    const address = `${this.#name}.${this.#count.toString(36)}`;
    const startedMs = Date.now();
    const answer = this.#expect(address, timeoutMs, name);
    // Both may fail at once; the answer's rejection must not go unhandled while tell() is awaited.
    answer.promise.catch(() => undefined);
    try {
      const sent = await this.#producer.tell(actor, body, tellOptions, address);
      answer.waiting.id = sent.id;
      if (sent.duplicate) {
        const outcome = await this.#findOutcome(name, sent.id, Math.max(0, timeoutMs - (Date.now() - startedMs)));
        if (outcome?.state === "completed") return outcome.value;
        if (outcome?.state === "failed") throw outcome.error;
        throw new DuplicateError(
          sent.id,
          `A task with id ${JSON.stringify(sent.id)} was sent to ${name} before and no result of it is stored; use a new id, or give the actor a result ttl.`,
        );
      }
      return await answer.promise;
    } finally {
      this.#forget(address);
    }
  }

  close(): void {
    this.#unsubscribe?.();
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(new ClosedError("system"));
    }
    this.#waiting.clear();
  }

  #expect(address: string, timeoutMs: number, actor: string): { promise: Promise<unknown>; waiting: Waiting } {
    const { promise, resolve, reject } = withResolvers();
    const timer = setTimeout(() => {
      reject(
        new AskTimeoutError(
          waiting.id,
          `${actor} did not answer within ${timeoutMs} ms; the task ${waiting.id} stays queued until it expires. Is a worker for it running?`,
        ),
      );
    }, timeoutMs);
    const waiting: Waiting = { resolve, reject, timer, id: "" };
    this.#waiting.set(address, waiting);
    return { promise, waiting };
  }

  #forget(address: string): void {
    clearTimeout(this.#waiting.get(address)?.timer);
    this.#waiting.delete(address);
  }

  #answer(message: BusMessage): void {
    const address = message.subject.slice(this.#names.replySubject("").length);
    const waiting = this.#waiting.get(address);
    if (!waiting) return;
    try {
      const value = decode(message.body, message.headers.get(header.contentType));
      if (message.headers.get(header.outcome) === "failed") waiting.reject(readFailure(waiting.id, value));
      else waiting.resolve(value);
    } catch (error) {
      waiting.reject(error as Error);
    }
  }
}

function withResolvers(): {
  promise: Promise<unknown>;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
} {
  let resolve: (value: unknown) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<unknown>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
