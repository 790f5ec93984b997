/**
 * Orphan guard: a shell that outlives its supervisor, to end worker processes that cannot notice that it is gone: one in an endless loop hears
 * nothing. The kernel closes the pipe that it reads however the supervisor ends, also by `kill -9`.
 */
import { spawn } from "node:child_process";

/** What each of them has among its arguments, so that no process is ended that has come to have its number. */
export const supervisedFlag = "--supervised";

// Slim images have no ps, other systems no /proc. Lines are "+ pid" and "- pid". Those that are left when the pipe closes have the time of $1 seconds to drain.
const script = `
PATH=$PATH:/usr/bin:/bin
pids=
without() { left=; for one in $pids; do [ "$one" = "$1" ] || left="$left $one"; done; pids=$left; }
args() { cat "/proc/$1/cmdline" || ps -p "$1" -o args=; }
while read -r sign pid; do
  if [ "$sign" = + ]; then pids="$pids $pid"; else without "$pid"; fi
done
seconds=$1
while [ -n "$pids" ]; do
  for pid in $pids; do
    if ! args "$pid" | grep -q -e ${supervisedFlag}; then without "$pid"
    elif [ "$seconds" -le 0 ]; then kill -KILL "$pid"; fi
  done
  seconds=$((seconds - 1))
  [ -z "$pids" ] || sleep 1
done
`;

export class OrphanGuard {
  readonly #shell;

  /** @param patienceMs that they may take to drain. */
  constructor(patienceMs: number) {
    // In a session of its own: Ctrl-C is for the supervisor.
    this.#shell = spawn("/bin/sh", ["-c", script, "godwit-orphan-guard", String(Math.ceil(patienceMs / 1_000))], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#shell.unref();
    // Without a shell there is no guard, and all else works.
    for (const one of [this.#shell, this.#shell.stdin]) one.on("error", () => undefined);
  }

  watch({ pid, ended }: { pid: number; ended: Promise<unknown> }): void {
    this.#shell.stdin.write(`+ ${pid}\n`);
    void ended.then(() => this.#shell.stdin.write(`- ${pid}\n`));
  }

  /** Resolves when it has let go of all. */
  async stop(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#shell;
    this.#shell.stdin.end();
    if (exitCode === null && signalCode === null && pid !== undefined) {
      await new Promise((resolve) => this.#shell.once("exit", resolve).ref());
    }
  }
}
