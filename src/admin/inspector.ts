/** Inspector: what people and tools ask of a running system. The command line and the dashboard sit on it. */
import type { Duration } from "../kernel/duration.ts";
import type { Redrive } from "../lifecycle/redrive.ts";
import type { SystemParts } from "../system/parts.ts";
import type {
  BreakerFrame,
  BulkResult,
  DeadDetail,
  DeadGroups,
  DeadPage,
  DeadQuery,
  Explanation,
  LimitFrame,
} from "./api.ts";
import { closeBreaker, listBreakers, openBreaker, type BreakerChange } from "./breakers.ts";
import { deadDetail } from "./dead/detail.ts";
import { deadGroups, deadPage } from "./dead/letters.ts";
import { deleteMany, requeueMany, type ManyHooks, type Selection } from "./dead/many.ts";
import { listDurables, type ActorDurable } from "./durables.ts";
import { diagnose, type Diagnosis, type DoctorOptions } from "./doctor.ts";
import { explain, type ExplainOptions } from "./explain.ts";
import { holdLimit, listLimits, releaseLimit, type LimitHold } from "./limits.ts";
import { pauseActor, resumeActor, type Paused, type Resumed } from "./pause.ts";
import { retire, type Retired } from "./retire.ts";
import { mendStranded, type Mended } from "./stranded.ts";
import { readStatus, type Status } from "./status.ts";
import { listWorkers, type WorkerStatus } from "./workers.ts";

export class Inspector {
  readonly #parts: SystemParts & { readonly dead: Redrive };

  /** @param system an `ActorSystem`; one connected with `provision: "use"` will do. */
  constructor(system: { readonly parts: SystemParts; readonly dead: Redrive }) {
    this.#parts = { ...system.parts, dead: system.dead };
  }

