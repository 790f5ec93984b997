/** Registry: the actors of one worker or sender, each name once, with their checked configs. */
import { ActorNotFoundError, ConfigError, toError } from "../kernel/errors.ts";
import { isActor, isActorClass } from "./actor.ts";
import type { ActorClass, ActorSource, AnyActor } from "./actor-class.ts";
import { resolveConfig, type ResolvedConfig } from "./config.ts";

export interface RegisteredActor {
  readonly config: ResolvedConfig;
  readonly instance: AnyActor;
}

const resolved = new WeakMap<object, ResolvedConfig>();

/** The checked config of an actor class; checked once for each class. @throws ConfigError, InvalidNameError. */
export function configOf(actor: ActorClass): ResolvedConfig {
  let found = resolved.get(actor);
  if (!found) {
    if (!isActorClass(actor)) {
      throw new ActorNotFoundError(
        `${describe(actor)} is not an actor class; pass a class that extends Actor, or the actor's name.`,
      );
    }
    if (!Object.hasOwn(actor, "config") && (actor as { config?: object }).config === undefined) {
      throw new ConfigError(
        `The actor class ${actor.name} has no static config; write: static override readonly config = config({ name: "…" }).`,
      );
    }
    found = resolveConfig(actor.config, `actor class ${actor.name}`);
    resolved.set(actor, found);
  }
  return found;
}

/**
 * Makes one instance of each source.
 * @throws ActorNotFoundError for what is no actor, ConfigError for a bad config, a class without `receive()`, or a name that two actors
 * have.
 */
export function registerActors(sources: readonly ActorSource[]): RegisteredActor[] {
  const given: unknown = sources;
  if (!Array.isArray(given) || given.length === 0) {
    throw new ActorNotFoundError("No actor was given; pass a list of actor classes, or of functions that make actors.");
  }
  const names = new Map<string, string>();
  return sources.map((source) => {
    const instance = make(source);
    const owner = instance.constructor as ActorClass;
    const config = configOf(owner);
    // Only the type checker knows that it is abstract.
    if (typeof (instance as Partial<AnyActor>).receive !== "function") {
      throw new ConfigError(
        `The actor class ${owner.name} has no method receive(); write: async receive(input, ctx) { … }.`,
      );
    }
    const other = names.get(config.name);
    if (other !== undefined) {
      throw new ConfigError(
        `Two actors have the name ${JSON.stringify(config.name)} (${other} and ${owner.name}); give one of them another name.`,
      );
    }
    names.set(config.name, owner.name);
    return { config, instance };
  });
}

/**
 * The configs alone. A class is not made; of a function it takes to make an actor to know whose it is.
 * @throws ConfigError for a bad config or a name that two actors have, ActorNotFoundError for what is no actor.
 */
export function configsOf(sources: readonly ActorSource[]): ResolvedConfig[] {
  const found = sources.map((source) =>
    configOf(isActorClass(source) ? source : (make(source).constructor as ActorClass)),
  );
  const twice = found.find(({ name }, index) => found.findIndex((other) => other.name === name) < index);
  if (twice === undefined) return found;
  throw new ConfigError(`Two actors have the name ${JSON.stringify(twice.name)}; give one of them another name.`);
}

function make(source: ActorSource): AnyActor {
  let made: unknown;
  if (isActorClass(source)) {
    const Class = source as new () => AnyActor;
    // Most constructors only keep what they are given: without it the class is made, and fails with each message.
    if (Class.length > 0) {
      throw new ConfigError(
        `The constructor of the actor class ${Class.name} takes arguments; pass a function that makes it: () => new ${Class.name}(…).`,
      );
    }
    try {
      made = new Class();
    } catch (thrown) {
      const cause = toError(thrown);
      throw new ConfigError(
        `The actor class ${Class.name} could not be made without arguments (${cause.message}); pass a function that makes it: () => new ${Class.name}(…).`,
        { cause },
      );
    }
  } else if (typeof source === "function" && !isClass(source)) made = (source as () => unknown)();
  if (!isActor(made)) {
    throw new ActorNotFoundError(
      `${describe(source)} is not an actor and makes none; pass a class that extends Actor, or a function that returns one.`,
    );
  }
  return made;
}

/** A class cannot be called, so one that is no actor must not be tried as a function that makes one. */
function isClass(source: object): boolean {
  return /^class\b/.test(Function.prototype.toString.call(source));
}

function describe(value: unknown): string {
  return typeof value === "function" ? `The function ${value.name || "given"}` : `A value of type ${typeof value}`;
}
