/** Connections that drop, hang or lose answers, through a proxy: what is in hand stays in hand, and what is lost is settled by nobody. */
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { connect as connectSocket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ActorSystem } from "godwit";
import type { Proxy } from "../support/faults/proxy.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job, type Step } from "../support/faults/work.ts";
import { until } from "../support/embedded/until.ts";
import { runsRecord } from "../support/runs-record.ts";

let scene: Scene;
let proxy: Proxy;
let system: ActorSystem;

beforeEach(async () => {
  scene = await Scene.open();
  proxy = await scene.proxy();
  system = await scene.connect();
});

afterEach(async ({ task }) => {
  await scene.close(task.result?.state === "fail");
});

const ids = ["a", "b", "c", "d", "e", "f"];

/** Sends a job under each id, and lets a worker that stops at once put them back: their next delivery is the second. */
async function sendAged(step: Step, at: Record<string, Step> = {}): Promise<void> {
  const { worker } = await scene.work({ worker: "ager" });
  const job: Job = { ...step, at: { ...at, ager: { do: "obey", ms: 60_000 } } };
  for (const id of ids) await system.tell(workName, job, { id });
  await until("the ager has all", () => scene.journal.of("run").length === ids.length);
  await worker.stop({ grace: 0 });
  await until("the ager put all back", () => scene.journal.of("interrupted").length === ids.length);
}

/** What the runs records say of the deliveries that the worker `cut` lost. */
async function notesOfLost(): Promise<(string | undefined)[]> {
  const { names } = system.parts;
  const lost = scene.journal.of("lost").filter((entry) => entry.worker === "cut");
  return Promise.all(
    lost.map(async ({ id, deliveries }) => {
      const key = names.runsKey(names.tasks, ids.indexOf(id) + 1, names.durable(workName));
      return (await runsRecord(system, key))?.runs[deliveries];
    }),
  );
}

/** Waits until none of them is down as started, which would be taken for a stall. */
async function untilNoneStands(): Promise<void> {
  await until("no started run is left", async () => !(await notesOfLost()).includes("started"));
}

function runsBy(worker: string, id?: string): number {
  return scene.journal.of("run", id).filter((entry) => entry.worker === worker).length;
}

/** Drops the connections and waits until a new one is made. */
async function dropAndReturn(): Promise<void> {
  const { accepted } = proxy;
  proxy.drop();
  await until("the client is back", () => proxy.accepted > accepted);
}

/** A task that only the worker `cut` keeps: once it ran there, everything that `cut` sent before has reached the server. */
async function cutWorksAgain(): Promise<void> {
  await system.tell(workName, { do: "work", at: { heir: { do: "snooze", ms: 20 } } }, { id: "next" });
  await until("the cut one has done the next", () =>
    scene.journal.of("completed", "next").some((entry) => entry.worker === "cut"),
  );
}

