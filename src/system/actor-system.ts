/** ActorSystem: a connection and everything built on it. It wires the parts together and does nothing else. */
import type { ActorClass, ActorInput, ActorOutput, ActorSource, Agreeing } from "../actor/actor-class.ts";
import type { PublishOptions, Sender, Sent, TellOptions } from "../actor/context.ts";
import type { EventInput, EventType } from "../actor/event.ts";
import { configsOf } from "../actor/registry.ts";
import { Absences } from "../broker/absences.ts";
import { Acknowledger } from "../broker/acknowledger.ts";
import { Bucket } from "../broker/bucket.ts";
import { Bus } from "../broker/bus.ts";
import { Connection } from "../broker/connection.ts";
import { EmbeddedServer } from "../broker/embedded/server.ts";
import { Objects } from "../broker/objects.ts";
import { Payloads } from "../broker/payloads.ts";
import { Pipeline } from "../broker/pipeline.ts";
import { PublishTally } from "../broker/publish-tally.ts";
import { Publisher } from "../broker/publisher.ts";
import { StreamReader } from "../broker/stream-reader.ts";
import { Topology } from "../broker/topology.ts";
import { ClosedError, toError } from "../kernel/errors.ts";
import { toMs, type Duration } from "../kernel/duration.ts";
import { forgivingLogger, type Logger } from "../kernel/logger.ts";
import { DeadLetters } from "../lifecycle/dead-letter.ts";
import { Redrive } from "../lifecycle/redrive.ts";
import { RunsStore } from "../lifecycle/runs.ts";
import { checkId } from "../message/names.ts";
import { Names } from "../message/subjects.ts";
import { Endpoint, type EndpointOptions } from "../observe/endpoint.ts";
import type { HttpServer } from "../observe/http-server.ts";
import { defaultDemand } from "../observe/demand.ts";
import { loadOf, type ProcessLoad } from "../observe/load.ts";
import { logConnection } from "../observe/connection-log.ts";
import { createLogger, logWorker } from "../observe/log.ts";
import { metricsContentType } from "../observe/metrics-snapshot.ts";
import { Roster } from "../observe/roster.ts";
import type { SendingParts } from "../observe/traced-sender.ts";
import { isTracerRegistered, startTracing, type Tracing } from "../observe/tracing.ts";
import { Asker, type AskOptions } from "../producer/asker.ts";
import { Producer, target, type ManyOptions, type ManySent } from "../producer/producer.ts";
import { Results, type Outcome } from "../result/results.ts";
import { ServerClock } from "../broker/server-clock.ts";
import { GuardRegistry } from "../guard/registry.ts";
import { SharedState } from "../guard/shared-state.ts";
import { Suspects } from "../worker/suspects.ts";
import type { WorkOptions } from "../worker/services.ts";
import { ensureDurables } from "../worker/durables.ts";
import { warnUnserved } from "../worker/served.ts";
import { Worker } from "../worker/worker.ts";
import { OpenCalls } from "./open-calls.ts";
import { endOf } from "./server-end.ts";
import type { SystemParts } from "./parts.ts";
import { resolveSystemOptions, type ResolvedSystemOptions, type SystemOptions } from "./options.ts";

/** How long calls under way get at the end, unless `close` says otherwise. An election takes 4 to 12 s. */
const defaultGraceMs = 10_000;

export class ActorSystem implements Sender {
  /** Dead letters: list, show, requeue, purge. */
  readonly dead: Redrive;
  readonly log: Logger;
  /** Resolves, with why, when the embedded server ends by itself; `undefined` without one. Nothing works from then on. */
  readonly serverEnded: Promise<string> | undefined;
  /** For the inspector and other tools; not for services. @internal */
  readonly parts: SystemParts;
  /** For the supervisor of this process. @internal */
  readonly endpoint: Endpoint;
  readonly #options: ResolvedSystemOptions;
  readonly #server: EmbeddedServer | undefined;
  readonly #connection: Connection;
  readonly #pipeline: Pipeline;
  readonly #acknowledger: Acknowledger;
  readonly #bus: Bus;
  readonly #calls = new OpenCalls(() => this.#closed !== undefined);
  /** Behind what traces. */
  readonly #sends: Producer;
  readonly #producer: SendingParts["producer"];
  readonly #asker: Asker;
  readonly #ask: Asker["ask"];
  readonly #tracing: Tracing | undefined;
  readonly #topology: Topology;
  readonly #absences: Absences;
  readonly #payloads: Payloads;
  readonly #objects: readonly Objects[];
  readonly #deadLetters: DeadLetters;
  readonly #roster = new Roster();
  readonly #suspects = new Suspects();
  readonly #guards: GuardRegistry;
  #closed: Promise<void> | undefined;

