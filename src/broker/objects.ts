/**
 * Objects: what is too large for a message, in one object-store bucket that is made when it is first needed.
 * An object whose bytes have expired is found out before it is read: the client would wait for them for ever.
 */
import { JetStreamApiError } from "@nats-io/jetstream";
import { Objm, StorageType, type ObjectInfo, type ObjectStore } from "@nats-io/obj";
import { ConnectError, DecodeError, toError } from "../kernel/errors.ts";
import type { Connection } from "./connection.ts";
import type { DurabilityProfile, Provision } from "./topology.ts";

export interface ObjectsOptions {
  connection: Connection;
  bucket: string;
  profile: DurabilityProfile;
  /** Objects are gone after this; the bucket has one time to live for all. */
  ttlMs: number;
  provision: Provision;
}

/** JetStream's own error code. */
const streamNotFound = 10059;
/** Between two chunks of 128 KiB. */
const idleMs = 10_000;

export class Objects {
  readonly #options: ObjectsOptions;
  #store: Promise<ObjectStore> | undefined;

  constructor(options: ObjectsOptions) {
    this.#options = options;
  }

  get bucket(): string {
    return this.#options.bucket;
  }

  /** Its connection is closed for good. */
  get closed(): boolean {
    return this.#options.connection.nc.isClosed();
  }

  /** Writes an object, over an older one of the same name. Resolves once the server has all of it. */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#with((store) => store.putBlob({ name }, bytes));
  }

  /**
   * The object, its digest verified, or `undefined` where it is gone.
   * @param maxBytes what is larger is not fetched.
   * @throws DecodeError for one that is larger, or damaged; ConnectError when the server falls silent.
   */
  get(name: string, maxBytes = Infinity): Promise<Uint8Array | undefined> {
    return this.#with((store) => this.#get(store, name, maxBytes));
  }

  async delete(name: string): Promise<void> {
    await this.#with((store) => store.delete(name));
  }

  async #get(store: ObjectStore, name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const info = await readInfo(store, name);
    // A link leads elsewhere, and Godwit makes none.
    if (info === null || info.deleted || info.options?.link !== undefined) return undefined;
    if (info.size > maxBytes) {
      throw new DecodeError(
        `The body, the object ${name}, has ${info.size} bytes and ${maxBytes} are taken here; send less, or raise payload.maxBytes.`,
      );
    }
    if (!(await this.#isWhole(info))) return undefined;
    const object = await store.get(name).catch((thrown: unknown) => refuseInfo(name, thrown));
    if (object === null) return undefined;
    object.error.catch(() => undefined);
    return read(name, object.data, info.size);
  }

  /** A bucket that somebody deleted is made again: what it held is gone. */
  async #with<T>(call: (store: ObjectStore) => Promise<T>): Promise<T> {
    const store = await this.#open();
    try {
      return await call(store);
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== streamNotFound) throw error;
      this.#store = undefined;
      return call(await this.#open());
    }
  }

  /** Chunks are older than the entry that tells of them, and so expire before it. */
  async #isWhole({ nuid, chunks }: ObjectInfo): Promise<boolean> {
    const { connection, bucket } = this.#options;
    const subject = `$O.${bucket}.C.${nuid}`;
    const { state } = await connection.jsm.streams.info(`OBJ_${bucket}`, { subjects_filter: subject });
    return (state.subjects?.[subject] ?? 0) >= chunks;
  }

  #open(): Promise<ObjectStore> {
    this.#store ??= this.#make().catch((error: unknown) => {
      this.#store = undefined;
      throw error;
    });
    return this.#store;
  }

  async #make(): Promise<ObjectStore> {
    const { connection, bucket, profile, ttlMs, provision } = this.#options;
    const ttl = ttlMs * 1_000_000;
    const store = await new Objm(connection.nc).create(bucket, {
      ttl,
      storage: profile === "dev" ? StorageType.Memory : StorageType.File,
      replicas: profile === "replicated" || profile === "strict" ? 3 : 1,
    });
    // One that was there keeps its time to live, and this system may have been given another.
    const { config } = (await store.status()).streamInfo;
    if (provision === "create" && config.max_age !== ttl) {
      // The server refuses a window that is longer.
      const duplicate_window = Math.min(config.duplicate_window, ttl);
      await connection.jsm.streams.update(config.name, { ...config, max_age: ttl, duplicate_window });
    }
    return store;
  }
}

async function readInfo(store: ObjectStore, name: string): Promise<ObjectInfo | null> {
  return store.info(name).catch((thrown: unknown) => refuseInfo(name, thrown));
}

/** The client stumbles over an entry that is none. Fetching it again would not mend it. */
function refuseInfo(name: string, thrown: unknown): never {
  throw thrown instanceof SyntaxError || thrown instanceof TypeError ? damaged(name, thrown) : thrown;
}

/** @param sizeBytes what it should have; more is not kept. */
async function read(name: string, stream: ReadableStream<Uint8Array>, sizeBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes);
  const reader = stream.getReader();
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await withinIdle(name, reader.read());
      if (done) break;
      if (at + value.length > sizeBytes) throw damaged(name);
      bytes.set(value, at);
      at += value.length;
    }
  } catch (thrown) {
    void reader.cancel().catch(() => undefined);
    const error = toError(thrown);
    throw /digests do not match/.test(error.message) ? damaged(name, error) : error;
  }
  if (at !== sizeBytes) throw damaged(name);
  return bytes;
}

function damaged(name: string, cause?: Error): DecodeError {
  return new DecodeError(`The body, the object ${name}, is damaged; send it again.`, { cause });
}

async function withinIdle<T>(name: string, step: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new ConnectError(`The server sends no more of the object ${name}; is it up, with JetStream?`)),
      idleMs,
    );
  });
  try {
    return await Promise.race([step, idle]);
  } finally {
    clearTimeout(timer);
  }
}
