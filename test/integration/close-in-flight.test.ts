/** close() while something else of its system is under way: dead letters, a start, an endpoint, and workers without a server. */
import { expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { freeze } from "../support/freeze.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

test("waits for dead letters that are sent again or deleted, and takes no more of them", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const fails = actorOf({ name: "fails", retry: { attempts: 1 }, concurrency: 40 }, () => {
    throw new Error("always");
  });
  const worker = await system.work([fails]);
  const recorder = record(worker);
  for (let n = 0; n < 40; n++) await system.tell(fails, n);
  await recorder.until("dead", 40);
  await worker.stop();
  const letters: number[] = [];
  for await (const { sequence } of system.dead.list()) letters.push(sequence);
  const acts = letters.map((letter, n) => (n % 2 === 0 ? system.dead.requeue(letter) : system.dead.purge(letter)));
  await system.close();
  expect((await Promise.allSettled(acts)).map(({ status }) => status)).toEqual(Array(40).fill("fulfilled"));
  expect([await client.count(stage.names.tasks), await client.count(stage.names.dead)]).toEqual([20, 0]);
  await expect(system.dead.requeue(1)).rejects.toThrow("The system is closed");
});

test.each([0, 1, 3, 6, 10, 20])("%i ms after the start of a worker ends it, or has ended it", async (afterMs) => {
  const system = await stage.connect();
  const working = system.work([actorOf({ name: "a" }, () => undefined)]).then(
    ({ state }) => state,
    (error: unknown) => (error as { code: unknown }).code,
  );
  if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
  await system.close();
  expect(["CLOSED", "stopped", "running"]).toContain(await working);
});

test("ends an endpoint that was about to listen", async () => {
  const system = await stage.connect();
  const serving = system.serveMetrics({ port: 0 });
  await Promise.all([system.close(), expect(serving).rejects.toMatchObject({ code: "CLOSED" })]);
});

test("by a server that stands still waits for workers no longer than their grace and some seconds", async () => {
  const server = await EmbeddedServer.start();
  try {
    const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    const started = gate();
    const waits = actorOf({ name: "waits" }, () => {
      started.open();
      return new Promise((resolve) => setTimeout(resolve, 100));
    });
    await system.work([waits]);
    await system.tell(waits, {});
    await started.opened;
    await freeze(server.pid);
    const startMs = performance.now();
    await system.close({ grace: 0 });
    // An ack-wait is 30 s.
    expect(performance.now() - startMs).toBeLessThan(20_000);
  } finally {
    process.kill(server.pid, "SIGCONT");
    await server.stop();
  }
});
