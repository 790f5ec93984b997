/** The stream reader against a real server: that its scans are whole, its counts exact, and that it leaves nothing open. */
import { connect } from "@nats-io/transport-node";
import { jetstream } from "@nats-io/jetstream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Connection } from "../../src/broker/connection.ts";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { StreamReader } from "../../src/broker/stream-reader.ts";

let server: EmbeddedServer;
let connection: Connection;
let reader: StreamReader;

beforeAll(async () => {
  server = await EmbeddedServer.start();
  connection = await Connection.open({ servers: [server.url], name: "reader" });
  reader = new StreamReader(connection);
  await connection.jsm.streams.add({ name: "BIG", subjects: ["big.>"], allow_direct: true });
});

afterAll(async () => {
  await connection.close();
  await server.stop();
});

async function fill(subject: string, count: number, sizeBytes: number): Promise<void> {
  const nc = await connect({ servers: server.url });
  const js = jetstream(nc);
  const body = new Uint8Array(sizeBytes);
  for (let sent = 0; sent < count; sent += 10) {
    await Promise.all(Array.from({ length: Math.min(10, count - sent) }, () => js.publish(subject, body)));
  }
  await nc.close();
}

/** How many subscriptions the client holds, as the client itself counts them; its types do not show it. */
async function openSubscriptions(): Promise<number> {
  await connection.nc.flush();
  const { protocol } = connection.nc as unknown as { protocol: { subscriptions: { size(): number } } };
  return protocol.subscriptions.size();
}

test("a scan is whole, though the server ends a page early for its bytes, and leaves no subscription open", async () => {
  // The server caps a page at 64 MB: far fewer than 500 of these.
  await fill("big.a", 90, 1_000_000);
  const before = await openSubscriptions();
  const sequences: number[] = [];
  for await (const message of reader.scan("BIG", "big.a")) sequences.push(message.sequence);
  expect(sequences).toEqual(Array.from({ length: 90 }, (_, index) => index + 1));
  expect(await openSubscriptions()).toBe(before);
});

test("a count is exact for a filter and from a sequence on", async () => {
  await fill("big.b.x", 7, 10);
  await fill("big.b.y", 5, 10);
  const { lastSequence } = (await reader.state("BIG"))!;
  expect(await reader.count("BIG", "big.b.*")).toBe(12);
  expect(await reader.count("BIG", "big.b.x", lastSequence - 4)).toBe(0);
  expect(await reader.count("BIG", "big.b.y", lastSequence - 4)).toBe(5);
  expect(await reader.count("BIG", "big.b.y", lastSequence + 1)).toBe(0);
  expect(await reader.count("BIG", "big.none")).toBe(0);
});
