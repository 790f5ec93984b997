/** The server of `dev`: started on the store and ended with it, or that of another `dev` on the same store, which is joined. */
import { createServer } from "node:net";
import { EmbeddedServer } from "../broker/embedded/server.ts";
import { findRunning } from "../broker/embedded/running.ts";
import { pause } from "../kernel/clock.ts";

export interface DevServer {
  url: string;
  joined: boolean;
  /** Resolves when it has ended by itself; to why, as the end of a sentence. */
  ended: Promise<string>;
  /** Ends the own server; leaves a joined one. */
  stop(): Promise<void>;
}

/** The port at which every client looks that is told of none. */
const usualPort = 4222;
const lookEveryMs = 1_000;

/**
 * @param port 0 for any free one; undefined for 4222 if that is free, else any.
 * @throws EmbeddedServerError, UnsupportedServerError.
 */
export async function startOrJoin(storeDir: string, port: number | undefined): Promise<DevServer> {
  const running = await findRunning(storeDir);
  if (running) return joinServer(storeDir, running.url);
  const wanted = port ?? ((await isFree(usualPort)) ? usualPort : 0);
  let server: EmbeddedServer;
  try {
    server = await EmbeddedServer.start({ storeDir, ...(wanted > 0 && { port: wanted }) });
  } catch (error) {
    // Another one may have started in the same moment.
    const other = (error as { code?: unknown }).code === "STORE_LOCKED" ? await findRunning(storeDir) : undefined;
    if (!other) throw error;
    return joinServer(storeDir, other.url);
  }
  return {
    url: server.url,
    joined: false,
    ended: server.exited.then(({ code }) => `ended with code ${code}; its log is ${storeDir}/nats-server.log`),
    stop: () => server.stop(),
  };
}

function joinServer(storeDir: string, url: string): DevServer {
  const left = new AbortController();
  const watch = async (): Promise<string> => {
    while ((await findRunning(storeDir))?.url === url) await pause(lookEveryMs, left.signal);
    return "was another 'godwit dev', which has ended; start this one again";
  };
  return {
    url,
    joined: true,
    ended: watch(),
    stop: async () => left.abort(),
  };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
