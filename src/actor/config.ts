/** An actor's config: what users write, checked and resolved once, frozen, with every default in one place. */
import { availableParallelism } from "node:os";
import * as z from "zod";
import type { Duration } from "../kernel/duration.ts";
import { ConfigError } from "../kernel/errors.ts";
import { answering, durationMs, resolveOptions } from "../kernel/options.ts";
import type { CodecName } from "../message/codec.ts";
import { checkActorName, lanes, subjectsOverlap, type Lane } from "../message/names.ts";
import { on, type Subscription } from "./event.ts";
import { acceptShape, payloadShape, type PayloadConfig } from "./payload-config.ts";
import {
  breakerShape,
  concurrencyLimitShape,
  rateLimitShape,
  timeLimitShape,
  type BreakerConfig,
  type ConcurrencyLimitConfig,
  type RateLimitConfig,
  type ResolvedBreaker,
  type ResolvedConcurrencyLimit,
  type ResolvedRateLimit,
  type TimeLimitConfig,
} from "./guard-config.ts";
import type { Schema, SchemaInput, SchemaOutput } from "./schema.ts";

/** Milliseconds to wait before the next attempt; `attempt` is the one that failed, 1 for the first. */
export type BackoffFunction = (attempt: number, error: Error) => number;
export type BackoffKind = "exponential" | "linear" | "fixed";
/** `full`: anywhere between 0 and the delay. `decorrelated`: between base and three times the last delay. `none`: the delay itself. */
export type JitterKind = "full" | "decorrelated" | "none";

/** How often and when a failed run is repeated. `Terminal`, `RetryAfter` and `Snooze` go before it. */
export interface RetryConfig {
  /** Runs in all, the first included. Default 5. */
  attempts?: number;
  /** Default `"exponential"`. */
  backoff?: BackoffKind | BackoffFunction;
  /** First delay, at most `max`. Default 1 s, or `max` where that is shorter. */
  base?: Duration;
  /** Longest delay. Default 10 min. */
  max?: Duration;
  /** Default `"full"`. */
  jitter?: JitterKind;
  /** False for an error that no retry mends: dead letter at once. Default: every error is retried. */
  when?: (error: Error) => boolean;
}

/** What a guard's `key` and `fallback` are called with. */
type GuardInput<S> = S extends Schema ? SchemaOutput<S> : never;

/** What `static config` holds. Unknown keys are refused. */
export interface ActorConfig<S extends Schema | undefined = Schema | undefined> {
  /** The task type: dotted words. Its subject is `<namespace>.task.<lane>.<name>`. */
  name: string;
  /** Schema of the input. A message that does not fit is a dead letter at once. */
  input?: S;
  /** Handlers that run at once in one worker, at most. Default 10; in threads, as many as the host has processors. */
  concurrency?: number;
  /** Visibility timeout; extended while `receive` runs. At least 1 s. Default 30 s. */
  ackWait?: Duration;
  /** How long one run may take. Default: as long as it likes. */
  timeLimit?: TimeLimitConfig;
  /** Stops calling what keeps failing. Default: none. */
  breaker?: BreakerConfig<GuardInput<S>>;
  /** How often its handlers may start, over the whole fleet. Default: as often as they can. */
  rateLimit?: RateLimitConfig<GuardInput<S>>;
  /** How many of its handlers may run at once, over the whole fleet. Default: no limit. */
  concurrencyLimit?: ConcurrencyLimitConfig<GuardInput<S>>;
  /** `"thread"`: `receive` runs in a thread of its own, which a hard time limit can end. Needs `module`. Default: in the worker's own. */
  isolate?: "thread";
  /** `import.meta.url`, for `isolate: "thread"`: the thread finds the class there by its config's name. */
  module?: string;
  retry?: RetryConfig;
  /** Workers that a message may bring down, counted when it ran with no other suspect, before it is a dead letter. Default 3. */
  stalls?: number;
  /** Keep what `receive` returns for this long. Absent: nothing is stored. */
  result?: { ttl: Duration };
  /** Events that this actor gets its own copy of. */
  subscribe?: readonly (S extends Schema ? Subscription<SchemaInput<S>> | string : Subscription | string)[];
  /** Which events a new durable begins with: `"new"` (default), `"all"`, or from a date on. */
  from?: "new" | "all" | Date;
  /** Lanes that get a durable of their own, so that a backlog in another lane cannot delay them. Default: none. */
  lanes?: readonly Lane[];
  /** The lane that senders use unless they say otherwise. Default `"normal"`. */
  lane?: Lane;
  /** How senders of this actor encode. Default: the first of `accept`, else the system's, else `"msgpack"`. */
  codec?: CodecName;
  /** Content types that it takes; a body of another is a dead letter. Default: `application/msgpack` and `application/json`. */
  accept?: readonly string[];
  /** How bodies for it travel, and their limits. Default: the system's. */
  payload?: PayloadConfig;
  /** After this a message is not worth running, and is dead as `expired`; its sender's `expiresIn` goes before it. Default: never. */
  expiresIn?: Duration;
  /** What becomes of a message that does not fit the schema: `"dead"` (default) at once, or `"retry"` for rolling deploys. */
  onInvalid?: "dead" | "retry";
}

