/**
 * Line: calls between two threads over a MessagePort, in both directions; each side offers an object of methods to the other.
 * 1. What a method returns or throws comes back; what cannot be cloned fails the call that brought it, and nothing else.
 * 2. An error that goes out and comes back is the same error: `catch` finds its class.
 * 3. A closed line fails what waits for an answer.
 */
import { receiveMessageOnPort, type MessagePort } from "node:worker_threads";
import { ClosedError, EncodeError, toError } from "../../kernel/errors.ts";
import { readError, writeError, type WireError } from "./wire-error.ts";

/** What one side offers. */
type Methods<M> = { [K in keyof M]: (...args: never[]) => unknown };
type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Answer<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;

/** `id` is 0 where no answer is wanted. `waits`: the caller stands still until it is answered. */
type Message =
  | { kind: "call"; id: number; method: string; args: unknown[]; waits: boolean }
  | { kind: "value"; id: number; value: unknown }
  | { kind: "error"; id: number; error: WireError };

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const syncTimeoutMs = 10_000;

export class Line<Own extends Methods<Own>, Other extends Methods<Other>> {
  readonly #port: MessagePort;
  readonly #own: Own;
  /** Shared by both sides: wakes the one that stands still. */
  readonly #bell: Int32Array;
  readonly #pending = new Map<number, Pending>();
  /** Errors that went out, by their refs, and refs of those that came in. */
  readonly #sent: Error[] = [];
  readonly #refs = new WeakMap<Error, number>();
  #lastId = 0;
  #closed = false;

  /** @param bell a shared array of one element, the same on both sides. */
  constructor(port: MessagePort, own: Own, bell: Int32Array) {
    this.#port = port;
    this.#own = own;
    this.#bell = bell;
    port.on("message", (message: Message) => this.#take(message));
    port.on("close", () => this.#end());
  }

  /** Calls a method of the other side. @throws what that throws; EncodeError, ClosedError. */
  call<K extends keyof Other & string>(method: K, ...args: Arguments<Other[K]>): Promise<Answer<Other[K]>> {
    return new Promise((resolve, reject) => {
      this.#ask(method, args, false, { resolve: (value) => resolve(value as Answer<Other[K]>), reject });
    });
  }

  /** The same for what waits for no answer. What cannot be cloned is dropped. */
  send<K extends keyof Other & string>(method: K, ...args: Arguments<Other[K]>): void {
    if (this.#closed) return;
    try {
      this.#port.postMessage({ kind: "call", id: 0, method, args, waits: false } satisfies Message);
    } catch {
      // As a value that no listener can have.
    }
  }

  /** Stands still until it is answered: for a thread that has nothing else to do, with a side that never does so. */
  callSync<K extends keyof Other & string>(method: K, ...args: Arguments<Other[K]>): Answer<Other[K]> {
    let answer: { value: unknown } | { error: Error } | undefined;
    Atomics.store(this.#bell, 0, 0);
    this.#ask(method, args, true, {
      resolve: (value) => (answer = { value }),
      reject: (error) => (answer = { error }),
    });
    if (answer === undefined) Atomics.wait(this.#bell, 0, 0, syncTimeoutMs);
    while (answer === undefined) {
      const next = receiveMessageOnPort(this.#port);
      if (next === undefined) throw new Error(`the worker did not answer within ${syncTimeoutMs} ms`);
      this.#take(next.message as Message);
    }
    if ("error" in answer) throw answer.error;
    return answer.value as Answer<Other[K]>;
  }

  /** It keeps neither its thread nor the process alive. */
  unref(): void {
    this.#port.unref();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** No more calls, in either direction. */
  close(): void {
    this.#port.close();
    this.#end();
  }

  #end(): void {
    this.#closed = true;
    for (const pending of this.#pending.values()) pending.reject(new ClosedError("run"));
    this.#pending.clear();
  }

  #ask(method: string, args: unknown[], waits: boolean, pending: Pending): void {
    if (this.#closed) return pending.reject(new ClosedError("run"));
    const id = ++this.#lastId;
    this.#pending.set(id, pending);
    try {
      this.#port.postMessage({ kind: "call", id, method, args, waits } satisfies Message);
    } catch (thrown) {
      this.#pending.delete(id);
      pending.reject(uncloneable(thrown));
    }
  }

  #take(message: Message): void {
    if (message.kind === "call") return void this.#serve(message);
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.kind === "value") pending?.resolve(message.value);
    else pending?.reject(this.#read(message.error));
  }

  async #serve({ id, method, args, waits }: Message & { kind: "call" }): Promise<void> {
    try {
      const served = this.#own[method as keyof Own](...(args as never[]));
      this.#answer({ kind: "value", id, value: waits ? served : await served });
    } catch (thrown) {
      this.#answer({ kind: "error", id, error: this.#write(toError(thrown)) });
    }
    if (!waits) return;
    Atomics.store(this.#bell, 0, 1);
    Atomics.notify(this.#bell, 0);
  }

  #answer(answer: Exclude<Message, { kind: "call" }>): void {
    if (answer.id === 0 || this.#closed) return;
    try {
      this.#port.postMessage(answer);
    } catch (thrown) {
      this.#port.postMessage({ kind: "error", id: answer.id, error: writeError(uncloneable(thrown)) });
    }
  }

  #write(error: Error): WireError {
    const known = this.#refs.get(error);
    return { ...writeError(error), ref: known ?? -this.#sent.push(error) };
  }

  /** Refs are negative on the way out, and positive on the way back. */
  #read(wire: WireError): Error {
    const { ref = 0 } = wire;
    const own = ref > 0 ? this.#sent[ref - 1] : undefined;
    if (own !== undefined) return own;
    const error = readError(wire);
    if (ref < 0) this.#refs.set(error, -ref);
    return error;
  }
}

function uncloneable(thrown: unknown): EncodeError {
  const cause = toError(thrown);
  return new EncodeError(
    `What goes between the worker and a thread must be plain data, without functions and the like (${cause.message}).`,
    { cause },
  );
}
