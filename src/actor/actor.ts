/** Actor: the class that users extend, one for each task type, and the types that tie its schema to its handler. */
import type { Context } from "./context.ts";
import type { SchemaInput, SchemaOutput } from "./schema.ts";

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
  async onDead(_input: Input, _error: Error): Promise<void> {}

  get [brand](): true {
    return true;
  }
}

/** Any actor instance. */
export type AnyActor = Actor<never, unknown>;

/** Any actor class, whatever its constructor takes. */
export interface ActorClass {
  new (...args: never[]): AnyActor;
  readonly config: { readonly name: string; readonly input?: unknown };
}

/** What a sender of this actor writes. */
export type ActorInput<C extends ActorClass> = C["config"] extends { readonly input: infer S }
  ? SchemaInput<S>
  : Parameters<InstanceType<C>["receive"]>[0];

/** What the actor answers. */
export type ActorOutput<C extends ActorClass> = Awaited<ReturnType<InstanceType<C>["receive"]>>;

/** `C` where its schema gives what its `receive` takes; otherwise a type that nothing fits, named for the mistake. */
export type Agreeing<C extends ActorClass> = C["config"] extends { readonly input: infer S }
  ? SchemaOutput<S> extends Parameters<InstanceType<C>["receive"]>[0]
    ? C
    : { "config.input disagrees with receive()": never }
  : C;

/** A class that can be made with no arguments, or a function that makes an instance. */
export type ActorSource = (new () => AnyActor) | (() => AnyActor);

export function isActor(value: unknown): value is AnyActor {
  return typeof value === "object" && value !== null && brand in value;
}

export function isActorClass(value: unknown): value is ActorClass {
  return typeof value === "function" && isActor(value.prototype as unknown);
}
