/** A real Prometheus scrapes two workers under load: what it answers is what the test itself counted, within 5 %. */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../src/index.ts";
import { Running } from "../support/cli/run.ts";
import { until } from "../support/embedded/until.ts";
import { startPrometheus, type Prometheus } from "../support/observe/prometheus.ts";
import { missingTool } from "../support/tools.ts";

const missing = missingTool("prometheus", "prometheus");

/** Each says when a handler ended, and how long it took. `held` never ends. */
const actors = `import { Actor } from "godwit";
export class Spread extends Actor {
  static config = { name: "spread", concurrency: 8 };
  async receive(ms) {
    const begun = performance.now();
    await new Promise((resolve) => setTimeout(resolve, ms));
    console.log("done " + Date.now() + " " + (performance.now() - begun));
  }
}
export class Held extends Actor {
  static config = { name: "held", concurrency: 2 };
  async receive() {
    console.log("held began");
    await new Promise(() => {});
  }
}`;

const windowS = 15;
const sent = 7_000;
const held = 300;
const scheduled = 40;

let cwd: string;
let server: EmbeddedServer;
let system: ActorSystem;
let prometheus: Prometheus | undefined;
const workers: Running[] = [];

beforeAll(async () => {
  if (missing !== undefined) return;
  cwd = await mkdtemp(join(tmpdir(), "godwit-scraped-"));
  await writeFile(join(cwd, "actors.mjs"), actors);
  server = await EmbeddedServer.start();
  system = await ActorSystem.connect({ servers: server.url, log: "silent" });
});
afterAll(async () => {
  for (const worker of workers) worker.signal("SIGKILL");
  await Promise.all(workers.map((worker) => worker.ended));
  await prometheus?.stop();
  await system?.close();
  await server?.stop();
  if (cwd !== undefined) await rm(cwd, { recursive: true, force: true });
});

/** Exponential, mean 50 ms, at least 5 ms: the quantiles of as many even steps, in an order without a pattern. */
function* durations(count: number): Generator<number> {
  for (let n = 1; n <= count; n++) yield 5 - 45 * Math.log(1 - ((n * 0.618_033_988_75) % 1));
}

async function startWorker(): Promise<{ worker: Running; target: string }> {
  const worker = new Running(["worker", "actors.mjs", "--servers", server.url, "--metrics-port", "0"], { cwd });
  workers.push(worker);
  await worker.says("metrics on");
  const [, target = ""] = /metrics on http:\/\/(\S+)\/metrics/.exec(worker.stderr) ?? [];
  return { worker, target };
}

/** What all workers said of handlers that ended: when, wall-clock ms, and how long they took, ms. */
function ended(): { atMs: number; ms: number }[] {
  const said = workers.flatMap(({ stdout }) => [...stdout.matchAll(/^done (\d+) ([\d.]+)$/gm)]);
  return said.map(([, atMs, ms]) => ({ atMs: Number(atMs), ms: Number(ms) }));
}

/** How far what Prometheus says is from what was counted, as a share of that. */
async function off(query: string, counted: number, atMs?: number): Promise<number> {
  return Math.abs(((await prometheus?.value(query, atMs)) ?? Number.NaN) / counted - 1);
}

test("depth, rates and P95 agree; promtool accepts the page", { timeout: 180_000 }, async ({ skip }) => {
  skip(missing !== undefined, missing);
  const targets = [(await startWorker()).target, (await startWorker()).target];
  prometheus = await startPrometheus(targets);
  const answers = async (query: string): Promise<number> => (await prometheus?.value(query)) ?? Number.NaN;
  await until("both are scraped", async () => (await answers("sum(up)")) === 2);
  await until("both have been read", async () => (await answers('count(godwit_messages_total{outcome="dead"})')) === 4);

  await system.tellMany("held", Array(held).fill(1));
  for (let n = 0; n < scheduled; n++) await system.tell("spread", 1, { delay: "1h" });
  await system.tellMany("spread", durations(sent));
  const completed = 'godwit_messages_total{actor="spread",outcome="completed"}';
  await until(
    "Prometheus knows a whole window under load",
    async () => (await answers(`sum(${completed})`)) > 5_000,
    120_000,
  );
  const atMs = Date.now() - 500;
  await until("the workers are past that", () => ended().some((one) => one.atMs > atMs));

  const within = ended().filter((one) => one.atMs > atMs - windowS * 1_000 && one.atMs <= atMs);
  expect(within.length).toBeGreaterThan(1_000);
  const times = within.map(({ ms }) => ms).toSorted((a, b) => a - b);
  const p95S = (times[Math.floor(0.95 * times.length)] as number) / 1_000;
  const began = workers.flatMap(({ stdout }) => [...stdout.matchAll(/^held began$/gm)]).length;
  const buckets = `sum by (le) (rate(godwit_handler_duration_seconds_bucket{actor="spread"}[${windowS}s]))`;
  const errors = {
    rate: await off(`sum(rate(${completed}[${windowS}s]))`, within.length / windowS, atMs),
    p95: await off(`histogram_quantile(0.95, ${buckets})`, p95S, atMs),
    depth: await off('max(godwit_queue_depth{actor="held",lane="normal"})', held - began),
    running: await off('sum(godwit_handlers_running{actor="held"})', began),
    scheduled: await off('max(godwit_queue_scheduled{actor="spread"})', scheduled),
  };
  expect(Object.entries(errors).filter(([, error]) => !(error <= 0.05))).toEqual([]);

  for (const target of targets) {
    const page = await (await fetch(`http://${target}/metrics`)).text();
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: page, encoding: "utf8" });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
  }
  // In the end every one is counted, and once.
  await until("all have been counted", async () => (await answers(`sum(${completed})`)) === sent, 60_000);
  expect(await answers('sum(godwit_handler_duration_seconds_count{actor="spread"})')).toBe(sent);
  expect(ended().length).toBe(sent);
});
