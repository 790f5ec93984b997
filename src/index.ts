/** The public API of Godwit, and nothing else. */
export { ActorSystem } from "./system/actor-system.ts";
export { Actor } from "./actor/actor.ts";
export { config } from "./actor/config.ts";
export { event, on } from "./actor/event.ts";
export { loadActors } from "./actor/loader.ts";
export { RetryAfter, Snooze, Terminal } from "./actor/signals.ts";
export type { ActorClass, ActorInput, ActorOutput, ActorSource } from "./actor/actor-class.ts";
export type { ActorConfig, BackoffFunction, RetryConfig } from "./actor/config.ts";
export type { Context, PublishOptions, Sender, Sent, TellOptions } from "./actor/context.ts";
export type { BreakerConfig, ConcurrencyLimitConfig, RateLimitConfig, TimeLimitConfig } from "./actor/guard-config.ts";
export type { BreakerHandle, BreakerSettings, OnceOptions, RateLimitHandle } from "./actor/guard-handles.ts";
export type { BreakerEvent } from "./guard/breaker/breaker.ts";
export type { GuardReason } from "./guard/guard.ts";
export type { PayloadConfig } from "./actor/payload-config.ts";
export type { EventType, ForeignSubject, Subscription } from "./actor/event.ts";
export type {
  DurabilityProfile,
  SystemLimits,
  SystemOptions,
  SystemPayload,
  EmbeddedOptions,
} from "./system/options.ts";
export type { Lowerable, Placement, Sized } from "./broker/asked.ts";
export type { Provision } from "./broker/topology.ts";
export type { EndpointOptions } from "./observe/endpoint.ts";
export type { HttpServer } from "./observe/http-server.ts";
export type { LogLevel, LogSettings } from "./observe/log.ts";
export type { AskOptions } from "./producer/asker.ts";
export type { ManyOptions, ManySent } from "./producer/producer.ts";
export type { Outcome } from "./result/results.ts";
export type { Middleware } from "./worker/executor.ts";
export type { DeferReason, LostReason, MessageRef, WorkerEvents } from "./worker/events.ts";
export type { Blocked } from "./worker/loop-watch.ts";
export type { OutcomeCounts } from "./worker/tally.ts";
export type { WorkOptions } from "./worker/services.ts";
export type { WorkerStats } from "./worker/tally.ts";
export type { Worker } from "./worker/worker.ts";
export type { DeadInfo, DeadMessage, HeaderList } from "./lifecycle/dead-letter.ts";
export type { DeadFilter, DeadSummary, Redrive } from "./lifecycle/redrive.ts";
export type { RunError } from "./lifecycle/runs.ts";
export type { CodecName } from "./message/codec.ts";
export type { DeadReason } from "./message/failure.ts";
export type { HeaderFields, ReceivedHeaders } from "./message/headers.ts";
export type { Duration } from "./kernel/duration.ts";
export type { Logger } from "./kernel/logger.ts";
export type { Lane } from "./message/names.ts";
export {
  GodwitError,
  ConfigError,
  InvalidNameError,
  InvalidMessageError,
  DecodeError,
  EncodeError,
  ConnectError,
  TlsError,
  NotAuthorizedError,
  TwoDomainsError,
  UnsupportedServerError,
  EmbeddedServerError,
  ListenError,
  TopologyMismatchError,
  QueueFullError,
  PayloadTooLargeError,
  PublishError,
  PublishTimeoutError,
  NotStoredError,
  AskTimeoutError,
  WaitTimeoutError,
  DuplicateError,
  TaskFailedError,
  ActorNotFoundError,
  ActorStartError,
  TimeLimitError,
  ThreadError,
  ClosedError,
  NotFoundError,
  InUseError,
} from "./kernel/errors.ts";
