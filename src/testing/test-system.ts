/**
 * testServer and testSystem: a real server for tests, one for each process, and on it a namespace for each test.
 * The server ends with the process, however that ends; a system that is not closed keeps its process alive, as any connection does.
 */
import { randomBytes } from "node:crypto";
import { Connection } from "../broker/connection.ts";
import { EmbeddedServer } from "../broker/embedded/server.ts";
import { ConnectError } from "../kernel/errors.ts";
import { StreamReader } from "../broker/stream-reader.ts";
import { ActorSystem } from "../system/actor-system.ts";
import {
  resolveSystemOptions,
  type ResolvedSystemOptions,
  type SystemLimits,
  type SystemOptions,
} from "../system/options.ts";

/** The nats-server that the tests of this process share. */
export interface TestServer {
  /** `nats://127.0.0.1:<port>`. */
  readonly url: string;
  /** Ends it before the process does. The next `testServer()` starts another. */
  stop(): Promise<void>;
}

let shared: Promise<TestServer> | undefined;

/**
 * An embedded nats-server, started at the first call; later calls give the same one. It ends, and its files go, with the process,
 * whether it was stopped or not.
 * @throws EmbeddedServerError where no server can be had; the next call tries again.
 */
export function testServer(): Promise<TestServer> {
  if (shared === undefined) {
    const started = start(() => {
      if (shared === started) shared = undefined;
    });
    shared = started;
  }
  return shared;
}

/** @param onGone called when the server has ended, or did not start. */
async function start(onGone: () => void): Promise<TestServer> {
  try {
    const server = await EmbeddedServer.start();
    void server.exited.then(onGone);
    const stop = (): Promise<void> => {
      onGone();
      return server.stop();
    };
    return { url: server.url, stop };
  } catch (error) {
    onGone();
    throw error;
  }
}

/** As for `ActorSystem.connect`, with other defaults. */
export interface TestSystemOptions extends Omit<SystemOptions, "embedded"> {
  /** Default: a fresh random one. A system with a given namespace leaves its streams when it closes. */
  namespace?: string;
  /** Default: the `testServer()`. */
  servers?: string | readonly string[];
  /** Default `"silent"`. */
  log?: NonNullable<SystemOptions["log"]>;
  /** As in production, but `maxBytes`: default 64 MB, because the server sets it aside for each test that is open. */
  limits?: SystemLimits;
}

/**
 * An ActorSystem in a namespace of its own. `close()` stops its workers, deletes the namespace's streams and buckets, and closes the
 * connection.
 * @throws EmbeddedServerError, and what `ActorSystem.connect` throws.
 * @example
 * const system = await testSystem();
 * const worker = await system.work([ChargePayment]);
 */
export async function testSystem(options: TestSystemOptions = {}): Promise<ActorSystem> {
  const servers = options.servers ?? (await testServer()).url;
  const namespace = options.namespace ?? `test-${randomBytes(8).toString("hex")}`;
  const limits = { maxBytes: 64_000_000, ...options.limits };
  const system = await ActorSystem.connect({ log: "silent", ...options, limits, servers, namespace });
  const close = system.close.bind(system);
  let closed: Promise<void> | undefined;
  const closeOnce = async (...grace: Parameters<ActorSystem["close"]>): Promise<void> => {
    await close(...grace);
    if (options.namespace !== undefined) return;
    await deleteNamespace(resolveSystemOptions({ ...options, servers }, process.env), namespace);
  };
  system.close = (...grace) => (closed ??= closeOnce(...grace));
  return system;
}

/** Deletes every stream of a namespace, buckets included. Nothing is left to delete where the server has gone. */
async function deleteNamespace(
  { servers, auth, tls, inboxPrefix, domain }: ResolvedSystemOptions,
  namespace: string,
): Promise<void> {
  let connection: Connection;
  try {
    connection = await Connection.open({
      servers: [...servers],
      auth,
      tls,
      inboxPrefix,
      domain,
      name: "godwit test kit",
    });
  } catch (error) {
    if (error instanceof ConnectError) return;
    throw error;
  }
  try {
    for (const stream of await new StreamReader(connection).streamNames()) {
      if (isOf(namespace, stream)) await connection.jsm.streams.delete(stream);
    }
  } finally {
    await connection.close();
  }
}

/** Buckets are streams with a prefix: `KV_` for keys and values, `OBJ_` for objects. */
function isOf(namespace: string, stream: string): boolean {
  return ["", "KV_", "OBJ_"].some((prefix) => stream.startsWith(`${prefix}${namespace}_`));
}
