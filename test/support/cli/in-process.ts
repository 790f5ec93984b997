/**
 * Runs a command of `godwit` in this process: what a shell would see of it, without the second that a process takes to start.
 * 1. One at a time: arguments aside, a program's input, output, environment and folder belong to its process.
 * 2. Not for commands that load modules or hear signals: those change the process that they run in.
 */
import { Readable } from "node:stream";
import { run } from "../../../src/cli/run.ts";
import { environmentOf, type Ended, type RunOptions } from "./run.ts";

let before: Promise<unknown> = Promise.resolve();

/** As godwit() of run.ts, which does it in a process of its own. */
export function inProcess(args: readonly string[], options: RunOptions): Promise<Ended> {
  const ended = before.then(() => runHere(args, options));
  before = ended.catch(() => undefined);
  return ended;
}

async function runHere(args: readonly string[], { cwd, env, input }: RunOptions): Promise<Ended> {
  const ended: Ended = { code: 0, stdout: "", stderr: "" };
  const undo = [
    capture(process.stdout, (text) => (ended.stdout += text)),
    capture(process.stderr, (text) => (ended.stderr += text)),
    replace("env", environmentOf(env)),
    replace("stdin", Readable.from(input === undefined ? [] : [Buffer.from(input)])),
    enter(cwd),
  ];
  const { exitCode } = process;
  process.exitCode = undefined;
  try {
    ended.code = await run(args);
  } finally {
    process.exitCode = exitCode;
    for (const one of undo) one();
  }
  return ended;
}

type Undo = () => void;

function capture(stream: NodeJS.WriteStream, take: (text: string) => void): Undo {
  const { write } = stream;
  stream.write = (chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
    take(typeof chunk === "string" ? chunk : Buffer.from(chunk).toString());
    const taken = rest.at(-1);
    if (typeof taken === "function") process.nextTick(taken);
    return true;
  };
  return () => void (stream.write = write);
}

function replace(name: "env" | "stdin", value: unknown): Undo {
  const own = Object.getOwnPropertyDescriptor(process, name) ?? {};
  Object.defineProperty(process, name, { value, configurable: true, writable: true });
  return () => Object.defineProperty(process, name, own);
}

function enter(folder: string): Undo {
  const from = process.cwd();
  process.chdir(folder);
  return () => process.chdir(from);
}
