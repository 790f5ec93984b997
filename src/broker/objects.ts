/** Objects: bodies too large for a message, in one object-store bucket that is made when it is first needed. */
import { Objm, StorageType, type ObjectStore } from "@nats-io/obj";
import type { DurabilityProfile } from "./topology.ts";
import type { Connection } from "./connection.ts";

export interface ObjectsOptions {
  connection: Connection;
  bucket: string;
  profile: DurabilityProfile;
  /** Objects are gone after this; the bucket has one time to live for all. */
  ttlMs: number;
}

export class Objects {
  readonly #options: ObjectsOptions;
  #store: Promise<ObjectStore> | undefined;

  constructor(options: ObjectsOptions) {
    this.#options = options;
  }

  /** Writes an object, over an older one of the same name. Resolves once the server has all of it. */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    await (await this.#open()).putBlob({ name }, bytes);
  }

  /** The object, its digest verified, or `undefined`. */
  async get(name: string): Promise<Uint8Array | undefined> {
    return (await (await this.#open()).getBlob(name)) ?? undefined;
  }

  async delete(name: string): Promise<void> {
    await (await this.#open()).delete(name);
  }

  #open(): Promise<ObjectStore> {
    const { connection, bucket, profile, ttlMs } = this.#options;
    this.#store ??= new Objm(connection.nc)
      .create(bucket, {
        ttl: ttlMs * 1_000_000,
        storage: profile === "dev" ? StorageType.Memory : StorageType.File,
        replicas: profile === "replicated" || profile === "strict" ? 3 : 1,
      })
      .catch((error: unknown) => {
        this.#store = undefined;
        throw error;
      });
    return this.#store;
  }
}
