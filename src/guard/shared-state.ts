/**
 * Shared state: small values that the fleet agrees on, in one KV bucket.
 * 1. A write names the revision that it replaces, so that one of several wins.
 * 2. Each write is told to all who listen, by a core message with the value and its revision: no consumer for each reader. What was
 *    missed is read again when the connection comes back; callers that must know read again now and then.
 */
import type { Bucket } from "../broker/bucket.ts";
import type { Bus } from "../broker/bus.ts";
import { header } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";

export interface Shared<T> {
  /** Undefined where there is none, or where it expired. */
  value: T | undefined;
  /** What a write must name; 0 where there never was a value. */
  revision: number;
}

export class SharedState<T> {
  readonly #bucket: Bucket;
  readonly #bus: Bus;
  readonly #names: Names;

  constructor(bucket: Bucket, bus: Bus, names: Names) {
    this.#bucket = bucket;
    this.#bus = bus;
    this.#names = names;
  }

  /** As the leader has it. @throws ConnectError when no answer comes in time, JetStreamApiError. */
  async read(key: string, timeoutMs?: number): Promise<Shared<T>> {
    const { value, revision } = await this.#bucket.read(key, timeoutMs);
    return { value: value === undefined ? undefined : parse<T>(value), revision };
  }

  /**
   * Replaces what `was`, and tells the others.
   * @param options.quiet true: the others are not told.
   * @returns the new revision, `undefined` where somebody else had written in between.
   * @throws PublishTimeoutError and what else the publisher throws.
   */
  async write(
    key: string,
    value: T,
    options: { was: number; ttlMs: number; timeoutMs?: number; quiet?: boolean },
  ): Promise<number | undefined> {
    const bytes = Buffer.from(JSON.stringify(value));
    const { was, ttlMs, timeoutMs, quiet = false } = options;
    const put = { ttlMs, expected: was, ...(timeoutMs !== undefined && { timeoutMs }) };
    const revision = await this.#bucket.put(key, bytes, put);
    if (revision !== undefined && !quiet) {
      this.#bus.publish(this.#names.noticeSubject(this.#bucket.name, key), bytes, {
        [header.revision]: String(revision),
      });
    }
    return revision;
  }

  /**
   * Calls the listener with each write of the key by anyone, in no certain order: compare revisions.
   * @param key may be a pattern; the listener is told which key it was.
   * @returns a function that ends it.
   */
  listen(key: string, listener: (shared: Shared<T>, key: string) => void): () => void {
    const prefix = this.#names.noticeSubject(this.#bucket.name, "");
    return this.#bus.subscribe(prefix + key, ({ subject, body, headers }) => {
      const revision = Number(headers.get(header.revision));
      const value = parse<T>(body);
      if (value !== undefined && revision > 0) listener({ value, revision }, subject.slice(prefix.length));
    });
  }
}

/** Undefined for what is no object, and so none of ours: anyone may publish. */
function parse<T>(bytes: Uint8Array): T | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return typeof value === "object" && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
