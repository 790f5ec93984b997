/**
 * A private nats-server with JetStream: found or installed, on 127.0.0.1 alone, ready when start() resolves.
 * 1. It ends when its owner ends, by stop() or by any death (guard.ts).
 * 2. One store directory has one server (lock.ts); the server holds the lock, not the owner.
 */
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { checkNotImporting } from "../../kernel/importing.ts";
import { EmbeddedServerError, toError } from "../../kernel/errors.ts";
import { findBinary } from "./binary.ts";
import type { Guarded, ServerExit } from "./guard.ts";
import { launch, startFailed, type Place } from "./launch.ts";
import { checkOptions, makeStore, type EmbeddedServerOptions } from "./options.ts";
import { removeNote } from "./running.ts";

/** A running embedded nats-server. It does not keep the event loop alive. */
export class EmbeddedServer {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string;
  /** The nats-server's own process. */
  readonly pid: number;
  /** Absolute path of the folder with streams, log and lock. */
  readonly storeDir: string;
  /** Resolves when the server has ended, whether by `stop()` or by itself; never rejects. */
  readonly exited: Promise<ServerExit>;
  readonly #guarded: Guarded;
  readonly #temporary: boolean;
  #ended = false;
  #stopped: Promise<void> | undefined;

  private constructor(place: Place, guarded: Guarded, temporary: boolean) {
    this.url = place.url;
    this.pid = place.pid;
    this.storeDir = place.storeDir;
    this.exited = guarded.exited;
    this.#guarded = guarded;
    this.#temporary = temporary;
    void this.exited.then(() => (this.#ended = true));
  }

  /**
   * Starts a server and waits until it answers with JetStream up.
   * @throws EmbeddedServerError `NO_SERVER_BINARY`, `STORE_LOCKED`, or `SERVER_START_FAILED` with the end of the server's log.
   * @throws UnsupportedServerError when NATS_SERVER_BIN names a server that is too old.
   * @throws ConfigError for an unknown or impossible option.
   */
  static async start(options: EmbeddedServerOptions = {}): Promise<EmbeddedServer> {
    checkNotImporting("ActorSystem.connect()");
    checkOptions(options);
    const env = options.env ?? process.env;
    const binary = await findBinary(env);
    const store = await makeStore(options.storeDir).catch((thrown: unknown) => {
      throw startFailed(options.storeDir ?? tmpdir(), toError(thrown).message, thrown);
    });
    try {
      const { place, guarded } = await launch({
        binary,
        env,
        storeDir: store.path,
        temporary: store.temporary,
        port: options.port,
        maxPayloadBytes: options.maxPayloadBytes,
      });
      return new EmbeddedServer(place, guarded, store.temporary);
    } catch (thrown) {
      if (store.temporary) await rm(store.path, { recursive: true, force: true });
      throw thrown instanceof EmbeddedServerError ? thrown : startFailed(store.path, toError(thrown).message, thrown);
    }
  }

  /** Ends the server: SIGTERM, SIGKILL after 5 s. Later calls return the first one's promise. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce();
    return this.#stopped;
  }

  async #stopOnce(): Promise<void> {
    // First, so that nobody joins a server that is going; not after its end, when the note may be a successor's.
    // A note that cannot be removed must not keep the server running: readers check it anyway.
    if (!this.#ended) await removeNote(this.storeDir).catch(() => undefined);
    await this.#guarded.end();
    if (this.#temporary) await rm(this.storeDir, { recursive: true, force: true });
  }
}
