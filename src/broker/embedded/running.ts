/** The note beside a store that tells other processes where its server is, and the check that it still tells the truth. */
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readInfo } from "./info.ts";

/** What the note holds. `serverName` is random for each start, so no other server can be taken for this one. */
export interface RunningNote {
  readonly url: string;
  readonly pid: number;
  readonly ownerPid: number;
  readonly serverName: string;
}

/**
 * The embedded server that runs on `storeDir`, started by any process on this machine, or undefined. Given only if it answers
 * under its own name and its owner lives, so that it will not end a moment later.
 */
export async function findRunning(storeDir: string): Promise<{ url: string; pid: number } | undefined> {
  const note = await readNote(storeDir);
  if (!note || !isAlive(note.ownerPid)) return undefined;
  const info = await readInfo(note.url, 1_000);
  return info?.serverName === note.serverName ? { url: note.url, pid: note.pid } : undefined;
}

/** Writes the note in one step, so that no reader sees half of it. The caller's server holds the lock. */
export async function writeNote(storeDir: string, note: RunningNote): Promise<void> {
  const path = notePath(storeDir);
  await writeFile(`${path}.new`, JSON.stringify(note));
  await rename(`${path}.new`, path);
}

/** Removes the note; missing is fine. */
export async function removeNote(storeDir: string): Promise<void> {
  await rm(notePath(storeDir), { force: true });
}

/** The note as it stands, perhaps of a server long gone, or undefined. */
export async function readNote(storeDir: string): Promise<RunningNote | undefined> {
  try {
    const { url, pid, ownerPid, serverName } = JSON.parse(await readFile(notePath(storeDir), "utf8")) as Record<
      string,
      unknown
    >;
    if (
      typeof url !== "string" ||
      typeof serverName !== "string" ||
      typeof pid !== "number" ||
      typeof ownerPid !== "number"
    )
      return undefined;
    return { url, pid, ownerPid, serverName };
  } catch {
    return undefined;
  }
}

function notePath(storeDir: string): string {
  return join(storeDir, "server.json");
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user may not be signalled, yet it lives.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
