/**
 * Watchdog: compares what comes through each durable of a worker with what the server says is pending, and has a puller that has fallen silent
 * begun anew.
 * 1. Whatever has arrived, or is restrained for a reason, needs no question: the server is asked only of a durable through which nothing has
 *    come for a while, more rarely where more workers wait at it, and never by all at once.
 * 2. Each durable is asked about by itself: one that is answered slowly keeps no other waiting.
 * 3. What is stranded does not come, whatever else does: it is counted now and then, once for all durables of an actor on one queue.
 */
import type { Connection } from "../broker/connection.ts";
import { countStranded } from "../broker/stranded.ts";
import type { StreamReader } from "../broker/stream-reader.ts";
import { monotonicMs } from "../kernel/clock.ts";
import { toError } from "../kernel/errors.ts";
import { durableName } from "./durables.ts";
import type { DurableLook, Intake, IntakeLook } from "./intake.ts";
import type { Reporter } from "./reporter.ts";
import {
  beatMsOf,
  isRebuildDue,
  look,
  maxGapMsOf,
  nextQuestionMs,
  rebuildsAfter,
  type Sighting,
  type Watched,
} from "./sighting.ts";

/** What it needs of an actor. */
export interface Guarded {
  readonly config: { readonly name: string };
  readonly intake: Pick<Intake, "look" | "rebuild">;
  readonly reporter: Pick<Reporter, "rebuilt">;
}

export interface WatchdogOptions {
  reader: Pick<StreamReader, "consumer" | "queued">;
  connection: Pick<Connection, "up">;
  /** The streams that are work queues. */
  queues: readonly string[];
  /** For so long messages may wait for open room. */
  rebuildAfterMs: number;
  /** The shortest time within which somebody wants to be told of trouble; undefined where nobody does. */
  healthWindowMs: () => number | undefined;
}

interface Post {
  watched: Watched | undefined;
  /** Messages that had come by the last look. */
  arrived: number;
  /** The server is asked once nothing has come by then; monotonic ms. */
  askAtMs: number;
  asking: boolean;
  /** When what is stranded is counted next, monotonic ms. */
  countAtMs: number;
}

/** In so many times the patience what is stranded is counted once. */
const countEvery = 6;

/** Nothing is known of anybody at the start, and workers start together. */
const firstShare = 1 / 4;

