/**
 * runActor: hands an actor one message without a server and says what a worker would have done.
 * The message is encoded and decoded, and goes through the executor that workers use; only the settling is left out.
 */
import * as z from "zod";
import type { ActorClass, ActorInput, ActorOutput, Agreeing, AnyActor } from "../actor/actor-class.ts";
import type { ResolvedConfig } from "../actor/config.ts";
import type { EventInput, EventType, ForeignSubject } from "../actor/event.ts";
import { registerActors } from "../actor/registry.ts";
import { maxTimerMs, monotonicMs, wallMs } from "../kernel/clock.ts";
import type { Duration } from "../kernel/duration.ts";
import { ConfigError, toError } from "../kernel/errors.ts";
import { silentLogger, type Logger } from "../kernel/logger.ts";
import { callable, durationMs, resolveOptions } from "../kernel/options.ts";
import { Lifecycle } from "../lifecycle/machine.ts";
import { RetryBudget } from "../lifecycle/retry-budget.ts";
import type { RunsRecord } from "../lifecycle/runs.ts";
import { contentTypes, encode, type CodecName } from "../message/codec.ts";
import { checkUserHeaders, header, type HeaderFields } from "../message/headers.ts";
import { checkId, newId } from "../message/names.ts";
import { Names } from "../message/subjects.ts";
import { Decoder, findSubscription } from "../worker/decoder.ts";
import { Executor, type Middleware } from "../worker/executor.ts";
import type { Outcome } from "../worker/outcome.ts";
import { Run } from "../worker/run.ts";
import { Suspects } from "../worker/suspects.ts";
import { Recorder, type PublishedEvent, type ToldTask } from "./recorder.ts";
import { TestTools } from "./test-tools.ts";
import { TestDelivery } from "./test-delivery.ts";

/** How the message comes to the actor. */
export interface RunActorOptions {
  /** Which attempt this is, 1 for the first. Default 1. With `retry.attempts` of 5, a failing attempt 5 is `dead`, `exhausted`. */
  attempt?: number;
  /** How often the message was handed over, this time included. Default: `attempt`. */
  deliveries?: number;
  /** What the attempt before had to wait, for decorrelated jitter. Default: the actor's `retry.base`; for a first attempt none. */
  lastDelay?: Duration;
  /** The message's id. Default: a new one. */
  id?: string;
  /** Headers of the sender, such as `traceparent`. */
  headers?: HeaderFields;
  /** How the body travels. Default: the actor's, else `"msgpack"`. */
  codec?: CodecName;
  /** Middleware as `work()` takes it, the first outermost. */
  use?: readonly Middleware[];
  /** In [0, 1): the dice for jitter. Default `Math.random`. With full jitter, `() => 0.5` gives half of the longest delay. */
  random?: () => number;
  /** What `ctx.log` writes to. Default: nothing. */
  log?: Logger;
  /** When it aborts, the worker stops and its grace is over: `ctx.signal` aborts, and the outcome is `interrupted`. */
  stop?: AbortSignal;
}

/** What a worker would do with the message, in the worker's own words. */
export type RunOutcome<Output = unknown> =
  { kind: "completed"; value: Output } | Exclude<Outcome, { kind: "completed" } | { kind: "lost" }>;

/** What became of one message. */
export interface ActorRun<Output = unknown> {
  /**
   * - `completed` with the `value` that `receive` returned;
   * - `retry` after `delayMs`, with the `error`;
   * - `deferred` for `delayMs`, with the `reason`: no attempt counted, as after `Snooze`;
   * - `dead` with the `reason` and the `error`;
   * - `interrupted` where `stop` aborted.
   */
  outcome: RunOutcome<Output>;
  /** Tasks sent with `ctx.tell`, in order. What JetStream would drop as a duplicate is not among them. */
  told: ToldTask[];
  /** Events sent with `ctx.publish`, in order. */
  published: PublishedEvent[];
  /** What was passed to `ctx.progress`, in order. */
  progress: unknown[];
  /** Whether `onDead` was called, as it is for a dead message whose body fits; a worker logs what it throws and goes on. */
  onDead: { state: "not-called" } | { state: "returned" } | { state: "threw"; error: Error };
}

