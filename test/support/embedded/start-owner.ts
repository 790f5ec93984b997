/** Starts owner.ts as a process of its own, the leader of its group, and reads what it says. */
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../../dist/test/support/embedded/owner.js", import.meta.url));

export type Said = {
  url?: string;
  pid?: number;
  storeDir?: string;
  code?: string;
  message?: string;
  drained?: boolean;
};

export interface Owner {
  readonly process: ChildProcess;
  /** Lets the owner start its server. */
  go(): void;
  /** The next thing the owner says. */
  next(): Promise<Said>;
  readonly ended: Promise<void>;
}

/** Resolves when the owner is ready to `go()`. */
export async function startOwner(storeDir: string, mode = "stay"): Promise<Owner> {
  const child = spawn(process.execPath, [script, storeDir, mode], {
    detached: true,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Said> => {
    const line = await lines.next();
    if (line.done) throw new Error("the owner ended and said nothing");
    return JSON.parse(line.value) as Said;
  };
  await next();
  return { process: child, go: () => void child.stdin.write("go\n"), next, ended };
}
