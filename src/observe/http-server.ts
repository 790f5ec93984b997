/**
 * HTTP server: puts a hono app on a port of this host, and takes it off again.
 * 1. It keeps no process alive that would otherwise end, and changes no globals.
 * 2. Stopping it lets requests that are being answered finish for a moment, then ends every connection, open streams included.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Hono } from "hono";
import { ListenError, toError } from "../kernel/errors.ts";

export interface HttpServerOptions {
  /** 0 for any free one. */
  port: number;
  /** Name or address of this host to listen on. Default `"127.0.0.1"`: nobody from elsewhere. */
  host?: string;
  /** What is served, for the error's sentence: `"metrics"`. */
  what: string;
}

export interface HttpServer {
  /** `http://127.0.0.1:9464`, without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** Resolves when the port is free again. A second call returns the first one's promise. */
  stop(): Promise<void>;
}

export const loopback = "127.0.0.1";
/** How long requests that are being answered may take when it stops. */
const graceMs = 500;

/** Resolves once it listens. @throws ListenError where the port cannot be had. */
export async function startHttpServer(app: Pick<Hono, "fetch">, options: HttpServerOptions): Promise<HttpServer> {
  const { port, host = loopback, what } = options;
  // Loaded here: most processes serve nothing.
  const { createAdaptorServer } = await import("@hono/node-server");
  // The adapter would put its own Request and Response in the place of those of the whole process.
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(refused(what, host, port, cause)));
    server.listen(port, host, resolve);
  });
  server.removeAllListeners("error");
  server.on("error", () => undefined);
  server.unref();
  const { port: bound } = server.address() as AddressInfo;
  let stopped: Promise<void> | undefined;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`,
    port: bound,
    stop: () => (stopped ??= stop(server)),
  };
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

const reasons: Record<string, string> = {
  EADDRINUSE: "something else listens there; end that, or choose another port (0 for any free one)",
  EACCES: "this user may not listen there; choose a port above 1023 (0 for any free one)",
  EADDRNOTAVAIL: "this host has no such address; choose one of its own, such as 127.0.0.1 or 0.0.0.0",
  ENOTFOUND: "no such host is known; choose an address of this host, such as 127.0.0.1 or 0.0.0.0",
};

function refused(what: string, host: string, port: number, cause: unknown): ListenError {
  const { code = "", message } = toError(cause) as NodeJS.ErrnoException;
  const why = reasons[code] ?? `${message}; choose another port or host`;
  return new ListenError(`The ${what} cannot be served on ${host}:${port}, because ${why}.`, { cause });
}
