/**
 * Live: frames for those who watch, one every two seconds.
 * 1. Nothing is asked while nobody watches; all who watch share one round of questions.
 * 2. A round that fails in part leaves what it could not read as it was, and says so in the frame.
 */
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { ClosedError, toError } from "../../kernel/errors.ts";
import type { Redrive } from "../../lifecycle/redrive.ts";
import type { SystemParts } from "../../system/parts.ts";
import type { BreakerFrame, Frame, History, LimitFrame } from "../api.ts";
import { Inspector } from "../inspector.ts";
import type { WorkerStatus } from "../workers.ts";
import { frameOf } from "./frame.ts";
import { Paced } from "./paced.ts";
import { Recent } from "./recent.ts";
import { ServerFigures } from "./server-figures.ts";
import { Spans } from "./span.ts";

export interface Watcher {
  onFrame: (frame: Frame) => void;
  /** No more frames will come: it was closed. */
  onEnd?: () => void;
}

const everyMs = 2_000;
/** What the first rates are made of. */
const firstMs = 1_000;
/** For those who look again in a moment, as a page that is loaded anew. */
const lingerMs = 5_000;
/** What takes long here is waiting, and costs nobody anything. */
const waited = { share: 1 };

export class Live {
  readonly #parts: SystemParts;
  readonly #inspector: Inspector;
  readonly #figures: ServerFigures;
  readonly #workers = new Paced("What workers say of themselves", [] as WorkerStatus[], waited);
  readonly #breakers = new Paced("The circuit breakers", [] as BreakerFrame[]);
  readonly #limits = new Paced("The limits", [] as LimitFrame[]);
  readonly #spans = new Spans();
  readonly #recent = new Recent();
  readonly #watchers = new Set<Watcher>();
  readonly #ended = new AbortController();
  #rounds: Promise<void> | undefined;
  /** Of this row of rounds; the first has no rates of workers that began long before. */
  #round = 0;
  #last: { frame: Frame; atMs: number } | undefined;

  constructor(system: { readonly parts: SystemParts; readonly dead: Redrive }) {
    const { parts } = system;
    this.#parts = parts;
    this.#inspector = new Inspector(system);
    this.#figures = new ServerFigures(parts.names, parts.reader);
  }

  /** Whether it asks anybody anything at the moment. */
  get running(): boolean {
    return this.#rounds !== undefined;
  }

  /** @returns a function that ends it. */
  watch(watcher: Watcher): () => void {
    if (this.#ended.signal.aborted) {
      watcher.onEnd?.();
      return () => undefined;
    }
    this.#watchers.add(watcher);
    this.#rounds ??= this.#run().finally(() => (this.#rounds = undefined));
    return () => void this.#watchers.delete(watcher);
  }

  /** One frame with rates, no older than two seconds; takes about a second where nobody watches. @throws ClosedError. */
  frame(): Promise<Frame> {
    const last = this.#last;
    if (last !== undefined && monotonicMs() - last.atMs < everyMs && this.#round > 1)
      return Promise.resolve(last.frame);
    return new Promise((resolve, reject) => {
      const end = this.watch({
        onFrame: (frame) => {
          if (this.#round < 2) return;
          end();
          resolve(frame);
        },
        onEnd: () => reject(new ClosedError("dashboard")),
      });
    });
  }

  /** Of the last five minutes, as far as somebody watched. */
  history(): History {
    return this.#recent.history();
  }

  /** Ends what all who watch see, and resolves once nothing is asked any more. */
  async close(): Promise<void> {
    this.#ended.abort();
    for (const { onEnd } of this.#watchers) onEnd?.();
    this.#watchers.clear();
    await this.#rounds;
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    this.#round = 0;
    let watchedAtMs = monotonicMs();
    while (!signal.aborted) {
      const beganMs = monotonicMs();
      if (this.#watchers.size > 0) watchedAtMs = beganMs;
      else if (beganMs - watchedAtMs >= lingerMs) return;
      const frame = await this.#read().catch((thrown: unknown) => this.#unread(toError(thrown)));
      if (signal.aborted) return;
      this.#round += 1;
      this.#last = { frame, atMs: monotonicMs() };
      this.#recent.add(frame);
      for (const { onFrame } of this.#watchers) onFrame(frame);
      const restMs = (this.#round === 1 ? firstMs : everyMs) - (monotonicMs() - beganMs);
      await pause(Math.max(100, restMs), signal);
    }
  }

  async #read(): Promise<Frame> {
    const { names, connection } = this.#parts;
    const cut = connection.up ? [] : ["There is no connection to the NATS server; the figures are as of before."];
    if (!connection.up && this.#last !== undefined) {
      return { ...this.#last.frame, at: new Date().toISOString(), stale: true, problems: cut };
    }
    const workersRead = this.#workers.refresh(() => this.#ask());
    const [server, workers, breakers, limits] = await Promise.all([
      this.#figures.read(),
      workersRead,
      workersRead.then((workers) => this.#breakers.refresh(() => this.#inspector.breakers(workers))),
      workersRead.then((workers) => this.#limits.refresh(() => this.#inspector.limits(workers))),
    ]);
    const paced = [this.#workers, this.#breakers, this.#limits].flatMap(({ problem }) => problem ?? []);
    return frameOf({
      at: new Date().toISOString(),
      namespace: names.namespace,
      server,
      workers,
      spans: this.#spans.at(monotonicMs()),
      breakers,
      limits,
      problems: [...cut, ...this.#figures.problems, ...paced],
    });
  }

  /** What was said makes no sense: the frame before, for those who watch must be told something, and the next round may do better. */
  #unread({ message }: Error): Frame {
    const at = new Date().toISOString();
    const problems = [
      `What the server and the workers say cannot be understood (${message}); the figures are as of before.`,
    ];
    if (this.#last !== undefined) return { ...this.#last.frame, at, problems };
    const server = { actors: new Map(), dead: 0 };
    const { namespace } = this.#parts.names;
    return frameOf({ at, namespace, server, workers: [], spans: new Map(), breakers: [], limits: [], problems });
  }

  async #ask(): Promise<WorkerStatus[]> {
    const workers = await this.#inspector.workers();
    const snapshots = workers.flatMap(({ snapshot }) => snapshot ?? []);
    this.#spans.hear(monotonicMs(), snapshots);
    return workers;
  }
}
