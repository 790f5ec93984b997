/** The numbers stay exact whatever happens on the way: pieces that fail, workers that are killed, results that are gone. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ActorSystem, Terminal, type Middleware } from "godwit";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CountLogLines } from "../../actors/count-log-lines.ts";
import { countLog, type CountOptions } from "../../demo/count-log.ts";
import type { LogReport } from "../../demo/report.ts";
import { straightCount } from "../support/demo/straight-count.ts";

const root = join(import.meta.dirname, "../..");
const workerScript = join(root, "dist/test/support/demo/log-worker.js");
const sample = await readFile(join(root, "demo/sample-access-log.txt"));
const expected = straightCount(sample);
/** Some forty pieces. */
const options: CountOptions = { chunkBytes: 8_192 };

let system: ActorSystem;
const workers: { child: ChildProcess; ended: Promise<unknown> }[] = [];

beforeEach(async () => {
  system = await ActorSystem.connect({ embedded: true, log: "silent" });
});

afterEach(async () => {
  for (const { child } of workers) child.kill("SIGKILL");
  await Promise.all(workers.splice(0).map(({ ended }) => ended));
  await system.close();
});

async function* blocks(log: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < log.length; at += 5_000) yield log.subarray(at, at + 5_000);
}

const count = (more: CountOptions = {}): Promise<LogReport> =>
  countLog(system, blocks(sample), { ...options, ...more });

test("with every third piece failing once, after it was counted", async () => {
  const seen = new Set<string>();
  let failures = 0;
  const failThirds: Middleware = async (input, ctx, next) => {
    const tally = await next(input);
    const first = !seen.has(ctx.id);
    seen.add(ctx.id);
    if (first && seen.size % 3 === 0) {
      failures += 1;
      throw new Error("failed on purpose");
    }
    return tally;
  };
  await system.work([CountLogLines], { use: [failThirds] });
  expect(await count()).toEqual(expected);
  expect(failures).toBeGreaterThan(10);
});

test("with two workers killed by kill -9, each with pieces in hand", { timeout: 120_000 }, async () => {
  const counting = count();
  // Whatever becomes of it is looked at below; an error must not go unhandled meanwhile.
  counting.catch(() => undefined);
  for (let n = 0; n < 2; n++) {
    const worker = startWorker("7");
    await worker.hangs;
    worker.child.kill("SIGKILL");
  }
  startWorker("Infinity");
  expect(await counting).toEqual(expected);
});

test("with every piece counted twice, by two attempts", async () => {
  const failFirst: Middleware = async (input, ctx, next) => {
    const tally = await next(input);
    if (ctx.attempt === 1) throw new Error("failed on purpose");
    return tally;
  };
  await system.work([CountLogLines], { use: [failFirst] });
  expect(await count()).toEqual(expected);
});

test("a piece that cannot be counted fails the count, which says so", async () => {
  const refuse: Middleware = (_input, _ctx, _next) => {
    throw new Terminal("refused on purpose");
  };
  await system.work([CountLogLines], { use: [refuse] });
  await expect(count()).rejects.toThrow(/^A piece of the log could not be counted: .*refused on purpose/);
});

test("a source that breaks, and a signal, end the count", async () => {
  await system.work([CountLogLines]);
  const broken = async function* (): AsyncGenerator<Buffer> {
    yield sample.subarray(0, 100_000);
    throw new Error("the disk is gone");
  };
  await expect(countLog(system, broken(), options)).rejects.toThrow("the disk is gone");
  const stop = new AbortController();
  const onProgress = (): void => stop.abort(new Error("enough"));
  await expect(count({ signal: stop.signal, onProgress })).rejects.toThrow("enough");
});

test("a log is read no faster than it is counted", async () => {
  await system.work([CountLogLines]);
  let [readBytes, countedBytes, mostBytes] = [0, 0, 0];
  const log = async function* (): AsyncGenerator<Buffer> {
    for await (const block of blocks(sample)) {
      readBytes += block.length;
      mostBytes = Math.max(mostBytes, readBytes - countedBytes);
      yield block;
    }
  };
  const onProgress = (bytes: number): void => void (countedBytes = bytes);
  expect(await countLog(system, log(), { chunkBytes: 8_192, inFlight: 4, onProgress })).toEqual(expected);
  // Four pieces, and the blocks of which the next one is being made.
  expect(mostBytes).toBeLessThanOrEqual(4 * 8_192 + 3 * 5_000);
});

function startWorker(hangAfter: string): { child: ChildProcess; hangs: Promise<unknown> } {
  const child = spawn(process.execPath, [workerScript, String(system.servers[0]), hangAfter], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  workers.push({ child, ended: once(child, "exit") });
  return { child, hangs: once(createInterface({ input: child.stdout }), "line") };
}