  /**
   * How much is stored where, how each actor stands and what holds it up, and what nobody serves.
   * @param workers where they are known already: `workers()` asks the whole fleet.
   */
  status(workers?: readonly WorkerStatus[]): Promise<Status> {
    return readStatus(this.#parts, workers);
  }

  /**
   * What has become of a message.
   * @param query its id, or its place: `STREAM:SEQ`.
   * @throws InvalidNameError for what is neither.
   */
  explain(query: string, options: ExplainOptions = {}): Promise<Explanation> {
    return explain(this.#parts, query, options);
  }

  /**
   * Deletes every durable of an actor, the only thing that does.
   * @param options.force also while workers listen or messages wait.
   * @throws NotFoundError where it has none, InvalidNameError; InUseError, which says what would be lost.
   */
  retire(actor: string, options: { force?: boolean } = {}): Promise<Retired> {
    return retire(this.#parts, actor, options);
  }

  /**
   * Nothing more is delivered to the actor, on any host, neither new messages nor retries; what runs goes on and is settled.
   * It outlives every worker.
   * @param options.for how long. Default: until it is resumed. A second pause replaces the first.
   * @throws NotFoundError where it has never run, InvalidNameError, ConfigError.
   */
  pause(actor: string, options: { for?: Duration } = {}): Promise<Paused> {
    return pauseActor(this.#parts, actor, options);
  }

  /** Ends a pause. @throws NotFoundError where the actor has never run, InvalidNameError. */
  resume(actor: string): Promise<Resumed> {
    return resumeActor(this.#parts, actor);
  }

  /**
   * Every worker, the oldest first: those that answer with all that they say of themselves, and those that should and do not.
   * @param options.waitMs how long answers are waited for, where not all come. Default 500.
   */
  workers(options: { waitMs?: number } = {}): Promise<WorkerStatus[]> {
    return listWorkers(this.#parts, options.waitMs);
  }

  /**
   * Every breaker that has ever opened, or that a running worker's actor names, by name.
   * @param workers where they are known already: `workers()` asks the whole fleet.
   */
  async breakers(workers?: readonly WorkerStatus[]): Promise<BreakerFrame[]> {
    return listBreakers(this.#parts, workers ?? (await this.workers()));
  }

  /**
   * Opens a circuit for the whole fleet: nothing runs under it, nothing probes and nothing closes it but `closeBreaker` or the end of its time.
   * It outlives every worker.
   * @param options.for how long; then one call may probe. Default: until it is closed by hand.
   * @param options.force also where nobody is known to use it.
   * @throws InvalidNameError, ConfigError; NotFoundError where nobody is known to use it.
   */
  async openBreaker(name: string, options: { for?: Duration; force?: boolean } = {}): Promise<BreakerChange> {
    return openBreaker(this.#parts, name, await this.workers(), options);
  }

  /** Closes a circuit at once, also one that opened by itself. @throws InvalidNameError; NotFoundError where nobody is known to use it. */
  async closeBreaker(name: string): Promise<BreakerChange> {
    return closeBreaker(this.#parts, name, await this.workers());
  }

  /** What is wrong, what will be, and how to mend each. Changes nothing; see `diagnose` for a system that cannot be connected to. */
  doctor(options: DoctorOptions = {}): Promise<Diagnosis> {
    return diagnose(this.#parts, options);
  }

  /**
   * Has messages handed out again that are stored and that no durable owes any more: what the doctor's check `stranded` counts. Nothing that is in
   * flight is touched; their attempts begin again.
   * @returns what was found, by actor and stream; what could not be told apart from messages in flight is left.
   */
  mendStranded(): Promise<Mended[]> {
    return mendStranded(this.#parts);
  }

  /**
   * Every rate limit and concurrency limit that is in use or held, by name.
   * @param workers where they are known already.
   */
  async limits(workers?: readonly WorkerStatus[]): Promise<LimitFrame[]> {
    return listLimits(this.#parts, workers ?? (await this.workers()));
  }

  /**
   * Nobody starts under a rate limit for so long, on any host; longer where a penalty says so.
   * @param options.key of a limit by key: only that key. Default: every key.
   * @throws InvalidNameError, ConfigError; NotFoundError where no worker has it in use.
   */
  holdLimit(name: string, duration: Duration, options: { key?: string } = {}): Promise<LimitHold> {
    return holdLimit(this.#parts, name, duration, options);
  }

  /**
   * Ends a rate limit's penalty or hold at once.
   * @param options.key of a limit by key: what was said of that key. Default: what was said of all.
   * @throws InvalidNameError, ConfigError; NotFoundError where no worker has it in use.
   */
  releaseLimit(name: string, options: { key?: string } = {}): Promise<LimitHold> {
    return releaseLimit(this.#parts, name, options);
  }

  /** Every durable of every actor, with the actor that it belongs to. */
  durables(): Promise<ActorDurable[]> {
    return listDurables(this.#parts.names, this.#parts.reader);
  }

  /** Dead letters, the newest first. A query by more than the actor looks through 10,000 of them for each page, and says so. */
  deadPage(query: DeadQuery = {}, page: { before?: number; limit?: number } = {}): Promise<DeadPage> {
    return deadPage(this.#parts, query, { limit: 50, ...page });
  }

  /** The newest 10,000 dead letters by what they died of. */
  deadGroups(query: DeadQuery = {}): Promise<DeadGroups> {
    return deadGroups(this.#parts, query);
  }

  /**
   * One dead letter, whole.
   * @param options.bodies false leaves out headers and body. Default true.
   * @throws NotFoundError, DecodeError for what Godwit did not write.
   */
  deadLetter(sequence: number, options: { bodies?: boolean } = {}): Promise<DeadDetail> {
    return deadDetail(this.#parts.dead, sequence, options.bodies ?? true);
  }

  /** Sends dead letters again, those named or the newest that fit: at most 1,000 that fit, of 10,000 looked at, in one call. */
  requeueDead(selection: Selection, hooks?: ManyHooks): Promise<BulkResult> {
    return requeueMany(this.#parts, selection, hooks);
  }

  /** Deletes dead letters for good, likewise. */
  deleteDead(selection: Selection, hooks?: ManyHooks): Promise<BulkResult> {
    return deleteMany(this.#parts, selection, hooks);
  }
}
