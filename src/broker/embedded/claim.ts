/** Claims a store directory for a new server, waiting out a predecessor that is on its way down. */
import type { FileHandle } from "node:fs/promises";
import { monotonicMs, pause } from "../../kernel/clock.ts";
import { EmbeddedServerError } from "../../kernel/errors.ts";
import { lockStore } from "./lock.ts";
import { findRunning, readNote } from "./running.ts";

// The guard of a killed owner gives its server 5 s to end; more, so that a start right after need not fail.
const patienceMs = 8_000;
const retryMs = 50;

/**
 * Takes the lock of `storeDir`. A store whose server lives and has an owner is refused at once; one that is locked by a
 * server that is starting or ending is waited for, up to 8 s.
 * @throws EmbeddedServerError `STORE_LOCKED`, naming the URL of the server that has it.
 */
export async function claimStore(storeDir: string, env: NodeJS.ProcessEnv): Promise<FileHandle> {
  const deadlineMs = monotonicMs() + patienceMs;
  for (;;) {
    const lock = await lockStore(storeDir, env);
    if (lock) return lock;
    const running = await findRunning(storeDir);
    if (running) throw locked(storeDir, running);
    if (monotonicMs() > deadlineMs) throw locked(storeDir, await readNote(storeDir));
    await pause(retryMs);
  }
}

function locked(storeDir: string, by: { url: string; pid: number } | undefined): EmbeddedServerError {
  const holder = by ? `the nats-server at ${by.url} (pid ${by.pid})` : "another nats-server";
  return new EmbeddedServerError(
    "STORE_LOCKED",
    `The store '${storeDir}' is in use by ${holder}; connect to that server with \`servers\`, or give this one another store directory.`,
  );
}
