/** The doctor: each fault is planted for real, and found; a healthy system has none. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { headers as newHeaders } from "@nats-io/transport-node";
import { afterEach, describe, expect, test } from "vitest";
import type { ActorSystem } from "../../src/index.ts";
import { askWorkers } from "../../src/worker/questions.ts";
import { actorOf, gate } from "../support/actors.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { godwit } from "../support/cli/run.ts";
import { consult, said, wrong } from "../support/doctor/consult.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const Echo = actorOf({ name: "echo", subscribe: ["orders.>"] }, (input) => input);
const ns = (ms: number): number => ms * 1_000_000;

/** Its durables are there, and nobody serves it. */
async function ranOnce(system: ActorSystem): Promise<void> {
  await (await system.work([Echo])).stop();
}

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

const workerScript = fileURLToPath(new URL("../../dist/test/support/worker-process.js", import.meta.url));
const skewScript = new URL("../../dist/test/support/doctor/skewed-clock.js", import.meta.url).href;

/** A worker of the actor `shared` in a process of its own; resolves when it works. */
async function workerProcess(nodeArguments: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...nodeArguments, workerScript, stage.url, stage.namespace], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  children.push(child);
  await once(child.stdout as NodeJS.EventEmitter, "data");
  return child;
}

describe("a healthy system", () => {
  test("has nothing worse than notes, from within and from the command line", async () => {
    const system = await stage.connect();
    const worker = await system.work([Echo]);
    const said = record(worker);
    await system.tell("echo", 1);
    await system.publish("orders.placed", 1);
    await said.until("completed", 2);
    const diagnosis = await consult(system);
    expect(wrong(diagnosis)).toEqual([]);
    expect(diagnosis.healthy).toBe(true);
    expect(diagnosis.findings.filter(({ level }) => level === "note").map(({ check }) => check)).toEqual([
      "fsync",
      "durability",
    ]);
    // The doctor would find that this process stood still while it loaded the command line.
    const { code, stdout, stderr } = await godwit(["doctor", "--namespace", stage.namespace], {
      cwd: "/",
      env: { NATS_URL: stage.url, COLUMNS: "80" },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/\n0 faults, 0 warnings, 2 notes\.\n$/);
  });

  test("is left as it was: the doctor stores, deletes and creates nothing", async () => {
    const system = await stage.connect();
    await ranOnce(system);
    await system.tell("echo", 1, { id: "kept" });
    const { jsm } = await stage.client();
    const states = async (): Promise<unknown[]> => {
      const found = [];
      for await (const { config, state } of jsm.streams.list()) {
        // Whose worker has just ended: its word goes.
        if (config.name === `KV_${stage.names.workersBucket}`) continue;
        if (config.name.includes(stage.namespace))
          found.push([config, state.messages, state.last_seq, state.consumer_count]);
      }
      return found;
    };
    const before = await states();
    await consult(system);
    expect(await states()).toEqual(before);
  });
});

test("a namespace without anything is one fault, which the exit code tells", async () => {
  const { code, stdout } = await inProcess(["doctor", "--json", "--namespace", "nowhere"], {
    cwd: "/",
    env: { NATS_URL: stage.url },
  });
  expect(code).toBe(1);
  expect(wrong(JSON.parse(stdout))).toEqual(["fault stream-missing namespace nowhere"]);
});

describe("streams:", () => {
  test("one that is gone, and one that was changed", async () => {
    const system = await stage.connect();
    const { jsm } = await stage.client();
    await jsm.streams.delete(`KV_${stage.names.onceBucket}`);
    const { config } = await jsm.streams.info(stage.names.tasks);
    await jsm.streams.update(stage.names.tasks, { ...config, allow_direct: true, discard_new_per_subject: false });
    const diagnosis = await consult(system);
    expect(wrong(diagnosis)).toEqual([
      `fault stream-missing KV_${stage.names.onceBucket}`,
      `warning stream-settings ${stage.names.tasks}`,
    ]);
    expect(said(diagnosis, "stream-settings")[0]?.finding).toContain("discard_new_per_subject is undefined, not true");
  });

  test("those in memory are durable as by the profile dev", async () => {
    const system = await stage.connect({ durability: "dev" });
    const diagnosis = await consult(system);
    expect(wrong(diagnosis)).toEqual([`warning durability namespace ${stage.namespace}`]);
    expect(said(diagnosis, "durability")[0]?.finding).toContain("profile dev");
  });

  test("a dedup window shorter than a sender tries, and retries beyond a longer one", async () => {
    const system = await stage.connect({ limits: { dedupWindow: "10s" } });
    expect(wrong(await consult(system))).toEqual([`warning dedup-window ${stage.names.tasks}`]);
    const Slow = actorOf({ name: "slow", retry: { attempts: 3, base: "1m", backoff: "fixed" } }, () => 1);
    await system.work([Slow, Echo]);
    expect(said(await consult(system), "dedup-window")).toMatchObject([
      { subject: stage.names.tasks },
      { level: "note", subject: "actor echo", finding: expect.stringContaining("over 15 s and") },
      { level: "note", subject: "actor slow", finding: expect.stringContaining("over 2 min and") },
    ]);
  });

  test("one that is nearly full, of bytes, of one actor's tasks, and of delayed ones", async () => {
    const system = await stage.connect({ limits: { maxBytes: 10_000, maxPerActor: 10 } });
    await system.work([actorOf({ name: "busy", concurrency: 1 }, () => busy.opened), Echo]);
    const busy = gate();
    for (let n = 0; n < 8; n++) await system.tell("busy", "x".repeat(900));
    for (let n = 0; n < 30; n++) await system.tell("busy", "x".repeat(300), { delay: "1h" });
    const found = wrong(await consult(system));
    busy.open();
    expect(found).toEqual([
      `warning stream-full ${stage.names.tasks}`,
      "warning actor-full actor busy",
      `warning schedule-size ${stage.names.schedule}`,
    ]);
  });

  test("what they are about to forget: events that wait, and dead letters", async () => {
    const system = await stage.connect({ limits: { eventsMaxAge: "8s", deadMaxAge: "8s", dedupWindow: "8s" } });
    const worker = await system.work([
      Echo,
      actorOf({ name: "failing", retry: { attempts: 1 } }, () => Promise.reject(new Error("no"))),
    ]);
    const events = record(worker);
    await system.tell("failing", 1);
    await events.until("dead");
    await worker.stop();
    await system.publish("orders.placed", 1);
    expect(said(await consult(system), "events-behind")).toMatchObject([{ level: "ok" }]);
    await expect
      .poll(async () => wrong(await consult(system)), { timeout: 7_500, interval: 300 })
      .toEqual([
        "warning no-worker actor echo",
        `warning dedup-window ${stage.names.tasks}`,
        "warning events-behind actor echo",
        `warning dead-letters-old ${stage.names.dead}`,
      ]);
  });
});

describe("durables:", () => {
  test("changed by somebody: ack-wait, deliveries, what may be open", async () => {
    const system = await stage.connect();
    await system.work([Echo]);
    const { jsm } = await stage.client();
    await jsm.consumers.update(stage.names.tasks, "echo", { ack_wait: ns(5_000) });
    await jsm.consumers.update(stage.names.schedule, "echo", { max_deliver: 4 });
    await jsm.consumers.update(stage.names.events, "echo", { max_ack_pending: 7 });
    const diagnosis = await consult(system);
    expect(wrong(diagnosis)).toEqual([
      "fault durable-settings actor echo",
      "warning durable-settings actor echo",
      "warning ack-wait actor echo",
    ]);
    expect(said(diagnosis, "ack-wait")[0]?.finding).toContain("waits 5 s and its workers go by 30 s");
    expect(said(diagnosis, "durable-settings").map(({ finding }) => finding)).toEqual([
      expect.stringContaining("max_deliver is 4"),
      expect.stringContaining("max_ack_pending is 7"),
    ]);
  });

  test("changed by somebody: without bodies, and to be deleted", async () => {
    const system = await stage.connect();
    await system.work([Echo]);
    const { jsm } = await stage.client();
    await jsm.consumers.update(stage.names.tasks, "echo", { headers_only: true });
    await jsm.consumers.update(stage.names.events, "echo", { inactive_threshold: ns(60_000) });
    const diagnosis = await consult(system);
    expect(wrong(diagnosis)).toEqual(["fault durable-settings actor echo", "warning durable-settings actor echo"]);
    expect(said(diagnosis, "durable-settings").map(({ finding }) => finding)).toEqual([
      expect.stringContaining("comes without its body"),
      expect.stringContaining("inactive_threshold is 60 s"),
    ]);
  });

  test("without a worker: one that nothing waits for, then one with a backlog, then paused; and a task that is nobody's", async () => {
    const system = await stage.connect();
    await ranOnce(system);
    expect(said(await consult(system), "no-worker")).toMatchObject([
      { level: "note", subject: "actor echo", mend: expect.stringContaining("godwit actor retire echo") },
    ]);
    await system.tell("echo", 1);
    expect(wrong(await consult(system))).toEqual(["warning no-worker actor echo"]);
    const { jsm } = await stage.client();
    await jsm.consumers.pause(stage.names.tasks, "echo", new Date(Date.now() + 3_600_000));
    expect(wrong(await consult(system))).toEqual(["warning no-worker actor echo", "warning paused actor echo"]);
    await jsm.consumers.resume(stage.names.tasks, "echo");
    await system.tell("ecoh", 1);
    expect(wrong(await consult(system))).toEqual([
      "warning no-worker actor echo",
      `warning orphan-subject ${stage.names.taskSubject("ecoh")}`,
    ]);
  });
});

test("a durable that somebody deleted under its workers", async () => {
  const system = await stage.connect();
  await system.work([Echo]);
  const { jsm } = await stage.client();
  await jsm.consumers.delete(stage.names.tasks, stage.names.durable("echo"));
  const diagnosis = await consult(system);
  expect(said(diagnosis, "durable-missing")).toMatchObject([
    { level: "fault", subject: "actor echo", finding: expect.stringContaining(stage.names.tasks) },
  ]);
});

describe("workers:", () => {
  test("one whose clock is ahead, and one that is stopped", async () => {
    const system = await stage.connect();
    const skewed = await workerProcess(["--import", skewScript], { SKEW_MS: "90000" });
    expect(wrong(await consult(system))).toEqual([
      expect.stringMatching(`^warning clock-skew worker .*pid ${skewed.pid}\\)$`),
    ]);
    skewed.kill("SIGSTOP");
    const diagnosis = await consult(system);
    skewed.kill("SIGCONT");
    expect(said(diagnosis, "worker-silent")).toMatchObject([
      {
        level: "warning",
        subject: expect.stringContaining(`pid ${skewed.pid}`),
        // Its clock is far ahead, and its figures are told by the server's.
        finding: expect.stringMatching(/just killed; [\d.]+ m?s ago it was running, with 0 messages in hand, \d+ MB/),
      },
    ]);
  });

  test("this host's clock is looked at too", async () => {
    await stage.connect();
    const { code, stdout } = await godwit(["doctor", "--json", "--namespace", stage.namespace], {
      cwd: "/",
      env: { NATS_URL: stage.url, NODE_OPTIONS: `--import ${skewScript}`, SKEW_MS: "-5000" },
    });
    expect(code).toBe(1);
    expect(wrong(JSON.parse(stdout))).toEqual(["warning clock-skew this host"]);
    expect(stdout).toMatch(/Its clock is 5 s behind the server's/);
  });

  test("of another version", async () => {
    const system = await stage.connect();
    await system.work([Echo]);
    const { names, bus } = system.parts;
    const [snapshot] = await askWorkers({ names, bus }, { ask: "snapshot" }, { waitMs: 5_000, enough: 1 });
    // What a worker of another version says on the wire.
    const { nc } = await stage.client();
    nc.subscribe(names.workersSubject, {
      callback: (_error, question) =>
        nc.publish(
          names.replySubject(question.headers?.get("Godwit-Reply") ?? ""),
          JSON.stringify({ ...snapshot, id: "older", version: "0.0.9" }),
          { headers: newHeaders() },
        ),
    });
    await nc.flush();
    // Two must answer before the doctor stops listening.
    await system.parts.workers.put("older", Buffer.from(JSON.stringify({ ...snapshot, id: "older" })), {
      ttlMs: 60_000,
    });
    const diagnosis = await consult(system);
    expect(wrong(diagnosis)).toEqual(["warning worker-versions the workers"]);
    expect(said(diagnosis, "worker-versions")[0]?.finding).toContain("1 of 0.0.9, 1 of");
  });

  test("one with an abandoned handler", async () => {
    const system = await stage.connect();
    const busy = gate();
    const timeLimit = { hard: "20ms", abandonAfter: "20ms" } as const;
    const worker = await system.work([
      actorOf({ name: "hanging", timeLimit, retry: { attempts: 1 } }, () => busy.opened),
    ]);
    const events = record(worker);
    await system.tell("hanging", 1);
    await events.until("abandoned");
    const found = wrong(await consult(system));
    busy.open();
    expect(found).toEqual([expect.stringMatching(/^warning worker-unhealthy worker /)]);
  });

  test("one whose event loop stood still", async () => {
    const system = await stage.connect();
    const worker = await system.work([
      actorOf({ name: "blocking", ackWait: "1s" }, () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
      }),
    ]);
    const events = record(worker);
    expect(said(await consult(system), "event-loop")).toMatchObject([{ level: "ok" }]);
    // Node's watch of the loop begins anew with each snapshot, and misses a standstill that begins before it has ticked.
    let times = 0;
    await expect
      .poll(async () => {
        await system.tell("blocking", 1);
        await events.until("completed", ++times);
        return wrong(await consult(system));
      }, patient)
      .toEqual([expect.stringMatching(/^warning event-loop worker /)]);
  });

  test("handlers beyond their limits and their ack-wait", async () => {
    const system = await stage.connect();
    const limited = { name: "limited", concurrency: 20, timeLimit: { hard: "30ms" }, retry: { attempts: 1 } } as const;
    const worker = await system.work([
      actorOf(limited, (_input, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", resolve))),
      actorOf({ name: "long", concurrency: 30, ackWait: "1s" }, (slow) =>
        slow === true ? new Promise((resolve) => setTimeout(resolve, 1_200)) : undefined,
      ),
    ]);
    const events = record(worker);
    await system.tellMany("limited", Array(20).fill(0));
    await system.tellMany("long", [...Array(28).fill(false), true, true]);
    await events.until("completed", 30 + 20);
    const diagnosis = await consult(system);
    expect(said(diagnosis, "handler-time")).toMatchObject([
      { level: "warning", subject: "actor limited", finding: expect.stringContaining("hard limit of 30 ms") },
      { level: "note", subject: "actor long", finding: expect.stringContaining("no limit ends one that hangs") },
      { level: "note", subject: "actor long", finding: expect.stringContaining("outlast its ack-wait of 1 s") },
    ]);
  });
});