export class Watchdog {
  readonly #options: WatchdogOptions;
  /** One for each durable of an actor. */
  readonly #posts = new Map<Guarded, Post[]>();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  guard(actor: Guarded): void {
    this.#posts.set(actor, []);
  }

  start(): void {
    if (this.#stopped) return;
    this.#lookAround();
    this.#timer = setTimeout(() => this.start(), beatMsOf(this.#patienceMs)).unref();
  }

  /** What is still being asked is not waited for, and comes to nothing. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** What is known of each durable, by actor; nothing of those that have not been looked at yet. */
  watched(): Map<string, Watched[]> {
    return new Map(
      [...this.#posts].map(([{ config }, posts]) => [config.name, posts.flatMap(({ watched }) => watched ?? [])]),
    );
  }

  get #patienceMs(): number {
    return Math.min(this.#options.rebuildAfterMs, this.#options.healthWindowMs() ?? Infinity);
  }

  #lookAround(): void {
    for (const [actor, posts] of this.#posts) {
      const { restraint, durables } = actor.intake.look();
      for (const [at, durable] of durables.entries()) {
        posts[at] ??= this.#newPost();
        this.#lookAt(posts[at], actor, at, restraint, durable);
      }
    }
  }

  #newPost(): Post {
    const askAtMs = monotonicMs() + Math.random() * firstShare * this.#patienceMs;
    return { watched: undefined, arrived: 0, askAtMs, asking: false, countAtMs: askAtMs };
  }

  #lookAt(post: Post, actor: Guarded, at: number, restraint: IntakeLook["restraint"], durable: DurableLook): void {
    if (monotonicMs() >= post.countAtMs && this.#options.connection.up) void this.#count(post, actor, at);
    if (post.asking) return;
    if (durable.arrived > post.arrived) this.#see(post, durable, { kind: "arrived" });
    else if (restraint !== undefined) this.#see(post, durable, { kind: restraint });
    else if (!this.#options.connection.up) {
      this.#see(post, durable, { kind: "unknown", why: "there is no connection to the server" });
    } else if (monotonicMs() >= post.askAtMs) void this.#ask(post, actor, at, durable);
  }

  async #count(post: Post, actor: Guarded, at: number): Promise<void> {
    post.countAtMs = Infinity;
    const all = actor.intake.look().durables.map(durableName);
    const [stream = ""] = all.slice(at, at + 1).map((one) => one.stream);
    if (!this.#options.queues.includes(stream) || all.findIndex((one) => one.stream === stream) !== at) return;
    const own = all.filter((one) => one.stream === stream);
    // Without an answer what was last known stands.
    const stranded = await countStranded(this.#options.reader, own).catch(() => post.watched?.stranded ?? 0);
    if (post.watched !== undefined) post.watched = { ...post.watched, stranded };
    post.countAtMs = monotonicMs() + countEvery * this.#patienceMs * (0.8 + 0.4 * Math.random());
  }

  async #ask(post: Post, actor: Guarded, at: number, durable: DurableLook): Promise<void> {
    post.asking = true;
    const { sighting, openPulls } = await this.#question(durable);
    post.asking = false;
    if (this.#stopped) return;
    const { restraint, durables } = actor.intake.look();
    const since = durables[at] ?? durable;
    // What has come, or has filled the room, meanwhile is no silence.
    if (since.arrived > post.arrived) this.#see(post, since, { kind: "arrived" });
    else if (restraint !== undefined) this.#see(post, since, { kind: restraint });
    else this.#see(post, since, sighting, openPulls);
    this.#mend(post, actor, at);
  }

  async #question({ stream, spec }: DurableLook): Promise<{ sighting: Sighting; openPulls: number }> {
    try {
      const state = await this.#options.reader.consumer(stream, spec.durable_name);
      if (state === undefined) return { sighting: { kind: "gone" }, openPulls: 0 };
      const { pausedUntilMs, pending, waitingPulls: openPulls } = state;
      if (pausedUntilMs !== undefined) return { sighting: { kind: "paused", untilMs: pausedUntilMs }, openPulls };
      return { sighting: pending === 0 ? { kind: "empty" } : { kind: "pending", messages: pending }, openPulls };
    } catch (thrown) {
      return { sighting: { kind: "unknown", why: toError(thrown).message }, openPulls: 0 };
    }
  }

  #see(post: Post, durable: DurableLook, sighting: Sighting, openPulls = 1): void {
    const nowMs = monotonicMs();
    const patienceMs = this.#patienceMs;
    post.watched = look(post.watched, durableName(durable), sighting, nowMs, maxGapMsOf(patienceMs));
    post.arrived = durable.arrived;
    const spread = 0.8 + 0.4 * Math.random();
    post.askAtMs = nowMs + nextQuestionMs(post.watched, patienceMs, openPulls) * spread;
  }

  #mend(post: Post, actor: Guarded, at: number): void {
    const { watched } = post;
    if (watched?.sighting.kind !== "pending" || !isRebuildDue(watched, this.#options.rebuildAfterMs)) return;
    actor.intake.rebuild(at);
    const { stream, durable, sighting, atMs, troubleSinceMs = atMs } = watched;
    const rebuilds = rebuildsAfter(watched);
    post.watched = { ...watched, rebuilds };
    const { messages } = sighting;
    const silentMs = atMs - troubleSinceMs;
    actor.reporter.rebuilt({ stream, durable, messages, silentMs, times: rebuilds.inVain });
  }
}