const shape = z.strictObject({
  attempt: z.int({ message: "must be a whole number" }).min(1, "must be at least 1").default(1),
  deliveries: z.int({ message: "must be a whole number" }).min(1, "must be at least 1").optional(),
  lastDelay: durationMs().optional(),
  id: z.string().optional(),
  headers: z.record(z.string(), z.string()).default({}),
  codec: z.enum(["msgpack", "json"]).optional(),
  use: z.array(callable<Middleware>()).default([]),
  random: callable<() => number>().optional(),
  log: z.custom<Logger>((value) => typeof value === "object" && value !== null && "child" in value).optional(),
  stop: z.instanceof(AbortSignal).optional(),
});

/**
 * Runs an actor on one task: makes it, calls `start`, hands it the message, calls `stop`.
 * @param actor a class that is made without arguments; or an instance, or a function that makes one, and then the class as type
 * argument lets the input leave out what the schema defaults: `runActor<typeof ChargePayment>(() => new ChargePayment(api), …)`.
 * @param input what a sender would write. The schema is applied; input that does not fit gives `dead`, `invalid`, as in a worker.
 * @throws ConfigError, ActorNotFoundError, InvalidNameError for what no worker would start; EncodeError for input that cannot
 * travel; and what `start` or `stop` throws.
 * @example
 * const { outcome, told } = await runActor(ChargePayment, { paymentId: "p1", amount: 10 });
 */
export function runActor<C extends ActorClass & (new () => AnyActor)>(
  actor: C & Agreeing<C>,
  input: ActorInput<C>,
  options?: RunActorOptions,
): Promise<ActorRun<ActorOutput<C>>>;
export function runActor<C extends ActorClass = never>(
  actor: InstanceType<C> | (() => InstanceType<C>),
  input: ActorInput<C>,
  options?: RunActorOptions,
): Promise<ActorRun<ActorOutput<C>>>;
export function runActor<A extends AnyActor>(
  actor: A | (() => A),
  input: Parameters<A["receive"]>[0],
  options?: RunActorOptions,
): Promise<ActorRun<Awaited<ReturnType<A["receive"]>>>>;
export function runActor(actor: unknown, input: unknown, options: RunActorOptions = {}): Promise<ActorRun> {
  return runOne(actor, options, (names, config) => ({
    stream: names.tasks,
    subject: names.taskSubject(config.name, config.lane),
    body: input,
  }));
}

/**
 * Runs an actor on one event that it subscribes to: the event's schema and the mapping in `on()` come first, then the actor's schema.
 * @param event what `publish` takes, or `{ stream, subject }` for a stream that Godwit did not make.
 * @param body what a publisher would write.
 * @throws ConfigError where the actor does not subscribe to the event, and what `runActor` throws.
 */
export function runActorOnEvent<C extends ActorClass, E extends EventType>(
  actor: C | InstanceType<C> | (() => InstanceType<C>),
  event: E,
  body: EventInput<E>,
  options?: RunActorOptions,
): Promise<ActorRun<ActorOutput<C>>>;
export function runActorOnEvent<C extends ActorClass>(
  actor: C | InstanceType<C> | (() => InstanceType<C>),
  event: string | ForeignSubject,
  body: unknown,
  options?: RunActorOptions,
): Promise<ActorRun<ActorOutput<C>>>;
export function runActorOnEvent(
  actor: unknown,
  event: EventType | ForeignSubject | string,
  body: unknown,
  options: RunActorOptions = {},
): Promise<ActorRun> {
  return runOne(actor, options, (names, config) => {
    const place =
      typeof event === "object" && "stream" in event
        ? event
        : { stream: names.events, subject: names.eventSubject(typeof event === "string" ? event : event.subject) };
    if (findSubscription(names, config, place.stream, place.subject) === undefined) {
      throw new ConfigError(
        `The actor ${config.name} does not subscribe to ${place.subject} of ${place.stream}; list it in the config's subscribe.`,
      );
    }
    return { ...place, body };
  });
}

/** Where a message comes from, and its body as its sender wrote it. */
interface Arrival {
  stream: string;
  subject: string;
  body: unknown;
}