/**
 * Types an actor's config from its schema. It returns what it is given; checking is done when a system first uses the actor.
 * @example static override readonly config = config({ name: "payments.charge", input: Charge });
 */
export function config<const S extends Schema | undefined = undefined>(
  definition: ActorConfig<S> & { readonly input?: S },
): ActorConfig<S> & (S extends Schema ? { readonly input: S } : { readonly input?: undefined }) {
  return definition as ReturnType<typeof config<S>>;
}

/** A checked config with every default filled in. */
export interface ResolvedConfig {
  readonly name: string;
  readonly input: Schema | undefined;
  readonly concurrency: number;
  readonly ackWaitMs: number;
  readonly softLimitMs: number | undefined;
  readonly hardLimitMs: number | undefined;
  /** Always there where `hardLimitMs` is. */
  readonly abandonAfterMs: number | undefined;
  readonly breaker: ResolvedBreaker | undefined;
  readonly rateLimit: ResolvedRateLimit | undefined;
  readonly concurrencyLimit: ResolvedConcurrencyLimit | undefined;
  readonly isolate: "thread" | undefined;
  readonly module: string | undefined;
  readonly retry: {
    readonly attempts: number;
    readonly backoff: BackoffKind | BackoffFunction;
    readonly baseMs: number;
    readonly maxMs: number;
    readonly jitter: JitterKind;
    readonly when: (error: Error) => boolean;
  };
  readonly stalls: number;
  readonly resultTtlMs: number | undefined;
  readonly subscriptions: readonly Subscription[];
  readonly from: "new" | "all" | Date;
  readonly lanes: readonly Lane[];
  readonly lane: Lane;
  readonly codec: CodecName | undefined;
  readonly accept: ReadonlySet<CodecName> | undefined;
  /** What it says of its own; the system says the rest. */
  readonly payload: z.output<typeof payloadShape>;
  readonly expiresInMs: number | undefined;
  readonly onInvalid: "dead" | "retry";
}

const schemaLike = z.custom<Schema>(
  (value) => value !== null && (typeof value === "object" || typeof value === "function") && "~standard" in value,
  { message: "must be a Standard Schema, such as one of zod, valibot or arktype" },
);
const lane = z.enum(lanes);
const count = z.int({ message: "must be a whole number" }).min(1, "must be at least 1");

