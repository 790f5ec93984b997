/** A server that is killed and comes back, streams and buckets that are gone for a while: nothing accepted is lost, nothing is dead twice. */
import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ActorSystem, DeadSummary } from "godwit";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job, type WorkerSetup } from "../support/faults/work.ts";
import { until } from "../support/embedded/until.ts";

let scene: Scene;
let system: ActorSystem;

beforeEach(async () => {
  scene = await Scene.open();
  system = await scene.connect();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

async function deadLetters(): Promise<DeadSummary[]> {
  const found = [];
  for await (const letter of system.dead.list()) found.push(letter);
  return found;
}

/**
 * Runs that began after the server had confirmed their message's ack.
 * - `again`: the server handed over what it had ended.
 * - `crossed`: it had handed it over before, to another worker. A server that was killed has forgotten deliveries, hands those messages
 *   out as if for the first time (`deliveries` is 1), and takes an ack from the earlier holder only then; so the ack passes the second
 *   holder's delivery on its way. Without the kill between, delivered more than once, or in the same worker it counts as `again`.
 */
function runsAfterTheEnd(): { again: number; crossed: number } {
  const ended = new Map<string, { worker: string; lives: number }>();
  const count = { again: 0, crossed: 0 };
  for (const { what, id, at, deliveries, worker } of scene.journal.entries) {
    const lives = scene.restarts.filter((restart) => restart <= at).length;
    const end = ended.get(id);
    if (what === "completed") ended.set(id, { worker, lives });
    else if (what === "run" && end !== undefined) {
      if (lives > 0 && end.lives === lives && end.worker !== worker && deliveries === 1) count.crossed += 1;
      else count.again += 1;
    }
  }
  return count;
}

async function killAndRestart(downMs = 0): Promise<number> {
  await scene.killServer();
  await wait(downMs);
  await scene.restartServer();
  return Date.now();
}

describe("a server killed twice in the middle of the work", () => {
  test("20,000 messages: sender and workers carry on, and each message is completed", async () => {
    const count = 20_000;
    const { journal } = scene;
    for (const worker of ["a", "b"]) await scene.spawn({ worker, concurrency: 50, ackWaitMs: 2_000 });
    const done = (): number => journal.of("completed").length;
    // Never far ahead of the workers, so that it is sending whenever the server dies.
    async function* bodies(): AsyncGenerator<Job> {
      for (let at = 0; at < count; at++) {
        if (at % 500 === 0) await until("the workers catch up", () => done() > at - 4_000, 40_000);
        yield { do: "work", ms: 15 };
      }
    }
    const sending = system.tellMany(workName, bodies(), { id: (_job, index) => `m${index}` });
    const silences: number[] = [];
    for (const reached of [5_000, 12_000]) {
      await until(`${reached} are done`, () => done() >= reached, 40_000);
      const backAt = await killAndRestart();
      await until("work goes on", () => journal.of("run").some((entry) => entry.at > backAt));
      const next = journal.of("run").find((entry) => entry.at > backAt);
      silences.push((next?.at ?? 0) - backAt);
    }
    const sent = await sending;
    await untilDrained(system);
    await until("all is confirmed", () => journal.count("completed").messages === count);
    const runs = journal.count("run");
    const late = runsAfterTheEnd();
    console.log(
      `server killed twice under 20,000 messages: ${runs.entries} runs, ${runs.repeated} messages run twice or more, ${late.again} after their ack, ${late.crossed} while it was on its way; ` +
        `first message ${silences.join(" and ")} ms after its return; ${sent.duplicates} duplicates seen by the sender`,
    );
    expect(sent.failures).toEqual([]);
    expect(sent.accepted + sent.duplicates).toBe(count);
    expect(runs.messages).toBe(count);
    for (const what of ["dead", "retry", "stalled"]) expect(journal.of(what)).toEqual([]);
    expect(late.again).toBe(0);
    for (const ms of silences) expect(ms).toBeLessThan(1_000);
  });

  test("2,000 delayed messages: none is lost, none runs again after its ack", async () => {
    const count = 2_000;
    const { journal } = scene;
    await scene.spawn({ worker: "a", concurrency: 50, ackWaitMs: 2_000 });
    for (let second = 2; second < 6; second++) {
      const bodies = Array.from({ length: count / 4 }, (): Job => ({ do: "work", ms: 5 }));
      await system.tellMany(workName, bodies, { delay: `${second}s`, id: (_job, index) => `${second}-${index}` });
    }
    // Once before any is due, once while they are falling due.
    await killAndRestart();
    await until("some are done", () => journal.of("completed").length > 600);
    await killAndRestart();
    await untilDrained(system);
    await until("all is confirmed", () => journal.count("completed").messages === count);
    const runs = journal.count("run");
    const late = runsAfterTheEnd();
    console.log(
      `server killed twice under 2,000 delayed messages: ${runs.entries} runs, ${runs.repeated} messages run twice or more, ${late.again + late.crossed} after their ack`,
    );
    expect(runs.messages).toBe(count);
    // One worker alone: nothing can cross.
    expect(late).toEqual({ again: 0, crossed: 0 });
    for (const what of ["dead", "retry", "stalled"]) expect(journal.of(what)).toEqual([]);
  });

  test.each([
    ["whose handlers outlast it", 2_500, 0],
    ["whose handlers end while there is none", 300, 600],
  ])("a worker %s: no handler is started again beside itself", async (_what, ms, downMs) => {
    const { journal } = scene;
    await scene.work({ worker: "w", concurrency: 40, ackWaitMs: 5_000 });
    await system.tellMany(
      workName,
      Array.from({ length: 20 }, (): Job => ({ do: "work", ms })),
    );
    await until("all run", () => journal.of("run").length === 20);
    await killAndRestart(downMs);
    await system.tell(workName, { do: "work" }, { id: "next" });
    await until("it works again", () => journal.of("completed", "next").length === 1);
    await untilDrained(system);
    await until("all is confirmed", () => journal.count("completed").messages === 21);
    expect(journal.count("run")).toEqual({ messages: 21, repeated: 0, entries: 21 });
    expect(journal.of("lost").every(({ reason }) => reason === "in-hand")).toBe(true);
  });

  test("a stream that was made anew: another message in the place of one in hand runs, and nobody else ends it", async () => {
    const { journal } = scene;
    await scene.work({ worker: "w", ackWaitMs: 8_000 });
    await system.tell(workName, { do: "work", ms: 3_000 }, { id: "old" });
    await until("it runs", () => journal.of("run", "old").length === 1);
    await scene.killServer();
    await rm(scene.storeDir, { recursive: true });
    await scene.restartServer();
    const sender = await scene.connect();
    // Makes the durable.
    const { worker } = await scene.work({ worker: "v", ackWaitMs: 8_000 });
    await worker.stop();
    await sender.tell(workName, { do: "work", ms: 200 }, { id: "new" });
    await until("the new one is done", () => journal.of("completed", "new").length === 1);
    await until("the old one is dropped", () => journal.of("lost", "old").length === 1);
    expect(journal.of("run", "new")).toHaveLength(1);
    expect(journal.of("completed", "old")).toEqual([]);
  });

  test("a message that the server no longer takes travels through the object store when it is back, and nothing else suffers", async () => {
    await scene.work({ worker: "w" });
    const sender = await scene.connect();
    await scene.killServer();
    const large = sender.tell(
      workName,
      { do: "work", padding: randomBytes(150_000).toString("base64") },
      { id: "large" },
    );
    const small = sender.tell(workName, { do: "work" }, { id: "small" });
    await scene.restartServer(65_536);
    expect(await large).toMatchObject({ id: "large", duplicate: false });
    expect(await small).toMatchObject({ id: "small", duplicate: false });
    for (const id of ["small", "large"])
      await until(`the ${id} one is done`, () => scene.journal.of("completed", id).length === 1);
  });

  test("a worker told to stop while there is no server ends by itself", async () => {
    const worker = await scene.spawn({ worker: "a", ackWaitMs: 1_500 });
    await system.tell(workName, { do: "work", ms: 800 });
    await until("it runs", () => scene.journal.of("run").length === 1);
    await scene.killServer();
    const beganMs = Date.now();
    worker.kill("SIGTERM");
    expect(await worker.ended).toEqual({ code: 0, signal: null });
    console.log(`stopped without a server after ${Date.now() - beganMs} ms`);
    expect(Date.now() - beganMs).toBeLessThan(5_000);
    await scene.restartServer();
    await scene.work({ worker: "b", atMostMs: 1 });
    await until("another has done it", () => scene.journal.of("completed").length === 1);
  });
});

/** A worker that makes nothing again that is gone. */
async function workWithoutMaking(setup: Partial<WorkerSetup>): Promise<void> {
  const { worker } = await scene.work(setup);
  await worker.stop();
  await scene.work(setup, { provision: "check" });
}

describe("effects that fail for a while", () => {
  test("no bucket for results: the messages complete, and their results are counted as lost", async () => {
    await workWithoutMaking({ worker: "w", resultTtlMs: 60_000, concurrency: 20 });
    const { names, connection } = system.parts;
    await connection.jsm.streams.delete(`KV_${names.resultsBucket}`);
    await system.tellMany(
      workName,
      Array.from({ length: 20 }, (): Job => ({ do: "work", ms: 10 })),
    );
    await untilDrained(system);
    await until("all is confirmed", () => scene.journal.of("completed").length === 20);
    expect(scene.journal.of("resultLost")).toHaveLength(20);
    expect(scene.journal.count("run")).toEqual({ messages: 20, repeated: 0, entries: 20 });
    expect(scene.journal.of("lost")).toEqual([]);
  });

  test("no bucket for runs: nothing is lost, and each attempt counts once when it is back", async () => {
    const { journal } = scene;
    await workWithoutMaking({ worker: "w", attempts: 3 });
    const { names, connection } = system.parts;
    await connection.jsm.streams.delete(`KV_${names.runsBucket}`);
    const ids = ["a", "b", "c", "d"];
    for (const id of ids) await system.tell(workName, { do: "fail" }, { id });
    await until("each has failed unnoted", () => journal.count("lost").messages === 4);
    expect(journal.of("dead")).toEqual([]);
    // Provisions the buckets afresh.
    await scene.connect();
    await untilDrained(system);
    await until("all is dead", () => journal.of("dead").length === 4);
    const letters = await deadLetters();
    expect(letters.map(({ id }) => id).toSorted()).toEqual(ids);
    for (const { attempts, history, stalls, reason } of letters) {
      expect({ attempts, failures: history.map(({ attempt }) => attempt), stalls, reason }).toEqual({
        attempts: 3,
        failures: [1, 2, 3],
        stalls: 0,
        reason: "exhausted",
      });
    }
  });

  test("two deliveries that note at once lose no note, and a start or an interruption that comes late overwrites none", async () => {
    const { runs } = system.parts;
    for (let at = 0; at < 50; at++) {
      const of = { stream: "stream", sequence: at, storedAtMs: 1, consumer: "durable", id: "m", nonce: "n" };
      const error = { at: 0, attempt: 1, name: "Error", message: "as the message asked" };
      await Promise.all([
        runs.note({ ...of, count: 1 }, { state: "failed", error }, 5_000),
        runs.note({ ...of, count: 2 }, { state: "started" }, 5_000),
      ]);
      await runs.note({ ...of, count: 3 }, { state: "interrupted" }, 5_000);
      await runs.note({ ...of, count: 3 }, { state: "started" }, 5_000);
      // Its worker had no answer to the note of its failure, and takes the message for lost.
      await runs.note({ ...of, count: 1 }, { state: "interrupted" }, 5_000);
      expect((await runs.read(of))?.runs).toEqual({ 1: "failed", 2: "started", 3: "interrupted" });
    }
  });

  test("no stream for dead letters: the message waits, no attempt or stall is counted, and it is dead once in the end", async () => {
    const { journal } = scene;
    await scene.work({ worker: "w", attempts: 2 });
    const { names, connection } = system.parts;
    await connection.jsm.streams.delete(names.dead);
    await system.tell(workName, { do: "fail" }, { id: "m" });
    await until("it is put off", () => journal.of("deferred").length === 1);
    expect(journal.of("deferred")[0]?.reason).toBe("dead-letters-unavailable");
    await scene.connect();
    // Its own return is 30 s away. The server takes a nak from anyone.
    connection.nc.publish(`$JS.ACK.${names.tasks}.${names.durable(workName)}.2.1.2.0.0`, "-NAK");
    await until("it is dead", () => journal.of("dead").length === 1);
    await untilDrained(system);
    expect(await deadLetters()).toEqual([
      expect.objectContaining({ id: "m", reason: "exhausted", attempts: 2, stalls: 0, deliveries: 3 }),
    ]);
    expect(
      journal.of("run").map(({ attempt }) => attempt),
      "its fate is decided: no handler runs again",
    ).toEqual([1, 2]);
    expect(journal.of("stalled")).toEqual([]);
    expect(journal.of("buried")).toHaveLength(1);
  });

  test("a server killed between a dead letter and its confirmation: one dead letter", async () => {
    const proxy = await scene.proxy();
    const { journal } = scene;
    await scene.work({ worker: "w", servers: proxy.url, ackWaitMs: 5_000 });
    let killed: Promise<unknown> | undefined;
    proxy.onRequest = (bytes) => {
      if (killed !== undefined || !bytes.includes("HPUB faults.dead.")) return;
      proxy.mute("answers");
      killed = until("it is stored", async () => (await deadLetters()).length === 1).then(() => killAndRestart());
    };
    await system.tell(workName, { do: "terminal" }, { id: "m" });
    await until("the server was killed", () => killed);
    await killed;
    await until("it is dead", () => journal.of("dead").length === 1);
    await untilDrained(system);
    expect(await deadLetters()).toHaveLength(1);
    expect(journal.of("buried")).toHaveLength(1);
    expect(journal.of("run")).toHaveLength(1);
  });

  test("a worker killed in onDead: onDead is called again, no handler is, and there is one dead letter", async () => {
    const victim = await scene.spawn({ worker: "victim", onDead: "kill", resultTtlMs: 60_000 });
    // Run once more, it would complete: dead and completed at once.
    await system.tell(workName, { do: "terminal", at: { heir: { do: "work" } } }, { id: "m" });
    expect(await victim.ended).toEqual({ code: null, signal: "SIGKILL" });
    expect(await deadLetters()).toHaveLength(1);
    await scene.work({ worker: "heir", resultTtlMs: 60_000 });
    await until("it is dead", () => scene.journal.of("dead").length === 1);
    await untilDrained(system);
    expect(scene.journal.of("buried").map(({ worker }) => worker)).toEqual(["victim", "heir"]);
    expect(scene.journal.of("run").map(({ worker }) => worker)).toEqual(["victim"]);
    expect(scene.journal.of("dead")).toEqual([expect.objectContaining({ reason: "terminal" })]);
    expect(await deadLetters()).toEqual([
      expect.objectContaining({ id: "m", reason: "terminal", attempts: 1, stalls: 0 }),
    ]);
    expect(await system.result(workName, "m")).toMatchObject({ state: "failed", error: { reason: "terminal" } });
  });
});
