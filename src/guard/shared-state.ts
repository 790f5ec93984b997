/**
 * Shared state: small values that the fleet agrees on, in one KV bucket.
 * 1. A write names the revision that it replaces, so that one of several wins.
 * 2. Each write is told to all who listen, by a core message with the value and its revision: no consumer for each reader. What was
 *    missed is read again when the connection comes back; callers that must know read again now and then.
 * 3. What stands there and is no record is as none, is reported once, and is overwritten: garbage holds nobody's messages. A record of another
 *    version is not overwritten.
 */
import type { Bucket } from "../broker/bucket.ts";
import type { Bus } from "../broker/bus.ts";
import { DecodeError } from "../kernel/errors.ts";
import { isOtherVersion } from "../message/codec.ts";
import { header } from "../message/headers.ts";
import type { Names } from "../message/subjects.ts";

const mostReported = 1_000;

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
  readonly #onGarbage: (error: Error) => void;
  /** By key, the revision that was reported last. */
  readonly #reported = new Map<string, number>();

  constructor(bucket: Bucket, bus: Bus, names: Names, onGarbage: (error: Error) => void = () => undefined) {
    this.#bucket = bucket;
    this.#bus = bus;
    this.#names = names;
    this.#onGarbage = onGarbage;
  }

  /**
   * As the leader has it.
   * @param as the record that a value is, undefined for what is none.
   * @throws ConnectError when no answer comes in time, JetStreamApiError; DecodeError for a record of another version.
   */
  async read<R extends T>(key: string, as: (value: unknown) => R | undefined, timeoutMs?: number): Promise<Shared<R>> {
    const { value, revision } = await this.#bucket.read(key, timeoutMs);
    if (value === undefined) return { value, revision };
    const found = parse<{ v?: unknown }>(value);
    const record = as(found);
    if (record === undefined) {
      if (isOtherVersion(found, 1)) {
        throw new DecodeError(`KV holds no record that this version can read, but one of version ${String(found?.v)}`);
      }
      this.#report(key, revision);
    }
    return { value: record, revision };
  }

  /** The record, for who only looks: undefined where there is none that this version can read. @throws as `read`. */
  async peek<R extends T>(key: string, as: (value: unknown) => R | undefined): Promise<R | undefined> {
    const { value } = await this.#bucket.read(key);
    return value === undefined ? undefined : as(parse(value));
  }

  #report(key: string, revision: number): void {
    if (this.#reported.get(key) === revision) return;
    // Keys of limits may be many.
    if (this.#reported.size >= mostReported) this.#reported.clear();
    this.#reported.set(key, revision);
    this.#onGarbage(
      new Error(
        `What ${this.#bucket.name} holds under ${key} is no record of Godwit; it counts as none and is overwritten. Look who may write there.`,
      ),
    );
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
   * @param as as in read(). It hears nothing of what is no record: anyone may publish.
   * @returns a function that ends it.
   */
  listen<R extends T>(
    key: string,
    as: (value: unknown) => R | undefined,
    listener: (shared: Shared<R> & { value: R }, key: string) => void,
  ): () => void {
    const prefix = this.#names.noticeSubject(this.#bucket.name, "");
    return this.#bus.subscribe(prefix + key, ({ subject, body, headers }) => {
      const revision = Number(headers.get(header.revision));
      const value = as(parse(body));
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