const shape = z.strictObject({
  name: z.unknown(),
  input: schemaLike.optional(),
  concurrency: count.max(10_000, "must be at most 10000").optional(),
  ackWait: durationMs(1_000).default(30_000),
  timeLimit: timeLimitShape.default({}),
  breaker: breakerShape.optional(),
  rateLimit: rateLimitShape.optional(),
  concurrencyLimit: concurrencyLimitShape.optional(),
  isolate: z.enum(["thread"]).optional(),
  module: z.string().optional(),
  retry: z
    .strictObject({
      attempts: count.default(5),
      backoff: z
        .union([z.enum(["exponential", "linear", "fixed"]), answering<Parameters<BackoffFunction>, number>()])
        .default("exponential"),
      base: durationMs().optional(),
      max: durationMs().default(600_000),
      jitter: z.enum(["full", "decorrelated", "none"]).default("full"),
      when: answering<[error: Error], boolean>().default(() => () => true),
    })
    .superRefine(({ base = 0, max }, context) => {
      if (base <= max) return;
      const message = `must be at most retry.max, and ${base} ms are more than ${max} ms`;
      context.addIssue({ code: "custom", path: ["base"], message });
    })
    .prefault({}),
  stalls: count.default(3),
  result: z.strictObject({ ttl: durationMs(1_000) }).optional(),
  subscribe: z
    .array(
      z.union([
        z.string(),
        z.custom<Subscription>((value) => typeof value === "object" && value !== null && "subject" in value, {
          message: "must be what on() gives",
        }),
      ]),
    )
    .default([]),
  from: z.union([z.enum(["new", "all"]), z.date()]).default("new"),
  lanes: z.array(lane).default([]),
  lane: lane.default("normal"),
  codec: z.enum(["msgpack", "json"]).optional(),
  accept: acceptShape.optional(),
  payload: payloadShape.default({}),
  expiresIn: durationMs(1).optional(),
  onInvalid: z.enum(["dead", "retry"]).default("dead"),
});

/**
 * Checks a config and fills in the defaults.
 * @param owner names the class in errors.
 * @throws ConfigError, InvalidNameError.
 */
export function resolveConfig(definition: unknown, owner: string): ResolvedConfig {
  const named = (definition as { name?: unknown } | undefined)?.name;
  const given = resolveOptions(
    shape,
    definition ?? {},
    `config of ${owner}${typeof named === "string" ? ` (${named})` : ""}`,
  );
  const subscriptions = given.subscribe.map((entry) => (typeof entry === "string" ? on(entry) : entry));
  const name = checkActorName(given.name);
  refuseOverlaps(name, subscriptions);
  const codec = given.codec ?? given.accept?.[0];
  if (codec !== undefined && given.accept?.includes(codec) === false) {
    throw new ConfigError(`The actor ${name} has the codec ${codec}, which its "accept" does not list; add it there.`);
  }
  return Object.freeze({
    name,
    input: given.input,
    concurrency: given.concurrency ?? (given.isolate === undefined ? 10 : availableParallelism()),
    ackWaitMs: given.ackWait,
    softLimitMs: given.timeLimit.soft,
    hardLimitMs: given.timeLimit.hard,
    abandonAfterMs: given.timeLimit.abandonAfter ?? (given.timeLimit.hard && given.timeLimit.hard * 5),
    breaker: given.breaker && Object.freeze(given.breaker),
    rateLimit: given.rateLimit && Object.freeze(given.rateLimit),
    concurrencyLimit: given.concurrencyLimit && Object.freeze(given.concurrencyLimit),
    isolate: given.isolate,
    module: given.module,
    retry: Object.freeze({
      attempts: given.retry.attempts,
      backoff: given.retry.backoff,
      baseMs: given.retry.base ?? Math.min(1_000, given.retry.max),
      maxMs: given.retry.max,
      jitter: given.retry.jitter,
      when: given.retry.when,
    }),
    stalls: given.stalls,
    resultTtlMs: given.result?.ttl,
    subscriptions: Object.freeze(subscriptions),
    from: given.from,
    lanes: Object.freeze([...new Set(given.lanes)]),
    lane: given.lane,
    codec,
    accept: given.accept && new Set(given.accept),
    payload: Object.freeze(given.payload),
    expiresInMs: given.expiresIn,
    onInvalid: given.onInvalid,
  });
}

/** A message goes to an actor once, so one subscription of it has to answer for the message. */
function refuseOverlaps(actor: string, subscriptions: readonly Subscription[]): void {
  for (const [index, one] of subscriptions.entries()) {
    const other = subscriptions
      .slice(0, index)
      .find(({ stream, subject }) => stream === one.stream && subjectsOverlap(subject, one.subject));
    if (other === undefined) continue;
    throw new ConfigError(
      `The subscriptions of the actor ${actor} to ${JSON.stringify(other.subject)} and ${JSON.stringify(one.subject)} overlap, and an actor gets each message once; drop or narrow one of them.`,
    );
  }
}
