/**
 * Objects: what is too large for a message, in one object-store bucket that is made when it is first needed. It is written and read as
 * any client of NATS does it, with fewer rights than the official client needs.
 * 1. An object is its chunks, and then the entry that tells of them: where there is an entry all is there, until it expires.
 * 2. One that says whose it is is nobody else's. Older senders do not say: theirs can be read by who knows the name, and expire.
 * 3. Who puts needs no right to read, and nobody needs one to purge or to make consumers: a purge cannot be kept to one object, and a
 *    consumer may be made to send what it reads to any subject.
 */
import { createHash } from "node:crypto";
import { jetstream, JetStreamApiError, type JetStreamClient, type PubAck } from "@nats-io/jetstream";
import { headers as newHeaders, nuid } from "@nats-io/transport-node";
import { DecodeError, GodwitError } from "../kernel/errors.ts";
import { header } from "../message/headers.ts";
import { inDomain, type Connection } from "./connection.ts";
import type { Topology } from "./topology.ts";

export interface ObjectsOptions {
  connection: Connection;
  bucket: string;
  topology: Pick<Topology, "reconcile">;
}

/** An object that was put: what it takes to delete it without reading its entry. */
export interface PutObject {
  readonly name: string;
  readonly nuid: string;
}

/** What an entry says of its object. */
interface Entry {
  nuid: string;
  size: number;
  chunks: number;
  digest: string;
  owner: string | undefined;
}

/** JetStream's own error codes. */
const streamNotFound = 10059;
const noTtl = 10166;
const chunkBytes = 128 * 1_024;
/** Of a message with a chunk, at most: names of streams are short. */
const headerBytes = 512;
const digestKind = "SHA-256=";
/** In the metadata of an entry. */
const ownerKey = "godwit-owner";

export class Objects {
  readonly #options: ObjectsOptions;
  readonly #js: JetStreamClient;
  /** Where its objects are. */
  readonly stream: string;
  #there: Promise<void> | undefined;

  constructor(options: ObjectsOptions) {
    this.#options = options;
    this.#js = jetstream(options.connection.nc, inDomain(options.connection.chosenDomain));
    this.stream = `OBJ_${options.bucket}`;
  }

  get bucket(): string {
    return this.#options.bucket;
  }

  /** Its connection is closed for good. */
  get closed(): boolean {
    return this.#options.connection.nc.isClosed();
  }

