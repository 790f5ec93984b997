/** Pullers that have fallen silent, each for a reason of its own: what waits comes all the same, once, and costs no attempt. */
import { connect, headers, type NatsConnection, type Subscription } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { ActorSystem, type Worker, type WorkerEvents } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { restrictedServer, type RestrictedServer } from "../support/observe/restricted-server.ts";
import { healthOf, scrape } from "../support/observe/scrape.ts";
import { patient } from "../support/stage.ts";

const rebuildAfter = 600;
const pulls = "$JS.API.CONSUMER.MSG.NEXT.godwit_TASKS.mail";

let server: RestrictedServer;
let system: ActorSystem;
/** Of nobody's, to see and say what no part of Godwit would. */
let stranger: NatsConnection;
/** Where the worker last had the server send its tasks to, without what tells the pulls apart. */
let inbox = "";

beforeEach(async () => {
  server = await restrictedServer();
  system = await ActorSystem.connect({ servers: server.url, log: "silent" });
  const { hostname, port, username: user, password: pass } = new URL(server.url);
  stranger = await connect({ servers: `${hostname}:${port}`, user, pass });
  inbox = "";
  stranger.subscribe(pulls, {
    callback: (_error, { reply = "" }) => {
      inbox = reply.slice(0, reply.lastIndexOf("."));
    },
  });
  await stranger.flush();
});
afterEach(async () => {
  await system.close();
  await stranger.close();
  await server.stop();
});

interface Office {
  worker: Worker;
  /** What the handler got, with attempt and deliveries. */
  runs: [input: unknown, attempt: number, deliveries: number][];
  rebuilt: WorkerEvents["rebuilt"][0][];
}

async function work(): Promise<Office> {
  const runs: Office["runs"] = [];
  const rebuilt: Office["rebuilt"] = [];
  const Mail = actorOf({ name: "mail", concurrency: 2, ackWait: "2s" }, (input, { attempt, deliveries }) => {
    runs.push([input, attempt, deliveries]);
  });
  const worker = await system.work([Mail], { rebuildAfter });
  worker.on("rebuilt", (one) => void rebuilt.push(one));
  await until("it has an open pull", () => inbox !== "");
  return { worker, runs, rebuilt };
}

/** No second run of any of them comes once its visibility timeout is over, because the server has forgotten them all. */
async function untilSettled(): Promise<void> {
  const { reader } = system.parts;
  await until("all is settled", async () => {
    const state = await reader.consumer("godwit_TASKS", "mail");
    return state?.inFlight === 0 && state.pending === 0;
  });
}

test("the client has lost the subscription", async () => {
  const { connection } = system.parts;
  const subscribe = connection.subscribe.bind(connection);
  const subscriptions: Subscription[] = [];
  connection.subscribe = (...given) => {
    const subscription = subscribe(...given);
    if (given[0].startsWith("_INBOX.")) subscriptions.push(subscription);
    return subscription;
  };
  const { url } = await system.serveMetrics({ port: 0, healthWindow: "30s" });
  const { worker, runs, rebuilt } = await work();
  connection.subscribe = subscribe;
  for (const subscription of subscriptions) subscription.unsubscribe();
  await connection.ping();

  const sentMs = performance.now();
  await system.tell("mail", "one");
  await expect.poll(() => runs, patient).toEqual([["one", 1, 1]]);
  const ms = Math.round(performance.now() - sentMs);
  console.log(`a lost subscription: the message came after ${ms} ms, with rebuildAfter ${rebuildAfter} ms`);
  expect(rebuilt).toMatchObject([{ actor: "mail", stream: "godwit_TASKS", durable: "mail", messages: 1, times: 1 }]);
  await untilSettled();
  expect(worker.stats.actors["mail"]).toMatchObject({ completed: 1, retry: 0, deferred: 0, lost: 0 });
  expect((await scrape(url)).get('godwit_pullers_rebuilt_total{actor="mail"}')).toBe(1);
  const { status, body } = await healthOf(url);
  expect(status).toBe(200);
  expect(body.actors["mail"]).toMatchObject({
    rebuilt: 1,
    says: expect.stringContaining("had fallen silent and was begun anew: 1 ×"),
  });
  const { findings } = await new Inspector(system).doctor();
  expect(findings.filter(({ check }) => check === "puller-rebuilt")).toMatchObject([
    { level: "note", subject: "actor mail", finding: expect.stringContaining(`had to wait once until a worker`) },
  ]);
  // Those that lost their subscription without anything waiting for them are none of its business.
  await system.tell("mail", "two");
  await expect.poll(() => runs.length, patient).toBe(2);
  expect(rebuilt).toHaveLength(1);
});

