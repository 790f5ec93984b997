/** Prefetch is bounded in bytes: a server with many large messages does not cut a worker off, and no message is too large to come. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { collectLogs } from "../support/logs.ts";
import { ownServer } from "../support/nats/own-server.ts";
import { record } from "../support/record.ts";

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function connected(options: SystemOptions): Promise<ActorSystem> {
  const system = await ActorSystem.connect({ log: "silent", payload: { compressAbove: false }, ...options });
  endings.push(() => system.close());
  return system;
}

test("many large bodies come to a worker with many free handlers, over one connection", async () => {
  // 100 bodies at once are more than twice what this server lets wait for one client.
  const server = await ownServer({ config: "max_pending: 32000000" });
  endings.push(() => server.stop());
  const servers = `nats://127.0.0.1:${server.port}`;
  const body = randomBytes(900_000);
  const sent = await (await connected({ servers })).tellMany("sink", Array(100).fill(body));
  expect(sent.accepted).toBe(100);
  const { log, lines } = collectLogs();
  const system = await connected({ servers, log });
  let inHand = 0;
  const { opened, open } = gate();
  const Sink = actorOf({ name: "sink", concurrency: 500 }, async () => {
    inHand += 1;
    if (inHand === 100) open();
    await opened;
  });
  const recorder = record(await system.work([Sink]));
  // All of them at once, so that a bound on bytes is none on handlers.
  await recorder.until("completed", 100, 40_000);
  expect(lines.filter(({ message }) => /disconnected/.test(message))).toEqual([]);
  expect(server.log()).not.toMatch(/slow consumer/i);
  expect(recorder.of("completed").every(({ data }) => data.deliveries === 1)).toBe(true);
});

test("a message that is larger than a pull may bring comes all the same, and so do those behind it", async () => {
  const server = await ownServer({ config: "max_payload: 8MB" });
  endings.push(() => server.stop());
  const servers = `nats://127.0.0.1:${server.port}`;
  const sender = await connected({ servers });
  for (const bytes of [6_000_000, 10, 7_000_000, 6_000_000, 20]) await sender.tell("sink", randomBytes(bytes));
  await server.reload("max_payload: 1MB");
  const got: number[] = [];
  const system = await connected({ servers });
  const recorder = record(
    await system.work([actorOf({ name: "sink", concurrency: 50 }, (body: Uint8Array) => void got.push(body.length))]),
  );
  await recorder.until("completed", 5);
  expect(got.toSorted((a, b) => a - b)).toEqual([10, 20, 6_000_000, 6_000_000, 7_000_000]);
});

test("also where many actors of one worker have large bodies waiting: their pulls share what the connection may bring", async () => {
  const server = await ownServer({ config: "max_pending: 64MB" });
  endings.push(() => server.stop());
  const servers = `nats://127.0.0.1:${server.port}`;
  const system = await connected({ servers });
  const watcher = await connected({ servers });
  const asked = new Map<string, number>();
  const { nc } = watcher.parts.connection;
  nc.subscribe("$JS.API.CONSUMER.MSG.NEXT.>", {
    callback: (_error, { subject, data }) => {
      const { batch, max_bytes } = JSON.parse(Buffer.from(data).toString()) as { batch: number; max_bytes?: number };
      const bytes = max_bytes ?? batch * 1_048_576;
      if (batch > 1) asked.set(subject, Math.max(bytes, asked.get(subject) ?? 0));
    },
  });
  await nc.flush();
  const names = Array.from({ length: 10 }, (_, at) => `sink${at}`);
  const body = randomBytes(900_000);
  for (const name of names) await system.tellMany(name, Array(6).fill(body));
  const actors = names.map((name) => actorOf({ name, concurrency: 100 }, () => undefined));
  await record(await system.work(actors)).until("completed", 60, 40_000);
  expect(asked.size).toBeGreaterThan(5);
  // Of each durable's largest pull; a share is never less than the largest message.
  expect([...asked.values()].reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(33_000_000);
});
