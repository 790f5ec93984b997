/** Actor: the class that users extend, one for each task type. */
import type { ActorClass, AnyActor } from "./actor-class.ts";
import type { Context } from "./context.ts";

const brand = Symbol.for("godwit.actor");

/**
 * Handles one task type. Extend it, give it a static `config`, and write `receive`.
 * `Input` is what the schema in `config.input` gives out; `Output` is what `ask` and `result` answer.
 */
export abstract class Actor<Input = unknown, Output = void> {
  declare static readonly config: { readonly name: string };

  /** Handles one message. Throw `Terminal`, `RetryAfter` or `Snooze` to steer; any other error is retried. */
  abstract receive(input: Input, ctx: Context): Output | Promise<Output>;

  /** Once in each worker, before the first message. */
  async start(): Promise<void> {}

  /** Once in each worker, after the last message. */
  async stop(): Promise<void> {}

  /** The message has become a dead letter: compensate. Called again if the worker dies meanwhile. An error here is logged. */
  async onDead(_input: Input, _error: Error, _ctx: Context): Promise<void> {}

  static {
    // Not a declared member: a symbol that users' own declaration files could not name.
    Object.defineProperty(Actor.prototype, brand, { value: true });
  }
}

export function isActor(value: unknown): value is AnyActor {
  return typeof value === "object" && value !== null && brand in value;
}

export function isActorClass(value: unknown): value is ActorClass {
  return typeof value === "function" && isActor(value.prototype as unknown);
}
