/** A stream that is made anew, or put back from an earlier copy, while workers have its messages in hand: they end none of the new ones. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RetentionPolicy } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { mayHaveStored } from "../../src/broker/stream-reader.ts";
import { ActorSystem, on, Terminal } from "../../src/index.ts";
import { Names } from "../../src/message/subjects.ts";
import { actorOf, gate } from "../support/actors.ts";
import { listDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const names = new Names("godwit");

/** A server whose stream of tasks can be put back as it was. */
async function restorable() {
  const storeDir = await mkdtemp(join(tmpdir(), "godwit-restored-"));
  let server = await EmbeddedServer.start({ storeDir });
  const port = Number(new URL(server.url).port);
  const tasks = join(storeDir, "jetstream", "$G", "streams", names.tasks);
  const whileDown = async (act: () => Promise<void>): Promise<void> => {
    await server.stop();
    await act();
    server = await EmbeddedServer.start({ storeDir, port });
  };
  const elsewhere = async (act: (system: ActorSystem) => Promise<unknown>): Promise<void> => {
    const other = await EmbeddedServer.start({ storeDir });
    const system = await ActorSystem.connect({ servers: other.url, log: "silent" });
    await act(system);
    await system.close();
    await other.stop();
  };
  return {
    connect: () => ActorSystem.connect({ servers: server.url, log: "silent" }),
    copy: () => whileDown(() => cp(tasks, `${storeDir}/copy`, { recursive: true })),
    /** @param meanwhile is done before those who were connected are back. */
    putBack: (meanwhile?: (system: ActorSystem) => Promise<unknown>) =>
      whileDown(async () => {
        await rm(tasks, { recursive: true });
        await cp(`${storeDir}/copy`, tasks, { recursive: true });
        if (meanwhile !== undefined) await elsewhere(meanwhile);
      }),
    /** Does something while those who were connected are not. */
    behind: (act: (system: ActorSystem) => Promise<unknown>) => whileDown(() => elsewhere(act)),
    async stop() {
      await server.stop();
      await rm(storeDir, { recursive: true, force: true });
    },
  };
}

const ends: Record<string, () => void> = {
  returns: () => undefined,
  "fails, to be tried again": () => {
    throw new Error("again");
  },
  "fails for good": () => {
    throw new Terminal("never");
  },
};

test.each(Object.keys(ends))(
  "a task in hand that %s does not end the one at its place in a stream made anew",
  async (how) => {
    const first = await stage.connect();
    const client = await stage.client();
    const gates = { old: gate(), new: gate() };
    const began: string[] = [];
    const Holding = actorOf<"old" | "new">({ name: "holding", concurrency: 1, ackWait: "1s" }, async (input) => {
      began.push(input);
      await gates[input].opened;
      if (input === "old") ends[how]?.();
    });
    const before = record(await first.work([Holding]));
    await first.tell("holding", "old");
    await before.until("started");
    await client.jsm.streams.delete(stage.names.tasks);
    const second = await stage.connect();
    const after = record(await second.work([Holding]));
    await second.tell("holding", "new");
    await after.until("started");
    gates.old.open();
    await before.until("lost");
    await client.nc.flush();
    expect(began).toEqual(["old", "new"]);
    expect(await client.count(stage.names.tasks), "the new one is there while it runs").toBe(1);
    gates.new.open();
    await after.until("completed");
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(0);
    expect(await listDead(second)).toEqual([]);
  },
);

test("a message of a user's own stream that was made anew is not ended by the one that was in hand", async () => {
  const client = await stage.client();
  const stream = `${stage.namespace}_orders`;
  const subject = `${stage.namespace}.orders.placed`;
  const make = () => client.jsm.streams.add({ name: stream, subjects: [subject], retention: RetentionPolicy.Interest });
  await make();
  const gates = { old: gate(), new: gate() };
  const Holding = actorOf<"old" | "new">(
    { name: "holding", concurrency: 1, subscribe: [on({ stream, subject })] },
    (input) => gates[input].opened,
  );
  const first = await stage.connect();
  const before = record(await first.work([Holding]));
  await client.publish(subject, '"old"');
  await before.until("started");
  await client.jsm.streams.delete(stream);
  await make();
  const after = record(await (await stage.connect()).work([Holding]));
  await client.publish(subject, '"new"');
  await after.until("started");
  gates.old.open();
  await before.until("lost");
  await client.nc.flush();
  expect(await client.count(stream)).toBe(1);
  gates.new.open();
  await after.until("completed");
  await expect.poll(() => client.count(stream), patient).toBe(0);
});

