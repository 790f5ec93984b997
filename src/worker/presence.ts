/**
 * Presence: who works, and what he says of himself.
 * 1. Each worker leaves who it is and how it does in the workers bucket, under a lease: one that dies without a word is known by that for a
 *    while. What it turns to is written at once.
 * 2. It answers questions over core NATS, so that being watched costs nothing while nobody watches. Open pulls would not tell who is
 *    there: a worker that is full, or that a guard holds back, has none.
 */
import type { Bucket } from "../broker/bucket.ts";
import { pause } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import type { MessagePlace } from "../message/place.ts";
import type { InHand, MessageAnswer } from "./answers.ts";
import { answerTo, readWorkerQuestion, type AskServices } from "./questions.ts";
import type { Declared, WorkerFigures, WorkerIdentity, WorkerLease, WorkerSnapshot } from "./snapshot.ts";

export interface PresenceOptions extends AskServices {
  workers: Pick<Bucket, "put">;
  identity: WorkerIdentity;
  /** By actor: what it goes by. */
  declared: Record<string, Declared>;
  figures: () => WorkerFigures;
  snapshot: () => WorkerSnapshot;
  /** What it knows of a message, one for each of its actors that does. */
  find: (message: MessagePlace) => { actor: string; inHand: InHand }[];
  onProblem: (error: Error) => void;
}

/** A worker that was killed is listed for so long. */
const leaseMs = 30_000;
const renewMs = 10_000;
const goneMs = 1_000;
/** How long the bucket may take to answer, and while it drains: a worker that stops waits for the last answer. */
const writeTimeoutMs = 5_000;
const drainTimeoutMs = 1_000;
const nothing = new Uint8Array();

export class Presence {
  readonly #options: PresenceOptions;
  readonly #ended = new AbortController();
  #endings: (() => void)[] = [];
  #announced: Promise<void> | undefined;
  #lease: Promise<void> | undefined;
  /** Aborted when what the lease says no longer holds. */
  #outdated = new AbortController();
  #told = false;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Leaves word. It answers nobody yet. Resolves once the word is there, or could not be written. */
  announce(): Promise<void> {
    return (this.#announced ??= new Promise((resolve) => {
      this.#lease = this.#keepLease(resolve).finally(resolve);
    }));
  }

  /** Its state is another one: the lease is to say so. */
  tell(): void {
    this.#outdated.abort();
  }

  /** Answers from now on. */
  start(): void {
    const { names, identity } = this.#options;
    this.#endings = [
      answerTo(this.#options, names.workersSubject, (question, answer) => {
        const reply = this.#answer(question);
        if (reply !== undefined) answer(Buffer.from(JSON.stringify(reply)));
      }),
      ...identity.actors.map((actor) =>
        answerTo(this.#options, names.workerSubject(actor), (_question, answer) => answer(nothing)),
      ),
    ];
    void this.announce();
  }

  /** No longer there. Resolves once the bucket knows, or could not be told. */
  async stop(): Promise<void> {
    for (const end of this.#endings) end();
    this.#endings = [];
    this.#ended.abort();
    this.tell();
    await this.#lease;
  }

  #answer(body: Uint8Array): WorkerSnapshot | MessageAnswer[] | undefined {
    const { identity, snapshot, find } = this.#options;
    const question = readWorkerQuestion(body);
    if (question?.ask === "snapshot") return snapshot();
    if (question?.ask !== "message") return undefined;
    const { id, host, pid } = identity;
    const found = find(question);
    return found.map(({ actor, inHand }) => ({ worker: { id, host, pid }, actor, inHand }));
  }

  async #keepLease(onTold: () => void): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      this.#outdated = new AbortController();
      const figures = this.#options.figures();
      const { identity, declared } = this.#options;
      const record: WorkerLease = { ...identity, figures, declared };
      const timeoutMs = figures.state === "draining" ? drainTimeoutMs : writeTimeoutMs;
      await this.#write(Buffer.from(JSON.stringify(record)), leaseMs, timeoutMs);
      onTold();
      await pause(renewMs, this.#outdated.signal);
    }
    // Keys with a time to live are overwritten, never purged: the server would leak their timers.
    await this.#write(nothing, goneMs, drainTimeoutMs);
  }

  async #write(value: Uint8Array, ttlMs: number, timeoutMs: number): Promise<void> {
    const { workers, identity, onProblem } = this.#options;
    try {
      await workers.put(identity.id, value, { ttlMs, timeoutMs });
      this.#told = false;
    } catch (thrown) {
      if (!this.#told && !this.#ended.signal.aborted) {
        const cause = toError(thrown);
        onProblem(new Error(`This worker cannot make itself known (${cause.message}); it works on.`, { cause }));
      }
      this.#told = true;
    }
  }
}
