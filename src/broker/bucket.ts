/** Bucket: one key-value bucket whose every key may have its own time to live, written through the publisher's pipeline. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { JetStreamApiError } from "@nats-io/jetstream";
import { header, type HeaderFields } from "../message/headers.ts";
import { PublishError } from "../kernel/errors.ts";
import { apiError, type Publisher } from "./publisher.ts";

export interface BucketEntry {
  value: Uint8Array;
  /** Changes with each write; give it to `put` to write only if nobody else has. */
  revision: number;
}

export class Bucket {
  readonly name: string;
  readonly #jsm: JetStreamManager;
  readonly #publisher: Publisher;

  constructor(name: string, jsm: JetStreamManager, publisher: Publisher) {
    this.name = name;
    this.#jsm = jsm;
    this.#publisher = publisher;
  }

  /** The value as the leader has it, `undefined` where there is none or where it has expired. */
  async get(key: string): Promise<BucketEntry | undefined> {
    try {
      const found = await this.#jsm.streams.getMessage(`KV_${this.name}`, { last_by_subj: this.#subject(key) });
      if (!found) return undefined;
      // A marker that the server left when the key expired, or a delete by another client.
      if (found.header.get("Nats-Marker-Reason") || found.header.get("KV-Operation")) return undefined;
      return { value: found.data, revision: found.seq };
    } catch (error) {
      if (error instanceof JetStreamApiError && error.status === 404) return undefined;
      throw error;
    }
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
        stream: `KV_${this.name}`,
        subject: this.#subject(key),
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

  #subject(key: string): string {
    return `$KV.${this.name}.${key}`;
  }
}