  private constructor(
    options: ResolvedSystemOptions,
    connection: Connection,
    server: EmbeddedServer | undefined,
    topology: Topology,
    log: Logger,
  ) {
    this.#options = options;
    this.#connection = connection;
    this.#server = server;
    this.#topology = topology;
    this.log = log;
    const names = new Names(options.namespace);
    this.#absences = new Absences({ names, connection, topology, provision: options.provision, log });
    this.#pipeline = new Pipeline(connection, this.#absences);
    this.#acknowledger = new Acknowledger(this.#pipeline);
    this.#bus = new Bus(connection);
    const publishing = options.metrics ? new PublishTally() : undefined;
    const publisher = new Publisher(connection, this.#pipeline, publishing);
    const bucket = (name: string): Bucket => new Bucket(name, this.#pipeline, publisher);
    const reader = new StreamReader(connection);
    const report = ({ message }: Error): void => this.log.error({ reason: message }, "garbage is stored");
    const results = new Results(names, bucket(names.resultsBucket), this.#bus, report);
    const runs = new RunsStore(names, bucket(names.runsBucket));
    const breakers = new SharedState<unknown>(bucket(names.breakersBucket), this.#bus, names, report);
    const limits = new SharedState<unknown>(bucket(names.limitsBucket), this.#bus, names, report);
    const clock = new ServerClock(this.#pipeline, `KV_${names.limitsBucket}`);
    this.#guards = new GuardRegistry({
      breakers,
      limits,
      once: bucket(names.onceBucket),
      clock,
      onUp: (listener) => connection.onUp(listener),
    });
    const workers = bucket(names.workersBucket);
    this.parts = { names, connection, bus: this.#bus, reader, results, runs, workers, breakers, limits, clock };
    const bodies = new Objects({ connection, bucket: names.bodiesBucket, topology });
    const large = new Objects({ connection, bucket: names.payloadsBucket, topology });
    this.#objects = [bodies, large];
    const { maxBytes } = options.payload;
    const maxAgeMs = topology.settings["payload.maxAge"];
    const nowMs = (): number => clock.nowMs();
    const sending = { names, publisher, objects: large, reader, maxAgeMs, maxBytes, nowMs };
    const payloads = (this.#payloads = new Payloads(sending));
    const deadLetters = (this.#deadLetters = new DeadLetters(names, publisher, reader, bodies));
    const redriving = { names, reader, publisher, payloads, deadLetters, claims: bucket(names.limitsBucket) };
    this.dead = new Redrive({ ...redriving, take: (call) => this.#calls.take(call) });
    const producer: Producer = new Producer({
      names,
      publisher,
      payloads,
      defaults: { codec: options.codec, payload: options.payload, nowMs },
      clock,
      // A courtesy: the task is stored, and its sender must not think otherwise.
      onAccepted: (actor, id) =>
        results.pending(actor, id).catch((thrown: unknown) => {
          this.log.warn({ actor, id, error: toError(thrown).message }, "could not note that the task is pending");
        }),
      onFirstTell: (actor) => void warnUnserved(this.parts, actor, this.log),
    });
    this.#sends = producer;
    this.#asker = new Asker({
      names,
      bus: this.#bus,
      producer,
      findOutcome: (actor, id, waitMs) => results.get(actor, id, waitMs),
    });
    this.endpoint = new Endpoint({
      names,
      reader,
      connection,
      publishing,
      guards: this.#guards,
      roster: this.#roster,
      demand: { ...defaultDemand, drainTargetMs: options.drainTargetMs },
      absences: this.#absences,
      closing: () => this.#closed !== undefined,
    });
    this.#tracing = (options.tracing ?? isTracerRegistered()) ? startTracing(names) : undefined;
    const traced = this.#tracing?.sender({ producer, asker: this.#asker });
    this.#producer = traced ?? producer;
    const asker = traced ?? this.#asker;
    this.#ask = (actor, body, askOptions) => asker.ask(actor, body, askOptions);
    this.serverEnded = server && endOf(server, this.log, () => this.#closed !== undefined);
    logConnection(connection, this.log, () => this.#closed !== undefined);
  }

  /**
   * Connects, or starts an embedded server first, checks the server's version, and provisions the streams.
   * @throws ConfigError, ConnectError, TlsError, NotAuthorizedError, UnsupportedServerError, EmbeddedServerError, TopologyMismatchError.
   */
  static async connect(options: SystemOptions = {}): Promise<ActorSystem> {
    const resolved = resolveSystemOptions(options, process.env);
    const server = resolved.embedded && (await EmbeddedServer.start(resolved.embedded));
    let connection: Connection | undefined;
    try {
      connection = await Connection.open({
        servers: server ? [server.url] : [...resolved.servers],
        name: resolved.name,
        auth: resolved.auth,
        tls: resolved.tls,
        inboxPrefix: resolved.inboxPrefix,
        domain: resolved.domain,
      });
      const log = "child" in resolved.log ? forgivingLogger(resolved.log) : createLogger(resolved.log);
      const { asked, lower, namespace, provision } = resolved;
      const topology = new Topology(connection, { names: new Names(namespace), asked, lower, provision, log });
      await topology.reconcile();
      return new ActorSystem(resolved, connection, server, topology, log);
    } catch (error) {
      await connection?.close();
      await server?.stop();
      throw error;
    }
  }

  /** The addresses in use; with an embedded server, the one that it listens on. */
  get servers(): string[] {
    return this.#connection.servers;
  }

  get namespace(): string {
    return this.#options.namespace;
  }

  // The overload with a class stands last in each pair: the type checker explains a mismatch by the last one.

  /** Sends a task. Resolves once JetStream has it. @throws InvalidMessageError, QueueFullError, PayloadTooLargeError, NotAuthorizedError, PublishTimeoutError. */
  tell(actor: string, body: unknown, options?: TellOptions): Promise<Sent>;
  tell<C extends ActorClass>(actor: C & Agreeing<C>, body: ActorInput<C>, options?: TellOptions): Promise<Sent>;
  tell(actor: ActorClass | string, body: unknown, options?: TellOptions): Promise<Sent> {
    return this.#calls.take(() => this.#producer.tell(actor, body, options));
  }

  /** Sends a task for each body of an iterable, as fast as the server takes them; what fails is listed and does not stop the rest. */
  tellMany<Body>(
    actor: string,
    bodies: Iterable<Body> | AsyncIterable<Body>,
    options?: ManyOptions<Body>,
  ): Promise<ManySent>;
  tellMany<C extends ActorClass>(
    actor: C & Agreeing<C>,
    bodies: Iterable<ActorInput<C>> | AsyncIterable<ActorInput<C>>,
    options?: ManyOptions<ActorInput<C>>,
  ): Promise<ManySent>;
  tellMany(
    actor: ActorClass | string,
    bodies: Iterable<unknown> | AsyncIterable<unknown>,
    options?: ManyOptions,
  ): Promise<ManySent> {
    return this.#calls.take(() => this.#producer.tellMany(actor, bodies, options));
  }

  /**
   * Sends a task and waits for what its `receive` returns.
   * @throws AskTimeoutError, TaskFailedError, DuplicateError, and what `tell` throws.
   */
  ask(actor: string, body: unknown, options?: AskOptions): Promise<unknown>;
  ask<C extends ActorClass>(actor: C & Agreeing<C>, body: ActorInput<C>, options?: AskOptions): Promise<ActorOutput<C>>;
  ask(actor: ActorClass | string, body: unknown, options?: AskOptions): Promise<unknown> {
    return this.#calls.take(() => this.#ask(actor, body, options));
  }

  /** Publishes an event: every subscribed actor gets its own copy. */
  publish(subject: string, body: unknown, options?: PublishOptions): Promise<Sent>;
  publish<E extends EventType>(event: E, body: EventInput<E>, options?: PublishOptions): Promise<Sent>;
  publish(event: EventType | string, body: unknown, options?: PublishOptions): Promise<Sent> {
    return this.#calls.take(() => this.#producer.publish(event, body, options));
  }

  /**
   * What became of a task of an actor that keeps results: pending, completed with its value, failed with its error, or `undefined`
   * where nothing is known of it.
   * @param options.wait how long to wait for a final answer. Default: not at all.
   */
  result<C extends ActorClass>(
    actor: C,
    id: string,
    options?: { wait?: Duration },
  ): Promise<Outcome<ActorOutput<C>> | undefined>;
  result(actor: string, id: string, options?: { wait?: Duration }): Promise<Outcome | undefined>;
  result(actor: ActorClass | string, id: string, options: { wait?: Duration } = {}): Promise<Outcome | undefined> {
    const { wait } = options;
    return this.#calls.take(() =>
      this.parts.results.get(target(actor).name, checkId(id), wait === undefined ? 0 : toMs(wait, "wait")),
    );
  }

  /**
   * Starts a worker for these actors: classes, or functions that make them.
   * @throws ConfigError, ActorNotFoundError, InvalidNameError, TopologyMismatchError, ActorStartError.
   */
  work<const Sources extends readonly ActorSource[]>(
    sources: Sources & { [Index in keyof Sources]: Agreeing<Sources[Index]> },
    options: WorkOptions = {},
  ): Promise<Worker> {
    return this.#calls.open(async () => {
      const worker: Worker = new Worker(sources, options, {
        names: this.parts.names,
        connection: this.#connection,
        acknowledger: this.#acknowledger,
        bus: this.#bus,
        workers: this.parts.workers,
        group: this.#options.group,
        reader: this.parts.reader,
        healthWindowMs: () => this.endpoint.healthWindowMs,
        // Not the system itself: its workers send until the last handler has ended, after close() was called.
        sender: this.#calls.counted(this.#producer),
        suspects: this.#suspects,
        guards: this.#guards,
        clock: this.parts.clock,
        tracer: this.#tracing?.runs,
        payloads: this.#payloads,
        payload: this.#options.payload,
        runs: this.parts.runs,
        results: this.parts.results,
        deadLetters: this.#deadLetters,
        provision: this.#options.provision,
        log: this.log,
        timed: this.#options.metrics,
        onStopped: () => this.#roster.retire(worker),
      });
      // Settings may have been changed by hand since it connected.
      await this.#topology.reconcile({ objectStores: true });
      // A close meanwhile knows of no worker to stop.
      if (this.#closed !== undefined) throw new ClosedError("system");
      this.#absences.watch();
      logWorker(worker, this.log);
      this.#roster.add(worker);
      await worker.start();
      return worker;
    });
  }

  /** What a process says to its supervisor of the work that it does. @internal */
  load(): ProcessLoad {
    return loadOf(this.#roster);
  }

  /**
   * Makes, as `provision` says, what systems with fewer rights will need and the connection has not made yet: the object stores, and the
   * durables of these actors. Starts none of them.
   * @throws TopologyMismatchError, and what `work` throws of sources that are no actors.
   */
  provision(sources: readonly ActorSource[]): Promise<void> {
    return this.#calls.open(async () => {
      for (const objects of this.#objects) await objects.ready();
      for (const config of configsOf(sources)) {
        await ensureDurables({ ...this.parts, log: this.log }, config, this.#options.provision);
      }
    });
  }

  /** What Prometheus scrapes, in its text format: for services that have an HTTP server of their own. It is of type `metricsContentType`. */
  metrics(): Promise<string> {
    return this.#calls.open(() => this.endpoint.metrics.page());
  }

  get metricsContentType(): string {
    return metricsContentType;
  }

  /**
   * Serves `/metrics`, `/healthz` and `/readyz` over HTTP, from when it resolves until the end of `close()`. Call it before `work()`: what
   * asks `/readyz` learns when the workers have started.
   * @throws ConfigError, ListenError where the port cannot be had.
   */
  serveMetrics(options: EndpointOptions = {}): Promise<HttpServer> {
    return this.#calls.open(() => this.endpoint.serve(options));
  }

  /**
   * Takes nothing new, stops its workers, waits for the calls that it has taken, closes the connection, and stops the embedded server. What
   * is not settled in time is `CLOSED` where nothing was sent, `PUBLISH_TIMEOUT` where it may be stored. A second call joins the first.
   * @param options.grace for what runs in workers, and then for calls under way. Default 30 s and 10 s.
   * @throws ConfigError for a grace that is no duration; nothing is closed.
   */
  close(options: { grace?: Duration } = {}): Promise<void> {
    if (this.#closed === undefined) {
      const { grace } = options;
      this.#closed = this.#closeOnce(grace === undefined ? undefined : toMs(grace, "grace"));
    }
    return this.#closed;
  }

  async #closeOnce(graceMs: number | undefined): Promise<void> {
    this.#sends.stop();
    const stopping = graceMs === undefined ? {} : { grace: graceMs };
    await Promise.all([...this.#roster.workers].map((worker) => worker.stop(stopping)));
    await this.#calls.settled(graceMs ?? defaultGraceMs);
    this.#sends.close();
    this.#absences.stop();
    await this.endpoint.close();
    await this.#guards.close();
    this.#pipeline.close();
    this.parts.results.close();
    await this.#asker.close();
    await this.#connection.close();
    await this.#server?.stop();
  }
}
