/** `/healthz` and `/readyz` of real workers: red when a worker does not consume what waits for it, and at no other time. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { restrictedServer, type RestrictedServer } from "../support/observe/restricted-server.ts";
import { healthOf, readinessOf } from "../support/observe/scrape.ts";
import { patient, useStage } from "../support/stage.ts";

const healthWindow = 400;

describe("a worker whose pulls the server refuses", () => {
  let server: RestrictedServer;
  let system: ActorSystem;
  beforeEach(async () => {
    server = await restrictedServer();
    system = await ActorSystem.connect({ servers: server.url, log: "silent" });
  });
  afterEach(async () => {
    await system.close();
    await server.stop();
  });

  test("is red while a backlog exists, green when idle, and green again when the right is given back", async () => {
    const { url } = await system.serveMetrics({ port: 0, healthWindow });
    const received: unknown[] = [];
    await system.work([actorOf({ name: "pay", concurrency: 2 }, (input) => void received.push(input))]);
    const says = async (): Promise<string> => (await healthOf(url)).body.actors["pay"]?.says ?? "";
    await expect.poll(says, patient).toBe("it is idle: nothing waits");

    await server.deny(["$JS.API.CONSUMER.MSG.NEXT.>"]);
    // The pulls that were open bring what they were for.
    let sent = 0;
    const backlog = async (): Promise<boolean> => {
      await system.tell("pay", sent++);
      return /nothing has come/.test(await says());
    };
    await until("nothing arrives any more", backlog);
    const waiting = sent - received.length;
    await expect.poll(async () => (await healthOf(url)).status, patient).toBe(503);
    const { body } = await healthOf(url);
    expect(body.healthy).toBe(false);
    expect(body.reasons).toEqual([
      expect.stringContaining(`pay: ${waiting} messages wait for its durable pay on godwit_TASKS, handlers are free`),
    ]);
    // A worker that does not consume is not one that is not ready.
    expect((await readinessOf(url)).status).toBe(200);

    await server.deny([]);
    await expect.poll(async () => (await healthOf(url)).status, patient).toBe(200);
    await expect.poll(() => received.length, patient).toBe(sent);

    await server.deny(["$JS.API.CONSUMER.MSG.NEXT.>"]);
    await expect.poll(says, patient).toBe("it is idle: nothing waits");
    expect((await healthOf(url)).status).toBe(200);
  });
});

describe("a healthy worker", () => {
  const stage = useStage();

  test("is green while every handler is busy, while a guard holds it back, and while it is paused", async () => {
    const system = await stage.connect();
    const { url } = await system.serveMetrics({ port: 0, healthWindow });
    const held = gate();
    await system.work([
      actorOf({ name: "busy", concurrency: 1 }, () => held.opened),
      actorOf({ name: "limited", rateLimit: { name: "api", limit: 1, per: "1h" } }, () => undefined),
      actorOf({ name: "paused" }, () => undefined),
    ]);
    const { jsm } = system.parts.connection;
    for (const stream of [stage.names.tasks, stage.names.schedule]) {
      await jsm.consumers.pause(stream, "paused", new Date(Date.now() + 3_600_000));
    }
    for (const actor of ["busy", "limited", "paused"]) await system.tellMany(actor, [1, 2, 3, 4, 5]);
    const says = async (actor: string): Promise<string> => (await healthOf(url)).body.actors[actor]?.says ?? "";
    await expect.poll(() => says("busy"), patient).toContain("busy");
    await expect.poll(() => says("paused"), patient).toMatch(/^it is paused until 20/);
    await expect.poll(() => says("limited"), patient).toContain("a guard holds it back");
    // For as long as it takes for a trouble to turn red, and longer.
    const seen = new Set<string>();
    const sinceMs = performance.now();
    await until("three windows have passed", async () => {
      for (const actor of ["busy", "limited", "paused"]) seen.add(await says(actor));
      return performance.now() - sinceMs > 3 * healthWindow;
    });
    expect((await healthOf(url)).status).toBe(200);
    expect([...seen].filter((one) => /nothing has come/.test(one))).toEqual([]);
    held.open();
  });

  test("a durable that is gone is red: nothing but a start makes it anew", async () => {
    const system = await stage.connect();
    const { url } = await system.serveMetrics({ port: 0, healthWindow });
    await system.work([actorOf({ name: "gone" }, () => undefined)]);
    await system.parts.reader.deleteConsumer(stage.names.tasks, "gone");
    await expect.poll(async () => (await healthOf(url)).status, patient).toBe(503);
    expect((await healthOf(url)).body.reasons[0]).toContain(`gone: its durable gone on ${stage.names.tasks} is gone`);
  });

  test("/readyz: not before its actors have started, not while it drains; the endpoint answers until the drain is over", async () => {
    const system = await stage.connect();
    const { url } = await system.serveMetrics({ port: 0 });
    const [start, end] = [gate(), gate()];
    const Slow = actorOf({ name: "slow" }, () => end.opened, { start: () => start.opened });
    const working = system.work([Slow]);
    // The worker is listed a moment after the call.
    await expect
      .poll(() => readinessOf(url), patient)
      .toEqual({
        status: 503,
        body: { ready: false, reasons: ["its actors have not all started"] },
      });
    start.open();
    await working;
    expect(await readinessOf(url)).toEqual({ status: 200, body: { ready: true, reasons: [] } });
    await system.tell("slow", 1);
    await expect.poll(() => system.metrics(), patient).toContain('godwit_handlers_running{actor="slow"} 1');
    const closing = system.close();
    expect(await readinessOf(url)).toEqual({ status: 503, body: { ready: false, reasons: ["it drains"] } });
    end.open();
    await closing;
    await expect(fetch(url)).rejects.toThrow("fetch failed");
  });
});

describe("without a server", () => {
  test("health cannot be told and stays green; it is not ready", async () => {
    const server = await EmbeddedServer.start();
    const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    const { url } = await system.serveMetrics({ port: 0, healthWindow });
    await system.work([actorOf({ name: "pay" }, () => undefined)]);
    await server.stop();
    await expect.poll(async () => (await readinessOf(url)).status, patient).toBe(503);
    const says = async (): Promise<string> => (await healthOf(url)).body.actors["pay"]?.says ?? "";
    await expect.poll(says, patient).toBe("whether it consumes cannot be told: there is no connection to the server");
    const { status, body } = await healthOf(url);
    expect([status, body.reasons]).toEqual([200, [expect.stringContaining("starting again would not help")]]);
    await system.close();
  });
});
