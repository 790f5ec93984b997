/** Workers that are killed, stopped, blocked or told to go, with real processes: no message is lost, none pays for another's fault. */
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job } from "../support/faults/work.ts";
import { until } from "../support/embedded/until.ts";

let scene: Scene;

beforeEach(async () => {
  scene = await Scene.open();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

function jobs(count: number, job: Job): Job[] {
  return Array.from({ length: count }, () => job);
}

/** Every ack, nak and progress mark that reaches the server from now on, as `<delivery count>:<stream sequence> <body>`. */
async function watchAcks(): Promise<{ seen: string[]; close: () => Promise<void> }> {
  const client = await connect({ servers: scene.url });
  const seen: string[] = [];
  client.subscribe("$JS.ACK.faults_TASKS.>", {
    callback: (_error, message) => {
      const [count, sequence] = message.subject.split(".").slice(4);
      seen.push(`${count}:${sequence} ${message.string()}`);
    },
  });
  await client.flush();
  return { seen, close: () => client.close() };
}

describe("visibility", () => {
  test("a handler that runs three times the ack-wait is run once", async () => {
    const { system } = await scene.work({ worker: "a", ackWaitMs: 1_000 });
    await scene.work({ worker: "b", ackWaitMs: 1_000 });
    await system.tellMany(workName, jobs(4, { do: "work", ms: 3_200 }));
    await untilDrained(system);
    expect(scene.journal.of("run")).toHaveLength(4);
    await until("all is confirmed", () => scene.journal.of("completed").length === 4);
    expect(scene.journal.of("lost")).toEqual([]);
  });

  test("a worker killed in the middle of a handler: another runs the message after the ack-wait, not before", async () => {
    const ackWaitMs = 2_000;
    const system = await scene.connect();
    const victim = await scene.spawn({ worker: "victim", ackWaitMs });
    await system.tell(workName, { do: "work", ms: 60_000 }, { id: "m" });
    await until("the victim runs it", () => scene.journal.of("run").length === 1);
    await scene.work({ worker: "heir", ackWaitMs, atMostMs: 50 });
    victim.kill("SIGKILL");
    await victim.ended;
    await until("it is completed", () => scene.journal.of("completed").length === 1);
    const [first, second] = scene.journal.of("run");
    const waitedMs = (second?.at ?? 0) - (first?.at ?? 0);
    console.log(`killed mid-handler: run again ${waitedMs} ms after it was delivered, ack-wait ${ackWaitMs} ms`);
    expect(second).toMatchObject({ worker: "heir", attempt: 1, deliveries: 2 });
    expect(waitedMs).toBeGreaterThan(ackWaitMs - 100);
    expect(waitedMs).toBeLessThan(ackWaitMs + 1_000);
  });

  test("a worker stopped for longer than the ack-wait settles nothing afterwards, and starts nothing that it had not read", async () => {
    const system = await scene.connect();
    const setup = { ackWaitMs: 1_000, concurrency: 8, resultTtlMs: 60_000 };
    const sleeper = await scene.spawn({ worker: "sleeper", ...setup });
    const ids = ["a", "b", "c", "d"];
    for (const id of ids) await system.tell(workName, { do: "work", ms: 700 }, { id });
    const { names, reader } = system.parts;
    await until("it runs four and has a pull open", async () => {
      const [state] = await reader.consumers(names.tasks);
      return scene.journal.of("run").length === 4 && state?.waitingPulls === 1;
    });
    sleeper.kill("SIGSTOP");
    // The pull brings this one into its socket.
    await system.tell(workName, { do: "work", ms: 10 }, { id: "unread" });
    await until("the unread one is delivered", async () => (await reader.consumers(names.tasks))[0]?.inFlight === 5);
    await scene.work({ worker: "other", ...setup, atMostMs: 10 });
    await until("the other has done all five", () => scene.journal.of("completed").length === 5);
    const acks = await watchAcks();
    sleeper.kill("SIGCONT");
    await until("the sleeper has dropped all five", () => scene.journal.of("lost").length === 5);
    await until("its handlers ended", () => ids.every((id) => scene.journal.of("aborted", id).length === 1));
    // It is alive and takes part again.
    await system.tell(workName, { do: "work", ms: 1 }, { id: "after" });
    await until("the one after is done", () => scene.journal.of("completed", "after").length === 1);
    await acks.close();

    expect(scene.journal.of("lost").every((entry) => entry.worker === "sleeper")).toBe(true);
    expect(acks.seen.filter((ack) => !ack.startsWith("1:6 "))).toEqual([]);
    const runs = scene.journal.of("run").filter((entry) => entry.id !== "after");
    expect(runs.filter((entry) => entry.worker === "sleeper").map((entry) => entry.id)).toEqual(ids);
    expect(
      runs
        .filter((entry) => entry.worker === "other")
        .map((entry) => entry.id)
        .toSorted(),
    ).toEqual([...ids, "unread"]);
    for (const id of [...ids, "unread"]) {
      expect(await system.result(workName, id)).toEqual({ state: "completed", value: { by: "other" } });
    }
    expect(scene.journal.of("stalled")).toEqual([]);
  });

  test("a handler that blocks the event loop for longer than the ack-wait loses its message and what came in meanwhile", async () => {
    const system = await scene.connect();
    const setup = { ackWaitMs: 1_000, concurrency: 8, resultTtlMs: 60_000 };
    const blocked = await scene.spawn({ worker: "blocked", ...setup });
    await system.tell(workName, { do: "block", ms: 3_500 }, { id: "blocking" });
    await until("it blocks", () => scene.journal.of("blocks").length === 1);
    const { names, reader } = system.parts;
    await system.tell(workName, { do: "work", ms: 10 }, { id: "unread" });
    await until("the unread one is delivered", async () => (await reader.consumers(names.tasks))[0]?.inFlight === 2);
    await scene.work({ worker: "other", ...setup, atMostMs: 10 });
    await until("the other has done both", () => scene.journal.of("completed").length === 2);
    const acks = await watchAcks();
    expect(scene.journal.of("done").filter((entry) => entry.worker === "blocked")).toEqual([]);
    await until("the blocked one has dropped both", () => scene.journal.of("lost").length === 2);
    await acks.close();
    expect(blocked.running).toBe(true);
    expect(acks.seen).toEqual([]);
    expect(scene.journal.of("run", "unread").map((entry) => entry.worker)).toEqual(["other"]);
    for (const id of ["blocking", "unread"]) {
      expect(await system.result(workName, id)).toEqual({ state: "completed", value: { by: "other" } });
    }
  });
});

describe("a message that kills its worker", () => {
  test("is dead with reason stalled after the cap, and none of ten beside it is", async () => {
    const system = await scene.connect();
    await scene.work({ worker: "setup", ackWaitMs: 1_000 }).then(({ worker }) => worker.stop());
    const innocents = Array.from({ length: 10 }, (_, index) => `innocent-${index}`);
    for (const id of innocents.slice(0, 5)) await system.tell(workName, { do: "work", ms: 400 }, { id });
    await system.tell(workName, { do: "kill", ms: 100 }, { id: "killer" });
    for (const id of innocents.slice(5)) await system.tell(workName, { do: "work", ms: 400 }, { id });
    let deaths = 0;
    const dead = (): boolean => scene.journal.of("dead").length > 0;
    const done = (): boolean => innocents.every((id) => scene.journal.of("completed", id).length > 0);
    while (!(dead() && done())) {
      const worker = await scene.spawn({ worker: `life-${deaths + 1}`, ackWaitMs: 1_000, concurrency: 16, stalls: 3 });
      const end = await Promise.race([worker.ended, until("all is over", () => dead() && done(), 20_000)]);
      if (end === true) break;
      expect(end).toEqual({ code: null, signal: "SIGKILL" });
      deaths += 1;
      expect(deaths, "the killer is stopped in the end").toBeLessThan(8);
    }
    await untilDrained(system);
    console.log(
      `the killer brought down ${deaths} workers; runs of the innocents beside it: ${scene.journal.of("run").filter((entry) => entry.id !== "killer").length}`,
    );
    expect(scene.journal.of("dead")).toEqual([expect.objectContaining({ id: "killer", reason: "stalled" })]);
    const letters = [];
    for await (const letter of system.dead.list()) letters.push(letter);
    expect(letters).toEqual([expect.objectContaining({ id: "killer", reason: "stalled" })]);
    // The first death leaves no trace, the second finds it among others, then three alone.
    expect(deaths).toBe(5);
    expect(Math.max(...scene.journal.of("run").map((entry) => entry.attempt))).toBe(1);
  });
});

describe("SIGTERM", () => {
  test("under load: what runs finishes, the rest goes back uncounted, nothing is lost or run twice", async () => {
    const system = await scene.connect();
    const setup = { ackWaitMs: 2_000, concurrency: 32 };
    const leaver = await scene.spawn({ worker: "leaver", ...setup });
    await scene.spawn({ worker: "stayer", ...setup });
    await system.tellMany(workName, jobs(500, { do: "work", ms: 200 }));
    await until("both are at work", () => scene.journal.of("run").length > 150);
    leaver.kill("SIGTERM");
    expect(await leaver.ended).toEqual({ code: 0, signal: null });
    await untilDrained(system);
    await until("all is confirmed", () => scene.journal.of("completed").length === 500);
    const { journal } = scene;
    const mine = (what: string): string[] =>
      journal
        .of(what)
        .filter((entry) => entry.worker === "leaver")
        .map((entry) => entry.id)
        .toSorted();
    console.log(`SIGTERM: the leaver ran ${mine("run").length} and put back ${mine("interrupted").length}`);
    expect(journal.count("run")).toEqual({ messages: 500, repeated: 0, entries: 500 });
    expect(mine("completed")).toEqual(mine("run"));
    expect(new Set(journal.of("run").map((entry) => entry.attempt))).toEqual(new Set([1]));
    for (const what of ["lost", "stalled", "dead", "retry"]) expect(journal.of(what)).toEqual([]);
  });

  test("with a grace too short: the unfinished are aborted and put back, and no attempt or stall is counted, however often", async () => {
    const system = await scene.connect();
    const setup = { ackWaitMs: 1_500, concurrency: 8 };
    const ids = ["a", "b", "c", "d", "e", "f"];
    let leaver = await scene.spawn({ worker: "first", ...setup, graceMs: 200 });
    for (const id of ids) await system.tell(workName, { do: "obey", ms: 60_000 }, { id });
    await until("the first runs all", () => scene.journal.of("run").length === 6);
    leaver.kill("SIGTERM");
    await leaver.ended;
    leaver = await scene.spawn({ worker: "second", ...setup, graceMs: 200 });
    await until("the second runs all", () => scene.journal.of("run").length === 12);
    leaver.kill("SIGTERM");
    expect(await leaver.ended).toEqual({ code: 0, signal: null });
    await scene.work({ worker: "third", ...setup, atMostMs: 10 });
    await until("the third has done all", () => scene.journal.of("completed").length === 6);
    const { journal } = scene;
    expect(journal.of("aborted")).toHaveLength(12);
    expect(journal.of("interrupted")).toHaveLength(12);
    expect(new Set(journal.of("run").map((entry) => entry.attempt))).toEqual(new Set([1]));
    expect(journal.of("completed").every((entry) => entry.deliveries === 3)).toBe(true);
    for (const what of ["stalled", "dead", "retry"]) expect(journal.of(what)).toEqual([]);
  });

  test("with an onDead that does not return: it is given up after its bound, the message ends, and so does the worker", async () => {
    const system = await scene.connect();
    const leaver = await scene.spawn({ worker: "leaver", onDead: "hang", graceMs: 200 });
    await system.tell(workName, { do: "terminal" }, { id: "m" });
    await until("it hangs", () => scene.journal.of("buried").length === 1);
    leaver.kill("SIGTERM");
    expect(await leaver.ended).toEqual({ code: 0, signal: null });
    expect(scene.journal.of("closed")).toHaveLength(1);
    await scene.work({ worker: "heir" });
    await until("it is dead", () => scene.journal.of("dead").length === 1);
    await untilDrained(system);
    expect(scene.journal.of("buried").map(({ worker }) => worker)).toEqual(["leaver"]);
    expect(scene.journal.of("run")).toHaveLength(1);
  });

  test("after stop and close nothing keeps the process, with handlers that heed no signal too", async () => {
    const system = await scene.connect();
    const leaver = await scene.spawn({ worker: "leaver", concurrency: 4, graceMs: 100 });
    await system.tellMany(workName, jobs(20, { do: "work", ms: 5 }));
    await until("they are done", () => scene.journal.of("completed").length === 20);
    await system.tell(workName, { do: "work", ms: 1_500 }, { id: "deaf" });
    await until("the deaf one runs", () => scene.journal.of("run", "deaf").length === 1);
    const beganMs = Date.now();
    leaver.kill("SIGTERM");
    expect(await leaver.ended).toEqual({ code: 0, signal: null });
    // Its own timer keeps it for 1.5 s; nothing else may.
    expect(Date.now() - beganMs).toBeLessThan(2_500);
    expect(scene.journal.of("closed")).toHaveLength(1);
  });
});