/** Makes the durable anew, and has it give out the first message: it passes over what settles another, without a word. */
async function forgetAllButTheFirst(): Promise<void> {
  const { names, connection } = system.parts;
  const durable = names.durable(workName);
  const { config } = await connection.jsm.consumers.info(names.tasks, durable);
  await connection.jsm.consumers.delete(names.tasks, durable);
  await connection.jsm.consumers.add(names.tasks, config);
  const first = connection.nc.subscribe("faults.first", { max: 1 });
  connection.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${names.tasks}.${durable}`, "1", { reply: "faults.first" });
  for await (const message of first) expect(message.reply).toContain(".1.1.1.");
}

describe("a connection that drops", () => {
  test("five times with 32 messages in hand makes no stall, burns no attempt and loses nothing", async () => {
    const { connection } = (await scene.work({ worker: "w", servers: proxy.url, concurrency: 32, ackWaitMs: 2_000 }))
      .system.parts;
    await system.tellMany(
      workName,
      Array.from({ length: 96 }, (): Job => ({ do: "work", ms: 1_500 })),
    );
    const { journal } = scene;
    for (let drop = 0; drop < 5; drop++) {
      await until("32 are in hand", () => journal.of("run").length === Math.min(96, 32 * (1 + Math.floor(drop / 2))));
      await dropAndReturn();
      // A drop in the middle of the handshake would make the client wait for its own timeout.
      await until("it is up", () => connection.up);
    }
    await untilDrained(system);
    await until("all is confirmed", () => journal.count("completed").messages === 96);
    const runs = journal.count("run");
    console.log(
      `five drops: 96 messages, ${runs.entries} runs, ${runs.repeated} run twice, ${journal.of("deferred").length} deferred`,
    );
    expect(runs.messages).toBe(96);
    expect(new Set(journal.of("run").map((entry) => entry.attempt))).toEqual(new Set([1]));
    for (const what of ["stalled", "dead", "retry", "lost"]) expect(journal.of(what)).toEqual([]);
    expect(runs.repeated).toBe(0);
  });

  test("for longer than the ack-wait: late results are dropped, and what they had started counts as no stall", async () => {
    await sendAged({ do: "work", ms: 1 }, { cut: { do: "work", ms: 1_800 } });
    await scene.work({ worker: "cut", servers: proxy.url });
    await until("the cut one runs all", () => runsBy("cut") === 6);
    await scene.work({ worker: "heir" });
    proxy.cut();
    await until("the heir has done all", () => scene.journal.of("completed").length === 6);
    await until("the cut one has dropped all", () => scene.journal.of("lost").length === 6);
    await until("its handlers have ended", () => scene.journal.of("aborted").length === 12);
    proxy.mend();
    await untilNoneStands();
    expect(scene.journal.of("completed").map((entry) => entry.worker)).toEqual(ids.map(() => "heir"));
    expect(scene.journal.of("dead")).toEqual([]);
  });

  test("while it notes that a run starts: the note that comes late counts as no stall", async () => {
    await sendAged({ do: "work", ms: 1 });
    proxy.onRequest = (bytes) => {
      if (bytes.includes("HPUB $KV.faults_runs")) proxy.mute("answers");
    };
    await scene.work({ worker: "cut", servers: proxy.url });
    // Before the heir: the record of a message that has ended tells no more of it.
    await until("a start is noted that nobody heard of", async () => (await notesOfLost()).includes("started"));
    await scene.work({ worker: "heir" });
    await until("the heir has done all", () => scene.journal.of("completed").length === 6);
    proxy.onRequest = () => undefined;
    await dropAndReturn();
    await untilNoneStands();
    expect(runsBy("cut")).toBe(0);
    expect(scene.journal.of("dead")).toEqual([]);
  });

  test("after the ack, before its confirmation: the ack is sent again and the message is not run again", async () => {
    await scene.work({ worker: "w", servers: proxy.url, ackWaitMs: 3_000 });
    await system.tell(workName, { do: "work", ms: 300 }, { id: "m" });
    await until("it runs", () => runsBy("w") === 1);
    proxy.mute("answers");
    await untilDrained(system);
    expect(scene.journal.of("completed")).toEqual([]);
    proxy.drop();
    await until("the ack is confirmed", () => scene.journal.of("completed").length === 1);
    await system.tell(workName, { do: "work" }, { id: "next" });
    await until("the next is done", () => scene.journal.of("completed", "next").length === 1);
    expect(runsBy("w", "m")).toBe(1);
    expect(scene.journal.of("lost")).toEqual([]);
  });

  test.each(["before the acks are sent", "while they are on their way"])(
    "to a server that forgot what it had delivered, %s: only an ack that it took counts as confirmed",
    async (when) => {
      // All are done in the turn of the loop that the last of them blocks: their acks go out together, the first one's last.
      await scene.spawn({ worker: "w", servers: proxy.url, ackWaitMs: 10_000, concurrency: 4 });
      for (const [at, ms] of [2_200, 2_100, 2_000].entries()) {
        await system.tell(workName, { do: "work", ms }, { id: ids[at] as string });
      }
      await system.tell(workName, { do: "block", afterMs: 1_500, ms: 1_000 }, { id: "blocker" });
      await until("all run", () => scene.journal.of("run").length === 4);
      if (when.startsWith("while")) await until("it blocks", () => scene.journal.of("blocks").length === 1);
      const { accepted } = proxy;
      proxy.cut();
      await forgetAllButTheFirst();
      proxy.mend();
      await until("the client is back", () => proxy.accepted > accepted);
      expect(scene.journal.of("blocks")).toHaveLength(when.startsWith("while") ? 1 : 0);
      await untilDrained(system);
      await until("all is confirmed", () => scene.journal.count("completed").messages === 4);
      const { entries } = scene.journal;
      const again = entries.filter(
        ({ what, id }, at) =>
          what === "run" && entries.slice(0, at).some((before) => before.what === "completed" && before.id === id),
      );
      expect(again).toEqual([]);
    },
  );

  test("after a nak, before its confirmation: it is not sent again over the run that it made", async () => {
    const setup = { ackWaitMs: 6_000, concurrency: 1 };
    await scene.work({ worker: "cut", servers: proxy.url, ...setup });
    const at: Record<string, Step> = { cut: { do: "snooze", ms: 300 } };
    await system.tell(workName, { do: "work", ms: 2_000, at }, { id: "m" });
    await until("it runs", () => runsBy("cut", "m") === 1);
    // Its pull is the first in the queue, because the cut one has no slot free.
    await scene.work({ worker: "heir", ...setup });
    proxy.mute("answers");
    await until("the heir runs it", () => runsBy("heir", "m") === 1);
    expect(scene.journal.of("deferred")).toEqual([]);
    await dropAndReturn();
    await until("it is done", () => scene.journal.of("completed", "m").length === 1);
    await untilDrained(system);
    expect(scene.journal.of("run", "m").map((entry) => entry.worker)).toEqual(["cut", "heir"]);
    expect(scene.journal.of("stalled")).toEqual([]);
  });

  test("after a publish, before its confirmation: it is sent again with the same id and stored once", async () => {
    const sender = await scene.connect({ servers: proxy.url });
    proxy.mute("answers");
    const sending = sender.tell(workName, { do: "work" });
    const { names, reader } = system.parts;
    await until("it is stored", async () => (await reader.state(names.tasks))?.messages === 1);
    proxy.drop();
    expect(await sending).toMatchObject({ sequence: 1, duplicate: false });
    expect((await reader.state(names.tasks))?.lastSequence).toBe(1);
  });

  test("a stream that swallows what is sent to it, as one does whose leader stands still: all is stored soon after it answers", async () => {
    const { names, connection } = system.parts;
    const { config } = await connection.jsm.streams.info(names.tasks);
    const swallower = connection.subscribe(`${names.namespace}.task.>`, () => undefined);
    await connection.jsm.streams.delete(names.tasks);
    const sending = system.tellMany(
      workName,
      Array.from({ length: 500 }, (): Job => ({ do: "work" })),
    );
    await wait(3_300);
    await connection.jsm.streams.add(config);
    swallower.unsubscribe();
    const beganMs = performance.now();
    expect(await sending).toMatchObject({ accepted: 500, failures: [] });
    const ms = performance.now() - beganMs;
    console.log(`500 swallowed messages were stored ${Math.round(ms)} ms after their stream answered`);
    expect(ms).toBeLessThan(1_000);
  });

  test("after a delayed publish, before its confirmation: sent again when it has long run, it does not run again", async () => {
    await scene.work({ worker: "w" });
    const sender = await scene.connect({ servers: proxy.url });
    proxy.mute("answers");
    const sending = sender.tell(workName, { do: "work" }, { id: "m", delay: 300 });
    await until("it is done", () => scene.journal.of("completed", "m").length === 1);
    proxy.drop();
    await sending;
    await system.tell(workName, { do: "work" }, { id: "next", delay: 1_000 });
    await until("the next is done", () => scene.journal.of("completed", "next").length === 1);
    expect(scene.journal.of("run", "m")).toHaveLength(1);
  });

  test("with a result on its way: a result that comes late is not stored over that of the worker that took over", async () => {
    const setup = { ackWaitMs: 2_000, resultTtlMs: 60_000 };
    await scene.work({ worker: "cut", servers: proxy.url, ...setup });
    await system.tell(workName, { do: "work", at: { cut: { do: "work", ms: 1_000 } } }, { id: "m" });
    await until("it runs", () => runsBy("cut") === 1);
    await scene.work({ worker: "heir", ...setup });
    proxy.cut();
    await until("the heir has done it", () => scene.journal.of("completed").length === 1);
    proxy.mend();
    await until("the cut one has dropped it", () => scene.journal.of("lost").length === 1);
    await cutWorksAgain();
    expect(await system.result(workName, "m")).toEqual({ state: "completed", value: { by: "heir" } });
  });

  test("with an answer on its way: the asker gets that of the worker that took over", async () => {
    const setup = { ackWaitMs: 2_000 };
    await scene.work({ worker: "cut", servers: proxy.url, ...setup });
    const at: Record<string, Step> = { cut: { do: "work", ms: 1_000 } };
    const answer = system.ask(workName, { do: "work", ms: 2_000, at }, { id: "m", timeout: "20s" });
    await until("it runs", () => runsBy("cut") === 1);
    await scene.work({ worker: "heir", ...setup });
    proxy.cut();
    await until("the heir runs it", () => runsBy("heir") === 1);
    await until("the cut one has dropped it", () => scene.journal.of("lost").length === 1);
    const { accepted } = proxy;
    proxy.mend();
    await until("the client is back", () => proxy.accepted > accepted);
    expect(await answer).toEqual({ by: "heir" });
  });

  test("with a dead letter on its way: none is stored for a message that another worker completed", async () => {
    const setup = { ackWaitMs: 2_000, attempts: 1 };
    await scene.work({ worker: "cut", servers: proxy.url, ...setup });
    await system.tell(workName, { do: "work", at: { cut: { do: "fail", ms: 1_000 } } }, { id: "m" });
    await until("it runs", () => runsBy("cut") === 1);
    await scene.work({ worker: "heir", ...setup });
    proxy.cut();
    await until("the heir has done it", () => scene.journal.of("completed").length === 1);
    proxy.mend();
    await until("the cut one has dropped it", () => scene.journal.of("lost").length === 1);
    await cutWorksAgain();
    expect(await system.parts.reader.state("faults_DEAD")).toMatchObject({ messages: 0 });
  });
});

test("cut after a nak, before its confirmation: the message runs again when it comes back, not an ack-wait later", async () => {
  const { journal } = scene;
  const { worker } = await scene.work({ worker: "cut", servers: proxy.url, ackWaitMs: 20_000 });
  let nakked = false;
  proxy.onRequest = (bytes) => {
    if (nakked || !bytes.includes("-NAK")) return;
    nakked = true;
    proxy.mute("answers");
  };
  await system.tell(workName, { do: "snooze", ms: 300 }, { id: "m" });
  await until("the nak is out", () => nakked);
  proxy.cut();
  // Its delay passes meanwhile.
  await wait(600);
  proxy.mend();
  await until("it runs again", () => journal.of("run").length === 2);
  expect(journal.of("run").map(({ deliveries }) => deliveries)).toEqual([1, 2]);
  await until("the nak is given up", () => journal.of("lost").length === 1);
  expect(journal.of("lost")).toMatchObject([{ deliveries: 1, reason: "unconfirmed" }]);
  await until("the second nak is confirmed", () => journal.of("deferred").length === 1);
  await worker.stop({ grace: 0 });
});

describe("a worker is never silent", () => {
  /** Sends one and tells how long it took until it ran. */
  async function latencyMs(id: string): Promise<number> {
    const beganMs = performance.now();
    await system.tell(workName, { do: "work" }, { id });
    await until(`${id} ran`, () => scene.journal.of("run", id).length > 0, 40_000);
    return performance.now() - beganMs;
  }

  test("after a dropped connection, a server that was killed, and a durable that was deleted and made again", async () => {
    await scene.work({ worker: "w", servers: proxy.url });
    await latencyMs("warm");
    await dropAndReturn();
    const dropMs = await latencyMs("after the drop");

    await scene.killServer();
    await scene.restartServer();
    const beganMs = performance.now();
    await latencyMs("after the kill");
    const killMs = performance.now() - beganMs;

    const { names, reader, connection } = system.parts;
    const durable = names.durable(workName);
    const { config } = await connection.jsm.consumers.info(names.tasks, durable);
    await reader.deleteConsumer(names.tasks, durable);
    await until("the worker has noticed", () => scene.journal.of("problem").length > 0);
    await connection.jsm.consumers.add(names.tasks, config);
    const deleteMs = await latencyMs("after the deletion");
    const shown = [dropMs, killMs, deleteMs].map(Math.round);
    console.log(
      `first message after: a drop ${shown[0]} ms, the server's return ${shown[1]} ms, the durable's ${shown[2]} ms`,
    );
    for (const ms of [dropMs, killMs, deleteMs]) expect(ms).toBeLessThan(1_000);
  });

  /**
   * Deletes the durable and has a plain client take the pulls for it, as a leader takes them that stands still: without a word.
   * @returns where those pulls want their messages, and what brings the durable back.
   */
  async function swallowPulls(): Promise<{ inboxes: string[]; restore: () => Promise<void> }> {
    const { names, connection, reader } = system.parts;
    const [stream, durable] = [names.tasks, names.durable(workName)];
    const { config } = await connection.jsm.consumers.info(stream, durable);
    const inboxes: string[] = [];
    const swallower = connection.subscribe(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`, ({ reply }) => {
      if (reply !== undefined) inboxes.push(reply);
    });
    await connection.ping();
    await reader.deleteConsumer(stream, durable);
    return {
      inboxes,
      restore: async () => {
        swallower.unsubscribe();
        await connection.jsm.consumers.add(stream, config);
      },
    };
  }

  test("after pulls that were swallowed: it tries again soon, and what takes those up later finds nobody", async () => {
    const { connection } = system.parts;
    await scene.work({ worker: "w" });
    await latencyMs("warm");
    const { inboxes, restore } = await swallowPulls();
    await until("pulls are given up and repeated", () => inboxes.length >= 4);
    await restore();
    const ms = await latencyMs("after the swallowing");
    console.log(`first message after swallowed pulls: ${Math.round(ms)} ms`);
    expect(ms).toBeLessThan(1_000);
    await until("nobody listens where they wanted their messages", async () => {
      const answers = inboxes.map((inbox) =>
        connection.nc.request(inbox, "", { timeout: 200 }).then(() => "an answer", String),
      );
      return (await Promise.all(answers)).every((answer) => /no responders/i.test(answer));
    });
  });

  test("after a time in which it was busy and pulled nothing, and its first pull was swallowed", async () => {
    await scene.work({ worker: "w", concurrency: 1, ackWaitMs: 20_000 });
    await system.tell(workName, { do: "work", ms: 3_000 }, { id: "long" });
    await until("it runs", () => scene.journal.of("run", "long").length === 1);
    const { inboxes, restore } = await swallowPulls();
    await until("its first pull is swallowed", () => inboxes.length > 0);
    const beganMs = performance.now();
    await restore();
    // Its ack went with the durable.
    await until("it comes again", () => scene.journal.of("run", "long").length === 2);
    const ms = performance.now() - beganMs;
    console.log(`first message after a busy time and a swallowed pull: ${Math.round(ms)} ms`);
    expect(ms).toBeLessThan(1_000);
  });

  test("after a connection that dropped in its handshake", async () => {
    await scene.work({ worker: "w", servers: proxy.url });
    await latencyMs("warm");
    let drops = 0;
    proxy.onRequest = (bytes) => {
      if (drops++ < 1 && bytes.includes("CONNECT {")) proxy.drop();
    };
    proxy.drop();
    const ms = await latencyMs("after the drops");
    console.log(`first message after a drop in the handshake: ${Math.round(ms)} ms`);
    expect(ms).toBeLessThan(4_000);
  });

  test("on a connection that neither answers nor closes", async () => {
    await scene.work({ worker: "w", servers: proxy.url });
    await latencyMs("warm");
    proxy.mute("both");
    const ms = await latencyMs("after the silence");
    console.log(`first message after a connection went silent: ${Math.round(ms)} ms`);
    expect(ms).toBeLessThan(10_000);
  });

  test("after a message whose headers cannot be read", async () => {
    await scene.work({ worker: "w" });
    await latencyMs("warm");
    const { hostname, port } = new URL(scene.url);
    const socket = connectSocket(Number(port), hostname);
    const headers = "NATS/1.0\r\nbad name: x\r\n\r\n";
    const body = JSON.stringify({ do: "work" });
    await once(socket, "data");
    socket.write(
      `CONNECT {"verbose":false,"headers":true}\r\nHPUB faults.task.normal.${workName} ${headers.length} ${headers.length + body.length}\r\n${headers}${body}\r\nPING\r\n`,
    );
    await once(socket, "data");
    socket.destroy();
    await latencyMs("after the bad one");
    await untilDrained(system);
    expect(scene.journal.of("run")).toHaveLength(3);
  });

  test("after an event listener that throws", async () => {
    const { worker } = await scene.work({ worker: "w" });
    worker.prependOnceListener("completed", () => {
      throw new Error("the listener's own");
    });
    await latencyMs("first");
    await latencyMs("second");
    await untilDrained(system);
    await until("both are reported", () => scene.journal.of("completed").length === 2);
    expect(scene.journal.count("run")).toEqual({ messages: 2, repeated: 0, entries: 2 });
  });
});