async function runOne(
  source: unknown,
  given: RunActorOptions,
  arrive: (names: Names, config: ResolvedConfig) => Arrival,
): Promise<ActorRun> {
  const options = resolveOptions(shape, given, "options of runActor()");
  const make = (typeof source === "function" ? source : () => source) as () => AnyActor;
  const [registered] = registerActors([make]);
  if (registered === undefined) throw new ConfigError("runActor() takes an actor.");
  const { config, instance } = registered;
  const names = new Names("test");
  const codec = options.codec ?? config.codec ?? "msgpack";
  const { stream, subject, body } = arrive(names, config);
  const delivery = new TestDelivery({
    stream,
    subject,
    count: Math.max(options.attempt, options.deliveries ?? 1),
    ackWaitMs: config.ackWaitMs,
    storedAtMs: wallMs(),
    headers: {
      ...checkUserHeaders(options.headers),
      [header.id]: options.id === undefined ? newId() : checkId(options.id),
      [header.contentType]: contentTypes[codec],
    },
    body: encode(body, codec),
  });
  await instance.start();
  try {
    return await execute({ config, instance, names, delivery, options });
  } finally {
    await instance.stop();
  }
}

interface Execution {
  config: ResolvedConfig;
  instance: AnyActor;
  names: Names;
  delivery: TestDelivery;
  options: z.output<typeof shape>;
}

async function execute({ config, instance, names, delivery, options }: Execution): Promise<ActorRun> {
  const recorder = new Recorder(names);
  const progress: unknown[] = [];
  const problems: Error[] = [];
  let outcome: Outcome | undefined;
  let onDead: ActorRun["onDead"] = { state: "not-called" };
  const run = new Run(
    delivery,
    {
      actor: config.name,
      sender: recorder,
      log: options.log ?? silentLogger,
      onProgress: (_run, value) => progress.push(value),
      tools: new TestTools(),
      isTask: (stream) => stream === names.tasks || stream === names.schedule,
    },
    monotonicMs(),
  );
  const executor = new Executor({
    names,
    config,
    actor: instance,
    middleware: options.use,
    decoder: new Decoder(names, config),
    runs: {
      look: async () => ({ record: pastOf(run.id, config, options), revision: 1 }),
      note: async () => ({ said: "noted", seen: { record: undefined, revision: 1 } }),
    },
    lifecycle: new Lifecycle(),
    budget: new RetryBudget(),
    suspects: new Suspects(),
    settler: {
      settle: async (_run, decided, input) => {
        outcome = decided;
        if (decided.kind !== "dead" || input === undefined) return;
        try {
          run.beginOnDead();
          await instance.onDead(input as never, decided.error, run as never);
          onDead = { state: "returned" };
        } catch (thrown) {
          onDead = { state: "threw", error: toError(thrown) };
        }
      },
    },
    reporter: {
      started: () => undefined,
      handled: () => undefined,
      stalled: () => undefined,
      overdueBy: () => undefined,
      abandonedAt: () => undefined,
      lateEnd: () => undefined,
      problem: (error) => problems.push(error),
    },
    ...(options.random && { random: options.random }),
    onFree: () => undefined,
  });
  const stop = (): void => {
    run.abort(new Error("the worker stops"));
    void executor.giveUp(run, { kind: "interrupted" });
  };
  if (options.stop?.aborted) stop();
  options.stop?.addEventListener("abort", stop, { once: true });
  // A time limit holds no process, and there may be nothing else that does.
  const holding = setInterval(() => undefined, maxTimerMs);
  try {
    await executor.execute(run);
  } finally {
    clearInterval(holding);
    options.stop?.removeEventListener("abort", stop);
  }
  // Nothing that the executor needs can be away here, so this is a bug of ours and not an outcome.
  if (outcome === undefined || outcome.kind === "lost") throw problems[0] ?? new Error("the run came to no outcome");
  return { outcome, told: recorder.told, published: recorder.published, progress, onDead };
}

/** What earlier attempts have left in the runs record. */
function pastOf(id: string, config: ResolvedConfig, options: z.output<typeof shape>): RunsRecord {
  const runs: RunsRecord["runs"] = {};
  for (let count = 1; count < options.attempt; count++) runs[count] = "failed";
  const delayMs = options.lastDelay ?? (options.attempt > 1 ? config.retry.baseMs : 0);
  return { v: 1, id, runs, errors: [], delayMs, until: 0 };
}
