/**
 * The guard: a shell that runs nats-server as its child and ends it when the owner's end of a pipe closes.
 * 1. The kernel closes the pipe however the owner ends, so `kill -9` of the owner ends the server too. stop() closes the same
 *    pipe: there is one way down, and it is used every day.
 * 2. Guard and server are a session of their own, so that Ctrl-C in a terminal reaches the owner alone, which may drain first.
 * 3. The shell waits for the server before it ends, so the pid that it signals cannot have gone to another process.
 */
import { spawn } from "node:child_process";
import type { Socket } from "node:net";

/** How the server ended. `code` is its exit code, 128 + n when signal n killed it, null when the guard was killed or did not run. */
export interface ServerExit {
  readonly code: number | null;
  readonly error?: Error;
}

export interface GuardOptions {
  readonly command: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** Open file that takes what the server prints: panics and errors in its config. */
  readonly logFd: number;
  /** Open, locked file that guard and server keep open while they live. */
  readonly lockFd: number;
  /** Removed when the server has ended by the closing of the pipe, so that a killed owner leaves nothing behind. */
  readonly temporaryDir: string | undefined;
}

/** A guarded server. It never keeps its owner's event loop alive. */
export interface Guarded {
  readonly exited: Promise<ServerExit>;
  /** Closes the pipe and waits: SIGTERM at once, SIGKILL after 5 s. */
  end(): Promise<ServerExit>;
}

// fd 3 is the pipe, fd 4 the lock. A shell cannot wait for a pipe and a child at once, hence the watcher. It ignores TERM
// once the pipe has closed, so its exit code 0 tells the guard that the owner is gone or done. 20 short looks make a quick
// stop quick, 24 long ones make up the 5 s.
const script = `
PATH=$PATH:/usr/bin:/bin
temporary=$1; shift
"$@" 3<&- & server=$!
(
  read -r _ <&3
  trap '' TERM
  kill -TERM $server 2>/dev/null
  tries=0
  while kill -0 $server 2>/dev/null; do
    if [ $tries -ge 44 ]; then kill -KILL $server 2>/dev/null; fi
    tries=$((tries + 1))
    if [ $tries -le 20 ]; then sleep 0.02; else sleep 0.2; fi 3<&- 4<&-
  done
  exit 0
) & watcher=$!
wait $server; code=$?
kill -TERM $watcher 2>/dev/null
if wait $watcher && [ -n "$temporary" ]; then rm -rf -- "$temporary"; fi
exit $code
`;

const lastResortMs = 8_000;

/** Starts `command` under a guard. Never throws: a guard that cannot be run shows in `exited`. */
export function startGuarded(options: GuardOptions): Guarded {
  const child = spawn("/bin/sh", ["-c", script, "godwit-guard", options.temporaryDir ?? "", ...options.command], {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ["ignore", options.logFd, options.logFd, "pipe", options.lockFd],
  });
  const pipe = child.stdio[3] as Socket | null | undefined;
  pipe?.on("error", () => undefined);
  pipe?.unref();
  child.unref();

  const killGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group is gone already, which is what was wanted.
    }
  };
  const exited = new Promise<ServerExit>((resolve) => {
    child.once("error", (error) => resolve({ code: null, error }));
    child.once("exit", (code) => {
      pipe?.destroy();
      killGroup(); // Someone may have killed the shell alone; a server without its guard must not live on.
      resolve({ code });
    });
  });

  const end = async (): Promise<ServerExit> => {
    child.ref();
    pipe?.destroy();
    const timer = setTimeout(killGroup, lastResortMs);
    const exit = await exited;
    clearTimeout(timer);
    return exit;
  };
  return { exited, end };
}
