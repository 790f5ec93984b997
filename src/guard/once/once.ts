/**
 * Once: a side effect that a message has at most once noted, however often the message runs.
 * 1. The function runs only under a lease in KV; without KV it does not begin, and the message comes back without an attempt being counted.
 * 2. What it returned is in KV before `once` returns. Each run of the message, the first one too, is given the value as KV keeps it.
 * 3. It has run when it returned, also when its value cannot be kept or its delivery was lost: it is not called again for that.
 * 4. A worker that dies between the effect and the note has it run again: nobody can promise more.
 */
import type { OnceOptions } from "../../actor/guard-handles.ts";
import { Deferred } from "../../actor/signals.ts";
import type { Bucket } from "../../broker/bucket.ts";
import type { ServerClock } from "../../broker/server-clock.ts";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { ConfigError, EncodeError, toError } from "../../kernel/errors.ts";
import type { Logger } from "../../kernel/logger.ts";
import { durationMs, resolveOptions } from "../../kernel/options.ts";
import * as z from "zod";
import { onceKey, readEntry, writeEntry, type OnceDone, type OnceScope } from "./entry.ts";
import { OnceLease } from "./lease.ts";

const awayMs = 1_000;
const noteTryMs = 5_000;
/** How long a handler waits for the note of what it did. */
const noteWaitMs = 10_000;
/** How long the note is tried, also behind a handler that has ended. */
const noteGiveUpMs = 5 * 60_000;
const noteAgainMs = 250;

const shape = z.strictObject({ ttl: durationMs(1_000).default(7 * 86_400_000) });

/** A run as `once` sees it. */
export interface OnceRun extends OnceScope {
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly delivery: { readonly lost: boolean };
}

export class Once {
  readonly #bucket: Bucket;
  readonly #clock: ServerClock;
  readonly #leaseMs: number;
  /** What each run has asked for: a second call with the same key shares the first one's outcome. */
  readonly #calls = new WeakMap<OnceRun, Map<string, Promise<OnceDone>>>();

  /** @param leaseMs how long a repeat waits for a worker that died in the function. */
  constructor(bucket: Bucket, clock: ServerClock, leaseMs = 10_000) {
    this.#bucket = bucket;
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  /**
   * @throws ConfigError for a key or options that are none, EncodeError where the function ran and its value cannot be kept, what
   * the function throws, and a deferral where KV is away.
   */
  async call<T>(
    run: OnceRun,
    key: string,
    fn: () => T | Promise<T>,
    options: OnceOptions | undefined = {},
  ): Promise<T> {
    if (typeof key !== "string" || key === "" || !key.isWellFormed() || typeof fn !== "function") {
      throw new ConfigError(
        `ctx.once of ${run.actor} takes a key, a string that is not empty, and a function; write ctx.once("charge", () => …).`,
      );
    }
    const { ttl: ttlMs } = resolveOptions(shape, options, "options of ctx.once()");
    const done = await this.#share(run, key, () => this.#first(run, key, fn, ttlMs));
    if ("lost" in done) {
      throw new EncodeError(
        `ctx.once(${JSON.stringify(key)}) ran for message ${run.id} of ${run.actor}, but the value that it gave could not be kept (${done.lost}); it is not run again for this message. Return plain data, not too large.`,
      );
    }
    return done.value as T;
  }

  async #share(run: OnceRun, key: string, call: () => Promise<OnceDone>): Promise<OnceDone> {
    const calls = this.#calls.get(run) ?? new Map<string, Promise<OnceDone>>();
    this.#calls.set(run, calls);
    const shared = calls.get(key) ?? call();
    calls.set(key, shared);
    try {
      return await shared;
    } catch (error) {
      if (calls.get(key) === shared) calls.delete(key);
      throw error;
    }
  }

  async #first(run: OnceRun, key: string, fn: () => unknown, ttlMs: number): Promise<OnceDone> {
    const lease = new OnceLease(this.#bucket, this.#clock, onceKey(run, key), this.#leaseMs, ({ message }) =>
      run.log.error({ key, reason: message }, "what stands for an effect of ctx.once is garbage"),
    );
    const found = await this.#take(run, key, lease);
    if (found !== undefined) return found;
    let value: unknown;
    try {
      value = await fn();
    } catch (error) {
      await lease.free();
      throw error;
    }
    return this.#note(run, key, lease, { state: "done", value }, ttlMs);
  }

  async #take(run: OnceRun, key: string, lease: OnceLease): Promise<OnceDone | undefined> {
    try {
      // Who has lost the message must not begin: another may be at it.
      if (run.delivery.lost) throw new Error("the message is no longer this worker's");
      const found = await lease.take(() => run.signal);
      if (found === undefined && run.delivery.lost) {
        void lease.free();
        throw new Error("the message is no longer this worker's");
      }
      return found;
    } catch (thrown) {
      const cause = toError(thrown);
      throw new Deferred(
        "unavailable",
        awayMs,
        `ctx.once(${JSON.stringify(key)}) of ${run.actor} did not begin: ${cause.message}`,
        { cause },
      );
    }
  }

  /** Notes the outcome; goes on with it when KV is away for long, since the effect happened. */
  async #note(run: OnceRun, key: string, lease: OnceLease, ran: OnceDone, ttlMs: number): Promise<OnceDone> {
    const kept = keepable(ran);
    const waited = new AbortController();
    const noting = this.#insist(run, key, lease, kept, ttlMs).finally(() => waited.abort());
    await pause(noteWaitMs, waited.signal);
    return waited.signal.aborted ? noting : kept;
  }

  async #insist(run: OnceRun, key: string, lease: OnceLease, kept: OnceDone, ttlMs: number): Promise<OnceDone> {
    const endMs = monotonicMs() + noteGiveUpMs;
    let entry = kept;
    for (;;) {
      try {
        return await lease.done(entry, ttlMs, noteTryMs);
      } catch (thrown) {
        const { code, message } = toError(thrown) as Error & { code?: string };
        if (code === "PAYLOAD_TOO_LARGE" && !("lost" in entry)) {
          entry = { state: "done", lost: message };
          continue;
        }
        if (code === "CLOSED" || monotonicMs() >= endMs) {
          run.log.error({ key, reason: message }, "what ctx.once ran could not be noted; a repeat would run it again");
          return entry;
        }
        await pause(noteAgainMs);
      }
    }
  }
}

/** The outcome as KV will give it back to later runs. */
function keepable(done: OnceDone): OnceDone {
  try {
    return readEntry(writeEntry(done)) as OnceDone;
  } catch (error) {
    return { state: "done", lost: toError(error).message };
  }
}