  /**
   * Makes the bucket, or looks whether it is as it should be: as the system's `provision` says.
   * @throws TopologyMismatchError.
   */
  ready(): Promise<void> {
    this.#there ??= this.#options.topology.reconcile({ only: this.stream }).catch((error: unknown) => {
      this.#there = undefined;
      throw error;
    });
    return this.#there;
  }

  /**
   * Writes an object, over an older one of the same name. Resolves once the server has all of it.
   * @param owner whose it is. Default: anybody's who knows its name.
   */
  async put(name: string, bytes: Uint8Array, owner?: string): Promise<PutObject> {
    await this.ready();
    try {
      return await this.#put(name, bytes, owner);
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code !== streamNotFound) throw error;
      // Somebody may have deleted the bucket: it is made again.
      this.#there = undefined;
      await this.ready();
      return this.#put(name, bytes, owner);
    }
  }

  /**
   * The object, its digest verified, or `undefined` where it is gone.
   * @param maxBytes what is larger is not fetched.
   * @param owner who asks.
   * @throws DecodeError for one that is larger, damaged or another's, and what NATS throws.
   */
  async get(name: string, maxBytes = Infinity, owner?: string): Promise<Uint8Array | undefined> {
    const entry = await this.#entry(name);
    if (entry === undefined) return undefined;
    if (owner !== undefined && entry.owner !== undefined && entry.owner !== owner) {
      throw new DecodeError(`The body, the object ${name}, is another message's; send the message with its own body.`);
    }
    if (entry.size > maxBytes) {
      throw new DecodeError(
        `The body, the object ${name}, has ${entry.size} bytes and ${maxBytes} are taken here; send less, or raise payload.maxBytes.`,
      );
    }
    if (!(await this.#isWhole(entry))) return undefined;
    const bytes = new Uint8Array(entry.size);
    const subject = this.#chunks(entry.nuid);
    let at = 0;
    for (let chunk = 0, sequence = 1; chunk < entry.chunks; chunk++) {
      const message = await this.#stored({ seq: sequence, next_by_subj: subject });
      if (message === undefined) return undefined;
      const { data, seq } = message;
      if (at + data.length > entry.size) throw damaged(name);
      bytes.set(data, at);
      at += data.length;
      sequence = seq + 1;
    }
    if (at !== entry.size || digestOf(bytes) !== entry.digest) throw damaged(name);
    return bytes;
  }

  /**
   * Deletes an object, if there is one. Its entry has to be read, unless `put` has told of it.
   * @param owner who asks: one that is not its own, or does not say whose it is, stays.
   */
  async delete(object: string | PutObject, owner?: string): Promise<void> {
    const put = typeof object === "string" ? await this.#find(object, owner) : object;
    if (put === undefined) return;
    const gone = { name: put.name, bucket: this.bucket, nuid: put.nuid, size: 0, chunks: 0, deleted: true };
    await this.#replace(this.#entrySubject(put.name), JSON.stringify(gone));
    await this.#replace(this.#chunks(put.nuid), "");
  }

  async #put(name: string, bytes: Uint8Array, owner?: string): Promise<PutObject> {
    const id = nuid.next();
    const size = Math.max(1, Math.min(chunkBytes, this.#options.connection.maxPayloadBytes - headerBytes));
    let chunks = 0;
    for (; chunks * size < bytes.length; chunks++) {
      await this.#publish(this.#chunks(id), bytes.subarray(chunks * size, (chunks + 1) * size));
    }
    const entry = {
      name,
      ...(owner !== undefined && { metadata: { [ownerKey]: owner } }),
      options: { max_chunk_size: size },
      bucket: this.bucket,
      nuid: id,
      size: bytes.length,
      chunks,
      mtime: new Date().toISOString(),
      digest: digestOf(bytes),
      deleted: false,
    };
    await this.#publish(this.#entrySubject(name), JSON.stringify(entry), { [header.rollup]: "sub" });
    return { name, nuid: id };
  }

  /** In the place of all that the subject has; it goes a second later, where the bucket is one that lets it. */
  async #replace(subject: string, body: string): Promise<void> {
    try {
      await this.#publish(subject, body, { [header.rollup]: "sub", [header.ttl]: "1s" });
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== noTtl) throw error;
      await this.#publish(subject, body, { [header.rollup]: "sub" });
    }
  }

  #publish(subject: string, body: Uint8Array | string, fields: Record<string, string> = {}): Promise<PubAck> {
    const headers = newHeaders();
    for (const [name, value] of Object.entries(fields)) headers.set(name, value);
    return this.#js.publish(subject, body, { headers, expect: { streamName: this.stream } });
  }

  /** Chunks are older than the entry that tells of them, and so expire before it. Nothing is set aside for what is not there. */
  async #isWhole({ nuid: id, chunks }: Entry): Promise<boolean> {
    const subject = this.#chunks(id);
    const { state } = await this.#options.connection.jsm.streams.info(this.stream, { subjects_filter: subject });
    return (state.subjects?.[subject] ?? 0) >= chunks;
  }

  async #find(name: string, owner?: string): Promise<PutObject | undefined> {
    const entry = await this.#entry(name);
    if (entry === undefined || (owner !== undefined && entry.owner !== owner)) return undefined;
    return { name, nuid: entry.nuid };
  }

  /** Undefined where the object is gone. A link leads elsewhere, and Godwit makes none. */
  async #entry(name: string): Promise<Entry | undefined> {
    const message = await this.#stored({ last_by_subj: this.#entrySubject(name) });
    if (message === undefined) return undefined;
    let entry: Partial<Entry> & { deleted?: boolean; metadata?: Record<string, string>; options?: { link?: object } };
    try {
      entry = message.json();
    } catch (cause) {
      throw damaged(name, cause);
    }
    if (entry?.deleted === true || entry?.options?.link !== undefined) return undefined;
    const { nuid: id, size, chunks, digest } = entry ?? {};
    // Anyone may write there who may put.
    if (typeof id !== "string" || !/^[\w-]+$/.test(id) || !isCount(size) || !isCount(chunks)) throw damaged(name);
    if (typeof digest !== "string" || chunks > size) throw damaged(name);
    // No chunk is larger than a message: room is set aside for no more than was put.
    if (size > chunks * Math.max(chunkBytes, this.#options.connection.maxPayloadBytes)) throw damaged(name);
    return { nuid: id, size, chunks, digest, owner: entry.metadata?.[ownerKey] };
  }

  /** Undefined where there is none, or no bucket. */
  async #stored(
    query: { last_by_subj: string } | { seq: number; next_by_subj: string },
  ): Promise<{ data: Uint8Array; seq: number; json<T>(): T } | undefined> {
    try {
      return (await this.#options.connection.jsm.streams.getMessage(this.stream, query)) ?? undefined;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === streamNotFound) return undefined;
      throw error;
    }
  }

  #chunks(id: string): string {
    return `$O.${this.bucket}.C.${id}`;
  }

  #entrySubject(name: string): string {
    return `$O.${this.bucket}.M.${urlSafe(Buffer.from(name).toString("base64"))}`;
  }
}

/** True for what the server, or this system's own rules, would refuse again. */
export function isFinal(error: unknown): boolean {
  return error instanceof JetStreamApiError || error instanceof GodwitError;
}

function digestOf(bytes: Uint8Array): string {
  return digestKind + urlSafe(createHash("sha256").update(bytes).digest("base64"));
}

/** Base64 as object stores write it: with `-` and `_`, and padded. */
function urlSafe(base64: string): string {
  return base64.replaceAll("+", "-").replaceAll("/", "_");
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function damaged(name: string, cause?: unknown): DecodeError {
  return new DecodeError(`The body, the object ${name}, is damaged; send it again.`, { cause });
}