describe("a stream of tasks that is put back as it was", () => {
  test("has the dead letters of the tasks that are accepted after it", async () => {
    const server = await restorable();
    const system = await server.connect();
    try {
      const Failing = actorOf({ name: "fails", retry: { attempts: 1 } }, (input) => {
        throw new Error(`failed ${String(input)}`);
      });
      const worker = await system.work([Failing]);
      const recorder = record(worker);
      await server.copy();
      await system.tellMany("fails", ["1", "2", "3", "4", "5"]);
      await recorder.until("dead", 5);
      await server.putBack();
      const sent = await system.tellMany("fails", ["a", "b", "c", "d", "e"]);
      expect(sent.accepted).toBe(5);
      await recorder.until("dead", 10);
      const said = (await listDead(system)).map(({ error }) => error.message.slice(-1));
      expect(said.toSorted()).toEqual(["1", "2", "3", "4", "5", "a", "b", "c", "d", "e"]);
    } finally {
      await system.close();
      await server.stop();
    }
  });

  test("is known by a worker also where a task was stored at the place of one in hand before it was back", async () => {
    const server = await restorable();
    const first = await server.connect();
    try {
      const gates = { old: gate(), new: gate() };
      const done: string[] = [];
      const Holding = actorOf<"old" | "new">({ name: "holding", concurrency: 1 }, async (input) => {
        await gates[input].opened;
        done.push(input);
        if (input === "new") return;
        // The late one is not to be put down as the other's end.
        throw new Error("it failed");
      });
      const before = record(await first.work([Holding]));
      await server.copy();
      await first.tell("holding", "old");
      await before.until("started");
      await server.putBack((system) => system.tell("holding", "new"));
      await before.until("lost");
      gates.old.open();
      gates.new.open();
      await before.until("completed");
      expect(done.at(-1)).toBe("new");
      await expect.poll(async () => (await first.parts.reader.state(names.tasks))?.messages, patient).toBe(0);
    } finally {
      await first.close();
      await server.stop();
    }
  });

  test("hands out a task at the place of one that is in hand, which does not end it", async () => {
    const server = await restorable();
    const first = await server.connect();
    const second = await server.connect();
    try {
      const gates = { old: gate(), new: gate() };
      const Holding = actorOf<"old" | "new">({ name: "holding", concurrency: 1 }, (input) => gates[input].opened);
      const before = record(await first.work([Holding]));
      await server.copy();
      await first.tell("holding", "old");
      await before.until("started");
      await server.putBack();
      await before.until("lost");
      const after = record(await second.work([Holding]));
      await second.tell("holding", "new");
      await after.until("started");
      gates.old.open();
      const messages = async () => (await second.parts.reader.state(names.tasks))?.messages;
      await first.parts.connection.ping();
      expect(await messages()).toBe(1);
      gates.new.open();
      await after.until("completed");
      await expect.poll(messages, patient).toBe(0);
    } finally {
      await first.close();
      await second.close();
      await server.stop();
    }
  });
});

test("a message in hand of a user's own stream that was made anew while its worker was cut off is nobody's", async () => {
  const server = await restorable();
  const system = await server.connect();
  try {
    const config = { name: "orders", subjects: ["orders.placed"] };
    const { jsm, nc } = system.parts.connection;
    await jsm.streams.add(config);
    const { opened, open } = gate();
    const subscribe = [on({ stream: "orders", subject: "orders.placed" })];
    const recorder = record(await system.work([actorOf({ name: "holding", subscribe }, () => opened)]));
    nc.publish("orders.placed", "1");
    await recorder.until("started");
    await server.behind(async ({ parts }) => {
      await parts.connection.jsm.streams.delete("orders");
      await parts.connection.jsm.streams.add(config);
    });
    const [lost] = await recorder.until("lost");
    open();
    expect(lost?.data).toMatchObject({ stream: "orders", sequence: 1 });
  } finally {
    await system.close();
    await server.stop();
  }
});

test("delayed tasks and events of streams that were made anew have dead letters of their own", async () => {
  const client = await stage.client();
  const Failing = actorOf({ name: "fails.any", retry: { attempts: 1 }, subscribe: [on("happened")] }, (input) => {
    throw new Error(`failed ${String(input)}`);
  });
  const round = async (what: string): Promise<ActorSystem> => {
    const system = await stage.connect();
    const worker = await system.work([Failing]);
    const recorder = record(worker);
    await system.tell("fails.any", `${what} delayed`, { delay: 20 });
    await system.publish("happened", `${what} event`);
    await recorder.until("dead", 2);
    await worker.stop();
    return system;
  };
  await round("old");
  for (const stream of [stage.names.schedule, stage.names.events]) await client.jsm.streams.delete(stream);
  const said = (await listDead(await round("new"))).map(({ error }) => error.message);
  expect(said.toSorted()).toEqual(["failed new delayed", "failed new event", "failed old delayed", "failed old event"]);
});

test("whether a message is still stored goes by when it was stored", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { tasks } = stage.names;
  await client.publish(stage.names.taskSubject("nobody"), "1");
  const old = { stream: tasks, sequence: 1, storedAtMs: (await system.parts.reader.get(tasks, 1))?.storedAtMs ?? 0 };
  expect(await system.parts.reader.holds(old)).toBe(true);
  await client.jsm.streams.delete(tasks);
  const again = await stage.connect();
  await client.publish(stage.names.taskSubject("nobody"), "2");
  expect(await again.parts.reader.holds(old)).toBe(false);
  const own = { ...old, storedAtMs: (await again.parts.reader.get(tasks, 1))?.storedAtMs ?? 0 };
  expect(await again.parts.reader.holds(own)).toBe(true);
  const info = await client.jsm.streams.info(tasks);
  expect([own, old, { ...own, sequence: 2 }].map((place) => mayHaveStored(info, place))).toEqual([true, false, false]);
  // As it is after a restore, which leaves the time at which the stream was made.
  const restored = { ...info, created: new Date(old.storedAtMs - 1).toISOString() };
  expect(
    [own, old].map((place) => mayHaveStored(restored, place)),
    "the first is younger",
  ).toEqual([true, false]);
  restored.state = { ...info.state, first_ts: new Date(0).toISOString(), first_seq: 0 };
  expect(
    [own, old].map((place) => mayHaveStored(restored, place)),
    "the last is younger",
  ).toEqual([true, false]);
});