test("the server has dropped the subscription: its right was taken away and given back", async () => {
  const { worker, runs, rebuilt } = await work();
  await server.deny([], [`${inbox}.*`]);
  await server.deny([], []);
  const sent = ["one", "two", "three"];
  await system.tellMany("mail", sent);
  await expect.poll(() => runs.length, patient).toBe(sent.length);
  expect(rebuilt).toHaveLength(1);
  await untilSettled();
  expect(new Map(runs.map(([input, ...rest]) => [input, rest]))).toEqual(new Map(sent.map((one) => [one, [1, 1]])));
  expect(runs).toHaveLength(sent.length);
  // The server takes a settlement before the worker hears of it.
  await expect.poll(() => worker.stats.actors["mail"]?.completed, patient).toBe(3);
  expect(worker.stats.actors["mail"]).toMatchObject({ retry: 0, deferred: 0, lost: 0 });
});

test("heartbeats go on for a pull that the server does not know", async () => {
  const { url } = await system.serveMetrics({ port: 0, healthWindow: 3_000 });
  const { worker, runs, rebuilt } = await work();
  // Whoever says so: the puller takes its pull to be alive.
  const liedTo = inbox;
  const lie = setInterval(
    () => stranger.publish(`${liedTo}.lie`, "", { headers: headers(100, "Idle Heartbeat") }),
    300,
  );
  try {
    await server.deny([pulls]);
    let sent = 0;
    await until("nothing comes any more", async () => {
      await system.tell("mail", sent++);
      return /nothing has come/.test((await healthOf(url)).body.actors["mail"]?.says ?? "");
    });
    await expect.poll(async () => (await healthOf(url)).status, patient).toBe(503);
    // It was begun anew, which cannot help while pulls are refused; told is both.
    expect(rebuilt.length).toBeGreaterThan(0);
    const { actors } = (await healthOf(url)).body;
    expect(actors["mail"]).toMatchObject({ healthy: false, rebuilt: rebuilt.length });
    await server.deny([]);
    await expect.poll(() => runs.length, patient).toBe(sent);
    await expect.poll(async () => (await healthOf(url)).status, patient).toBe(200);
    await untilSettled();
    expect(runs.filter(([, attempt, deliveries]) => attempt > 1 || deliveries > 1)).toEqual([]);
    expect(new Set(runs.map(([input]) => input)).size).toBe(sent);
    expect(worker.stats.actors["mail"]).toMatchObject({ completed: sent, retry: 0, deferred: 0, lost: 0 });
  } finally {
    clearInterval(lie);
  }
});

test("a worker that another one leaves nothing to, and one that is slow but moves, are left alone", async () => {
  const slow = actorOf({ name: "mail", concurrency: 3 }, async () => {
    await new Promise((resolve) => setTimeout(resolve, 30));
  });
  const workers = [await system.work([slow], { rebuildAfter }), await system.work([slow], { rebuildAfter })];
  const rebuilt: unknown[] = [];
  for (const worker of workers) worker.on("rebuilt", (one) => void rebuilt.push(one));
  const count = 300;
  await system.tellMany(
    "mail",
    Array.from({ length: count }, (_, n) => n),
  );
  const done = (): number => workers.reduce((sum, { stats }) => sum + (stats.actors["mail"]?.completed ?? 0), 0);
  await expect.poll(done, patient).toBe(count);
  expect(rebuilt).toEqual([]);
});
