/**
 * The lock on a store directory: one nats-server at a time, across processes and containers of one machine.
 * 1. It is a kernel lock (flock) on an open file, so it cannot be stale: it ends with the last process that holds the file
 *    open, by whatever death, and no pid is ever compared.
 * 2. The server inherits the open file. So the lock lives exactly as long as something may write to the store: an owner that
 *    was killed does not free it while its server is still ending.
 */
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { EmbeddedServerError } from "../../kernel/errors.ts";
import { runCommand } from "./command.ts";

// Node cannot call flock() itself. A lock belongs to the open file, not to the process that asked for it, so a child that
// is given the file can take it and end. Linux has flock(1) (util-linux, BusyBox); macOS and the BSDs come with or get perl.
const tools: readonly (readonly [string, ...string[]])[] = [
  ["flock", "-x", "-n", "3"],
  [
    "perl",
    "-e",
    'use Fcntl ":flock"; open(my $f, "+<&=", 3) or die $!; flock($f, LOCK_EX | LOCK_NB) or exit($!{EWOULDBLOCK} ? 1 : die $!);',
  ],
];
const heldElsewhere = 1;

/**
 * Takes the lock of `storeDir`, which must exist, or gives undefined when another process has it. Close the handle, and end
 * every process that inherited it, to free the lock.
 * @throws EmbeddedServerError `SERVER_START_FAILED` when this machine or filesystem cannot lock.
 */
export async function lockStore(storeDir: string, env: NodeJS.ProcessEnv): Promise<FileHandle | undefined> {
  const path = join(storeDir, "godwit.lock");
  const file = await open(path, "a+");
  let locked = false;
  try {
    locked = await tryLock(file, path, env);
  } finally {
    if (!locked) await file.close();
  }
  return locked ? file : undefined;
}

async function tryLock(file: FileHandle, path: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const reasons: string[] = [];
  for (const [command, ...args] of tools) {
    const end = await runCommand(command, args, { env, timeoutMs: 5_000, fd: file.fd });
    if (end.kind === "exited" && end.code === 0) return true;
    if (end.kind === "exited" && end.code === heldElsewhere) return false;
    reasons.push(end.kind === "failed" ? end.error.message : `${command} said: ${end.output.trim()}`);
  }
  throw new EmbeddedServerError(
    "SERVER_START_FAILED",
    `The store lock '${path}' cannot be taken (${reasons.join("; ")}); install flock (util-linux) or perl, and keep the store on a local disk.`,
  );
}
