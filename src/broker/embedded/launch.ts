/** Launches nats-server on a locked store and waits until it answers. */
import { randomUUID } from "node:crypto";
import { open } from "node:fs/promises";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { EmbeddedServerError } from "../../kernel/errors.ts";
import { claimStore } from "./claim.ts";
import { clearPorts, logPath, logTail, readPorts, writeConfig } from "./files.ts";
import { startGuarded, type Guarded, type ServerExit } from "./guard.ts";
import { readInfo } from "./info.ts";
import { writeNote } from "./running.ts";

// A large store is recovered before the port opens, hence the patience.
const readyTimeoutMs = 60_000;
const pollMs = 5;

/** Where a started server is. */
export interface Place {
  readonly url: string;
  readonly pid: number;
  readonly storeDir: string;
}

/** What to launch. `storeDir` exists and is absolute. */
export interface LaunchOptions {
  readonly binary: string;
  readonly storeDir: string;
  /** The store was made for this launch and goes with it. */
  readonly temporary: boolean;
  readonly port: number | undefined;
  readonly maxPayloadBytes: number | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/**
 * Resolves when the server listens with JetStream up; after a failure nothing of it is left running.
 * @throws EmbeddedServerError `STORE_LOCKED`, or `SERVER_START_FAILED` with the end of the server's log.
 */
export async function launch(options: LaunchOptions): Promise<{ place: Place; guarded: Guarded }> {
  const { storeDir, env } = options;
  const serverName = `godwit-${randomUUID()}`;
  const lock = await claimStore(storeDir, env);
  let guarded: Guarded;
  try {
    await clearPorts(storeDir);
    const config = await writeConfig(storeDir, {
      serverName,
      port: options.port,
      maxPayloadBytes: options.maxPayloadBytes,
    });
    const log = await open(logPath(storeDir), "a", 0o640);
    const temporaryDir = options.temporary ? storeDir : undefined;
    guarded = startGuarded({
      command: [options.binary, "-c", config],
      cwd: storeDir,
      env,
      logFd: log.fd,
      lockFd: lock.fd,
      temporaryDir,
    });
    await log.close();
  } finally {
    // Guard and server have it now; were it kept here too, a server that died by itself would leave the store locked.
    await lock.close();
  }
  try {
    const { url, pid } = await untilReady(storeDir, serverName, guarded);
    await writeNote(storeDir, { url, pid, ownerPid: process.pid, serverName });
    return { place: { url, pid, storeDir }, guarded };
  } catch (thrown) {
    await guarded.end();
    throw thrown;
  }
}

async function untilReady(
  storeDir: string,
  serverName: string,
  guarded: Guarded,
): Promise<{ url: string; pid: number }> {
  const state: { exit?: ServerExit } = {};
  void guarded.exited.then((exit) => (state.exit = exit));
  const deadlineMs = monotonicMs() + readyTimeoutMs;
  while (monotonicMs() < deadlineMs) {
    if (state.exit)
      throw startFailed(
        storeDir,
        `it ended with code ${state.exit.code}: ${await logTail(storeDir)}`,
        state.exit.error,
      );
    const listening = await readPorts(storeDir);
    // The name proves that it is this server, not another that had the fixed port already.
    const info = listening && (await readInfo(listening.url, 1_000));
    if (listening && info?.serverName === serverName && info.jetstream) return listening;
    await pause(pollMs);
  }
  throw startFailed(storeDir, `it was not ready after ${readyTimeoutMs / 1_000} s: ${await logTail(storeDir)}`);
}

/** The error of a start that failed for the reason `why`. */
export function startFailed(storeDir: string, why: string, cause?: unknown): EmbeddedServerError {
  const mend = "mend what it names, or connect to a running server with `servers`";
  return new EmbeddedServerError(
    "SERVER_START_FAILED",
    `The embedded nats-server on '${storeDir}' did not start (${why}); ${mend}.`,
    {
      cause,
    },
  );
}
