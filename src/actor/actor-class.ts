/** Actor classes as types: what a sender writes, what an actor answers, and whether schema and handler agree. */
import type { SchemaInput, SchemaOutput } from "./schema.ts";

/** Any actor instance, whatever its types. */
export interface AnyActor {
  receive(input: never, ctx: never): unknown;
  start(): Promise<void>;
  stop(): Promise<void>;
  onDead(input: never, error: Error, ctx: never): Promise<void>;
}

/** Any actor class, whatever its constructor takes. */
export interface ActorClass {
  new (...args: never[]): AnyActor;
  readonly config: { readonly name: string; readonly input?: unknown };
}

/** A class that can be made with no arguments, or a function that makes an instance. */
export type ActorSource = (new () => AnyActor) | (() => AnyActor);

/** What `receive` takes; anything where it declares no parameter. */
type Received<A extends AnyActor> = Parameters<A["receive"]> extends [] ? unknown : Parameters<A["receive"]>[0];

/** What a sender of this actor writes: the schema's input, so that it may omit what the schema defaults. */
export type ActorInput<C extends ActorClass> = C["config"] extends { readonly input: infer S }
  ? SchemaInput<S>
  : Received<InstanceType<C>>;

/** What the actor answers. */
export type ActorOutput<C extends ActorClass> = Awaited<ReturnType<InstanceType<C>["receive"]>>;

/** `C` where its schema gives what its `receive` takes; otherwise a type that nothing fits, named for the mistake. */
export type Agreeing<C> = C extends ActorClass
  ? C["config"] extends { readonly input: infer S }
    ? SchemaOutput<S> extends Received<InstanceType<C>>
      ? C
      : { "config.input disagrees with receive()": never }
    : C
  : C;
