/** Dead letters in the hands of two: who sends one again and who deletes it are never both told that they did. And lists read what they show. */
import { expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { newestOf } from "../../src/cli/dead-filter.ts";
import { useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();

/** Writes letters as a worker would. */
async function plant(client: PlainClient, count: number): Promise<void> {
  const { names } = stage;
  const at = new Date(0).toISOString();
  const error = { name: "Error", message: "no" };
  const write = async (n: number): Promise<unknown> => {
    const origin = { stream: names.tasks, sequence: n, subject: names.taskSubject("mail"), storedAt: at };
    const counts = { attempts: 5, deliveries: 5, stalls: 0, history: [] };
    const info = { v: 1, id: `m${n}`, actor: "mail", reason: "exhausted", error, origin, diedAt: at, ...counts };
    const headers = { "Godwit-Dead": JSON.stringify(info), "Godwit-Dead-Headers": `[["Godwit-Id",["m${n}"]]]` };
    return client.publish(names.deadSubject("mail", names.tasks, n), "1", headers);
  };
  for (let from = 1; from <= count; from += 500) {
    await Promise.all(Array.from({ length: Math.min(500, count - from + 1) }, async (_, index) => write(from + index)));
  }
}

test("requeued and deleted at once, a letter is sent or deleted, and each operator is told which", async () => {
  const system = await stage.connect();
  const [sender, deleter] = [new Inspector(system), new Inspector(await stage.connect())];
  const client = await stage.client();
  const count = 200;
  await plant(client, count);
  const requeued = new Set<number>();
  const deleted = new Set<number>();
  await Promise.all([
    sender.requeueDead({ query: {} }, { onRequeued: ({ sequence }) => requeued.add(sequence) }),
    deleter.deleteDead({ query: {} }, { onDeleted: (sequence) => deleted.add(sequence) }),
  ]);
  expect([...requeued].filter((sequence) => deleted.has(sequence))).toEqual([]);
  expect(requeued.size + deleted.size).toBe(count);
  expect(await client.count(stage.names.tasks)).toBe(requeued.size);
  expect(await client.count(stage.names.dead)).toBe(0);
});

test("what one read before another deleted it is not sent", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  await plant(client, 1);
  const stored = await system.dead.read(1);
  await (await stage.connect()).dead.purge(1);
  await expect(system.dead.requeueStored(stored)).rejects.toMatchObject({ code: "NOT_FOUND" });
  expect(await client.count(stage.names.tasks)).toBe(0);
});

test.each([0, -1, 1.5, NaN, 9e15, "x"])("there is no letter %s", async (sequence) => {
  const system = await stage.connect();
  for (const act of ["show", "requeue", "purge"] as const) {
    await expect(system.dead[act](sequence as number)).rejects.toMatchObject({ code: "NOT_FOUND" });
  }
});

test("the newest of many are listed by reading no more than about so many", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  await plant(client, 3_000);
  const { reader } = system.parts;
  const page = reader.page.bind(reader);
  let read = 0;
  reader.page = async (...place) => {
    const given = await page(...place);
    read += given.messages.length;
    return given;
  };
  const newest = await newestOf(system, {}, 50);
  expect(newest.found.map(({ stored }) => stored.sequence)).toEqual(Array.from({ length: 50 }, (_, n) => 3_000 - n));
  expect(newest).toMatchObject({ total: 3_000, exact: true });
  expect(read).toBeLessThan(500);
});
