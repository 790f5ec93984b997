/** Bucket: one key-value bucket whose every key may have its own time to live, written through the publisher's pipeline. */
import { JetStreamApiError } from "@nats-io/jetstream";
import { header, type HeaderFields } from "../message/headers.ts";
import { PublishError } from "../kernel/errors.ts";
import type { Pipeline } from "./pipeline.ts";
import { apiError, type Publisher } from "./publisher.ts";

const readTimeoutMs = 5_000;
const streamNotFound = 10059;
const noMessage = { code: 500, err_code: 0, description: "the server answered without a message" };

interface StoredAnswer {
  message?: { seq: number; hdrs?: string; data?: string };
  error?: { code: number; err_code: number; description: string };
}

export interface BucketEntry {
  value: Uint8Array;
  /** Changes with each write; give it to `put` to write only if nobody else has. */
  revision: number;
}

export class Bucket {
  readonly name: string;
  readonly #pipeline: Pipeline;
  readonly #publisher: Publisher;

  constructor(name: string, pipeline: Pipeline, publisher: Publisher) {
    this.name = name;
    this.#pipeline = pipeline;
    this.#publisher = publisher;
  }

  /**
   * The value as the leader has it, `undefined` where there is none or where it has expired. Asked again when the connection is back.
   * @throws ConnectError when no answer comes in time, JetStreamApiError.
   */
  async get(key: string, timeoutMs?: number): Promise<BucketEntry | undefined> {
    const { value, revision } = await this.read(key, timeoutMs);
    return value === undefined ? undefined : { value, revision };
  }

  /**
   * As get(), with the revision that a write must name also where there is no value: 0 where there never was one, that of the marker
   * which the server leaves for a second where it has expired.
   * @throws ConnectError when no answer comes in time, JetStreamApiError, TopologyMismatchError where the bucket is gone.
   */
  async read(key: string, timeoutMs = readTimeoutMs): Promise<{ value: Uint8Array | undefined; revision: number }> {
    let { message, error } = await this.#ask(key, timeoutMs);
    if (error?.err_code === streamNotFound) {
      const gone = await this.#pipeline.absences?.look(this.#stream);
      if (gone !== undefined) throw gone;
      ({ message, error } = await this.#ask(key, timeoutMs));
    }
    if (error?.code === 404 && error.err_code !== streamNotFound) return { value: undefined, revision: 0 };
    if (error !== undefined || message === undefined) throw new JetStreamApiError(error ?? noMessage);
    // A marker that the server left when the key expired, or a delete by another client.
    const headers = Buffer.from(message.hdrs ?? "", "base64").toString();
    if (/^(Nats-Marker-Reason|KV-Operation):/m.test(headers)) return { value: undefined, revision: message.seq };
    return { value: Buffer.from(message.data ?? "", "base64"), revision: message.seq };
  }

  /**
   * Writes a value.
   * @param ttlMs gone after this long; whole seconds, rounded up, at least 1 s.
   * @param expected write only if the key's revision is this one; 0 for "only if it was never written".
   * @returns the new revision, or `undefined` where `expected` did not hold.
   */
  async put(
    key: string,
    value: Uint8Array,
    options: { ttlMs: number; expected?: number; timeoutMs?: number },
  ): Promise<number | undefined> {
    const headers: HeaderFields = { [header.ttl]: `${Math.max(1, Math.ceil(options.ttlMs / 1_000))}s` };
    if (options.expected !== undefined) headers[header.expectedLastSubjectSequence] = String(options.expected);
    try {
      const { sequence } = await this.#publisher.publish({
        stream: this.#stream,
        // Leaf nodes keep these subjects to their own domain.
        subject: this.#pipeline.domainPrefix + this.#subject(key),
        body: value,
        headers,
        ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
      });
      return sequence;
    } catch (error) {
      if (error instanceof PublishError && error.apiCode === apiError.wrongLastSequence) return undefined;
      throw error;
    }
  }

  async #ask(key: string, timeoutMs: number): Promise<StoredAnswer> {
    const { apiPrefix } = this.#pipeline;
    const body = Buffer.from(JSON.stringify({ last_by_subj: this.#subject(key) }));
    const reply = await this.#pipeline.ask(`${apiPrefix}.STREAM.MSG.GET.${this.#stream}`, body, timeoutMs);
    return reply.json<StoredAnswer>();
  }

  get #stream(): string {
    return `KV_${this.name}`;
  }

  #subject(key: string): string {
    return `$KV.${this.name}.${key}`;
  }
}
