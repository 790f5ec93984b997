/**
 * Results: what actors with `result: { ttl }` returned, in KV, each with its own time to live; and the wait for one.
 * A waiter subscribes to a core subject and then looks, so that no waiter needs a consumer.
 */
import * as z from "zod";
import { maxTimerMs } from "../kernel/clock.ts";
import type { Bucket } from "../broker/bucket.ts";
import type { Bus } from "../broker/bus.ts";
import type { TaskFailedError } from "../kernel/errors.ts";
import { toError } from "../kernel/errors.ts";
import { contentTypes, decode, encode, isOtherVersion } from "../message/codec.ts";
import { readFailure, type Failure } from "../message/failure.ts";
import type { Names } from "../message/subjects.ts";

const version = 1;
/** How long an accepted task may stay pending before its result is called unknown. */
const pendingTtlMs = 7 * 86_400_000;

/** What became of a task. */
export type Outcome<Value = unknown> =
  | { state: "pending" }
  | { state: "completed"; value: Value; error?: Error }
  | { state: "failed"; error: TaskFailedError };

const v = z.literal(version);
const shape = z.discriminatedUnion("state", [
  z.object({ v, state: z.literal("pending") }),
  /** `lost`: why the value is not here. */
  z.object({ v, state: z.literal("completed"), value: z.unknown().exactOptional(), lost: z.string().exactOptional() }),
  z.object({ v, state: z.literal("failed"), failure: z.unknown() }),
]);
type Stored = z.input<typeof shape>;

export class Results {
  readonly #names: Names;
  readonly #bucket: Bucket;
  readonly #bus: Bus;
  readonly #onGarbage: (error: Error) => void;
  /** Those that wait. */
  readonly #wakes = new Set<() => void>();

  /** @param onGarbage is told of what is read and is no result. */
  constructor(names: Names, bucket: Bucket, bus: Bus, onGarbage: (error: Error) => void = () => undefined) {
    this.#onGarbage = onGarbage;
    this.#names = names;
    this.#bucket = bucket;
    this.#bus = bus;
  }

  /** Notes that a task was accepted, unless its result is there already. */
  async pending(actor: string, id: string): Promise<void> {
    const value: Stored = { v: version, state: "pending" };
    await this.#bucket.put(this.#names.resultKey(actor, id), encode(value, "msgpack"), {
      ttlMs: pendingTtlMs,
      expected: 0,
    });
  }

  /**
   * Stores what the handler returned. A value that cannot be stored (too large, unencodable) is stored as completed with the error.
   * @throws PublishTimeoutError when KV stays away for `timeoutMs`.
   */
  async completed(actor: string, id: string, value: unknown, ttlMs: number, timeoutMs: number): Promise<void> {
    try {
      await this.#store(actor, id, { v: version, state: "completed", value }, ttlMs, timeoutMs);
    } catch (thrown) {
      const error = toError(thrown) as Error & { code?: string };
      if (error.code !== "PAYLOAD_TOO_LARGE" && error.code !== "UNENCODABLE") throw error;
      await this.#store(actor, id, { v: version, state: "completed", lost: error.message }, ttlMs, timeoutMs);
    }
  }

  /** Stores why the task became a dead letter. */
  async failed(actor: string, id: string, failure: Failure, ttlMs: number, timeoutMs: number): Promise<void> {
    await this.#store(actor, id, { v: version, state: "failed", failure }, ttlMs, timeoutMs);
  }

  /**
   * The outcome of a task, waiting up to `waitMs` for it to be final; `undefined` where nothing is known: never sent with a class
   * that keeps results, or gone with its time to live.
   */
  async get(actor: string, id: string, waitMs = 0): Promise<Outcome | undefined> {
    if (waitMs <= 0) return this.#read(actor, id);
    let wake: () => void = () => undefined;
    const signalled = new Promise<void>((resolve) => (wake = resolve));
    const unsubscribe = this.#bus.subscribe(this.#names.doneSubject(actor, id), () => wake());
    const timer = setTimeout(() => wake(), Math.min(waitMs, maxTimerMs));
    this.#wakes.add(wake);
    try {
      // The subscription must stand at the server before the look, or a result stored in between goes unnoticed.
      await this.#bus.flush().catch(() => undefined);
      const now = await this.#read(actor, id);
      if (now && now.state !== "pending") return now;
      await signalled;
      return await this.#read(actor, id);
    } finally {
      clearTimeout(timer);
      this.#wakes.delete(wake);
      unsubscribe();
    }
  }

  /** Ends every wait. */
  close(): void {
    for (const wake of this.#wakes) wake();
  }

  async #store(actor: string, id: string, stored: Stored, ttlMs: number, timeoutMs: number): Promise<void> {
    await this.#bucket.put(this.#names.resultKey(actor, id), encode(stored, "msgpack"), { ttlMs, timeoutMs });
    this.#bus.publish(this.#names.doneSubject(actor, id), new Uint8Array());
  }

  async #read(actor: string, id: string): Promise<Outcome | undefined> {
    const entry = await this.#bucket.get(this.#names.resultKey(actor, id));
    if (entry === undefined) return undefined;
    const stored = this.#parse(this.#names.resultKey(actor, id), entry.value);
    switch (stored?.state) {
      case undefined:
        return undefined;
      case "pending":
        return { state: "pending" };
      case "completed":
        return stored.lost === undefined
          ? { state: "completed", value: stored.value }
          : { state: "completed", value: undefined, error: new Error(stored.lost) };
      case "failed":
        return { state: "failed", error: readFailure(id, stored.failure) };
    }
  }

  /** Undefined for garbage, which is reported, and for what another version wrote. */
  #parse(key: string, bytes: Uint8Array): Stored | undefined {
    let found: unknown;
    try {
      found = decode(bytes, contentTypes.msgpack);
      return shape.parse(found);
    } catch (thrown) {
      if (isOtherVersion(found, version)) return undefined;
      const why = toError(thrown).message.replace(/\s+/g, " ");
      this.#onGarbage(
        new Error(
          `What ${this.#bucket.name} holds under ${key} is no result (${why}); it counts as none. Look who may write there.`,
        ),
      );
      return undefined;
    }
  }
}
