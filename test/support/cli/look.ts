/** A namespace of its own for each test on one server, a system in it, and `godwit` pointed at it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { EmbeddedServer } from "../../../src/broker/embedded/server.ts";
import type { SystemParts } from "../../../src/system/parts.ts";
import { ActorSystem } from "../../../src/system/actor-system.ts";
import { inProcess } from "./in-process.ts";
import type { Ended } from "./run.ts";

/** What a test has at hand. Filled in before each one. */
export interface Bench {
  server: EmbeddedServer;
  cwd: string;
  namespace: string;
  system: ActorSystem;
  parts: SystemParts;
  /** Runs `godwit` in the test's namespace, in this process. */
  run(args: string[], env?: NodeJS.ProcessEnv): Promise<Ended>;
  /** Runs it with --json, and gives what it printed. Fails unless the exit code is 0. */
  json(...args: string[]): Promise<unknown>;
}

/** Sets up for the tests of the file that calls it. */
export function benchOf(prefix: string): Bench {
  const bench = {} as Bench;
  let count = 0;
  beforeAll(async () => {
    bench.cwd = await mkdtemp(join(tmpdir(), `godwit-${prefix}-`));
    bench.server = await EmbeddedServer.start();
  });
  afterAll(async () => {
    await bench.server.stop();
    await rm(bench.cwd, { recursive: true, force: true });
  });
  beforeEach(async () => {
    count += 1;
    bench.namespace = `${prefix}${count}`;
    bench.system = await ActorSystem.connect({ servers: bench.server.url, namespace: bench.namespace, log: "silent" });
    bench.parts = bench.system.parts;
  });
  afterEach(() => bench.system.close());
  bench.run = (args, env) =>
    inProcess([...args, "--namespace", bench.namespace], {
      cwd: bench.cwd,
      env: { NATS_URL: bench.server.url, ...env },
    });
  bench.json = async (...args) => {
    const { code, stdout, stderr } = await bench.run([...args, "--json"]);
    if (code !== 0) throw new Error(`${args.join(" ")} ended with code ${code}: ${stderr}`);
    return JSON.parse(stdout);
  };
  return bench;
}
