/** The public API of Godwit, and nothing else. */
export { Actor } from "./actor/actor.ts";
export { config } from "./actor/config.ts";
export { event, on } from "./actor/event.ts";
export { RetryAfter, Snooze, Terminal } from "./actor/signals.ts";
export type { ActorClass, ActorInput, ActorOutput, ActorSource } from "./actor/actor.ts";
export type { ActorConfig, BackoffFunction, RetryConfig } from "./actor/config.ts";
export type { Context, PublishOptions, Sent, TellOptions } from "./actor/context.ts";
export type { EventType, ForeignSubject, Subscription } from "./actor/event.ts";
export type { Duration } from "./kernel/duration.ts";
export type { Logger } from "./kernel/logger.ts";
export type { Lane } from "./message/names.ts";
export * from "./kernel/errors.ts";
