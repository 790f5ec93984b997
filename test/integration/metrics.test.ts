/** What the metrics page says of a real system: it agrees with what was sent and done, also while the server is away. */
import { expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem, on, Terminal } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { readPage } from "../support/observe/scrape.ts";
import { freeze } from "../support/freeze.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

async function page(system: ActorSystem): Promise<Map<string, number>> {
  return readPage(await system.metrics());
}

test("outcomes, durations, sizes and what was sent are as they were", async () => {
  const system = await stage.connect();
  const { tasks } = stage.names;
  const retry = { attempts: 2, base: "1ms", max: "1ms" } as const;
  const worker = await system.work([
    actorOf<number>({ name: "pay", retry }, (n) => {
      if (n === 1) throw new Error("no");
      if (n === 2) throw new Terminal("never");
    }),
    // Until something happens there is nothing but zeros.
    actorOf({ name: "idle" }, () => undefined),
  ]);
  await system.tellMany("pay", [0, 0, 0, 1, 2]);
  await expect.poll(() => worker.stats.actors["pay"]?.dead, patient).toBe(2);
  await expect.poll(() => worker.stats.actors["pay"]?.completed, patient).toBe(3);
  const found = await page(system);
  expect(Object.fromEntries(found)).toMatchObject({
    'godwit_messages_total{actor="pay",outcome="completed"}': 3,
    'godwit_messages_total{actor="pay",outcome="retry"}': 1,
    'godwit_messages_total{actor="pay",outcome="dead"}': 2,
    'godwit_messages_total{actor="idle",outcome="dead"}': 0,
    'godwit_dead_letters_total{actor="pay",reason="terminal"}': 1,
    'godwit_dead_letters_total{actor="pay",reason="exhausted"}': 1,
    'godwit_dead_letters_total{actor="pay",reason="expired"}': 0,
    'godwit_dead_letters_stored{actor="pay"}': 2,
    'godwit_handler_duration_seconds_count{actor="pay"}': 6,
    'godwit_handler_duration_seconds_bucket{actor="pay",le="+Inf"}': 6,
    'godwit_queue_duration_seconds_count{actor="pay"}': 5,
    'godwit_received_body_bytes_sum{actor="pay"}': 6,
    [`godwit_publish_duration_seconds_count{stream="${tasks}"}`]: 5,
    [`godwit_sent_body_bytes_sum{stream="${tasks}"}`]: 5,
    'godwit_handlers_limit{actor="pay"}': 10,
    godwit_connection_up: 1,
    [`godwit_worker_info{worker="${worker.identity.id}",version="${worker.identity.version}"}`]: 1,
    [`godwit_worker_healthy{worker="${worker.identity.id}"}`]: 1,
  });
  const ran = worker.perActor()["pay"]?.handlerMs.sum as number;
  expect(found.get('godwit_handler_duration_seconds_sum{actor="pay"}')).toBeCloseTo(ran / 1_000, 9);
});

test("depth, age and what is in flight, by lane, are the server's; it is asked once for all who scrape", async () => {
  const client = await stage.client();
  const stream = `${stage.namespace}_OTHERS`;
  // Nobody may look at its messages, so how old they are cannot be told.
  await client.jsm.streams.add({ name: stream, subjects: [`${stage.namespace}.others`], allow_direct: false });
  const subscribe = [on("orders.placed"), on({ subject: `${stage.namespace}.others`, stream })];
  const held = gate();
  const Pay = actorOf({ name: "pay", lanes: ["critical"], subscribe }, () => held.opened);
  const system = await stage.connect();
  await system.work([Pay]);
  await system.tellMany("pay", [1, 2]);
  const running = 'godwit_handlers_running{actor="pay"}';
  await expect.poll(async () => (await page(system)).get(running), patient).toBe(2);
  const { tasks, schedule, events } = stage.names;
  const durables = [
    [tasks, "pay"],
    [tasks, "pay=critical"],
    [schedule, "pay"],
    [events, "pay"],
    [stream, `${stage.namespace}=on=pay`],
  ] as const;
  const later = new Date(Date.now() + 3_600_000);
  for (const [name, durable] of durables) await client.jsm.consumers.pause(name, durable, later);
  await system.tellMany("pay", [1, 2, 3], { lane: "critical" });
  await system.tellMany("pay", [1, 2, 3, 4]);
  await system.tell("pay", 1, { lane: "low" });
  await system.tell("pay", 1, { delay: "1h" });
  for (const n of [1, 2]) await system.publish("orders.placed", n);
  for (const n of [1, 2, 3]) await client.publish(`${stage.namespace}.others`, String(n));

  // One that has not read anything yet.
  const reading = await stage.connect();
  await reading.work([Pay]);
  const asked: string[] = [];
  client.nc.subscribe("$JS.API.CONSUMER.INFO.>", { callback: (_, { subject }) => void asked.push(subject) });
  await client.nc.flush();
  const pages = await Promise.all(Array.from({ length: 8 }, () => page(reading)));
  pages.push(await page(reading));
  await client.nc.flush();
  expect(asked.toSorted()).toEqual(durables.map((parts) => `$JS.API.CONSUMER.INFO.${parts.join(".")}`).toSorted());
  for (const found of pages) {
    const depths = ["critical", "high", "normal", "low", "due", "event"].map((lane) =>
      found.get(`godwit_queue_depth{actor="pay",lane="${lane}"}`),
    );
    expect(depths).toEqual([3, 0, 4, 1, 0, 5]);
    expect(Object.fromEntries(found)).toMatchObject({
      'godwit_queue_scheduled{actor="pay"}': 1,
      'godwit_messages_in_flight{actor="pay"}': 2,
      'godwit_actor_paused{actor="pay"}': 1,
      'godwit_queue_oldest_age_seconds{actor="pay",lane="high"}': 0,
    });
  }
  const ages = ["critical", "normal", "low", "event"].map(
    (lane) => pages[0]?.get(`godwit_queue_oldest_age_seconds{actor="pay",lane="${lane}"}`) ?? 0,
  );
  expect(ages.every((age) => age > 0 && age < 60)).toBe(true);
  // The critical ones were sent first.
  expect(ages[0]).toBeGreaterThanOrEqual(ages[1] as number);
  held.open();
});

test("while the server is away a scrape succeeds, without what only the server knows; it is there again after", async () => {
  const first = await EmbeddedServer.start();
  const port = Number(new URL(first.url).port);
  const system = await ActorSystem.connect({ servers: first.url, log: "silent", durability: "dev" });
  await system.work([actorOf({ name: "pay" }, () => undefined)]);
  const depth = 'godwit_queue_depth{actor="pay",lane="normal"}';
  expect((await page(system)).get(depth)).toBe(0);
  await first.stop();
  await expect.poll(async () => (await page(system)).get("godwit_connection_up"), patient).toBe(0);
  const away = await page(system);
  expect([...away.keys()].filter((name) => name.startsWith("godwit_queue_depth"))).toEqual([]);
  expect(away.get('godwit_messages_total{actor="pay",outcome="completed"}')).toBe(0);
  const second = await EmbeddedServer.start({ port });
  const again = await ActorSystem.connect({ servers: second.url, log: "silent", durability: "dev" });
  await again.work([actorOf({ name: "pay" }, () => undefined)]);
  await expect.poll(async () => (await page(system)).get(depth), patient).toBe(0);
  expect((await page(system)).get("godwit_connection_up")).toBe(1);
  await again.close();
  await system.close();
  await second.stop();
});

test("a server that does not answer is not waited for, and what it says after that is not held for old news", async () => {
  const server = await EmbeddedServer.start();
  const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
  const held = gate();
  await system.work([actorOf({ name: "pay", concurrency: 1 }, () => held.opened)]);
  const depth = 'godwit_queue_depth{actor="pay",lane="normal"}';
  await freeze(server.pid);
  try {
    const sinceMs = performance.now();
    const found = await page(system);
    // The client gives up a request after 5 s.
    expect(performance.now() - sinceMs).toBeLessThan(4_000);
    expect(found.get("godwit_connection_up")).toBe(1);
    expect(found.has(depth)).toBe(false);
  } finally {
    process.kill(server.pid, "SIGCONT");
  }
  await expect.poll(async () => (await page(system)).get(depth), patient).toBe(0);
  // What the worker asked for again and again meanwhile the server heard all at once, and would hand out more than there is room for.
  const { reader, names } = system.parts;
  const pulls = async (): Promise<number | undefined> =>
    (await reader.consumer(names.tasks, names.durable("pay")))?.waitingPulls;
  await expect.poll(pulls, patient).toBe(1);
  await system.tellMany("pay", [1, 2, 3]);
  // That slow read is good for no longer than any other.
  await expect.poll(async () => (await page(system)).get(depth), patient).toBe(2);
  held.open();
  await system.close();
  await server.stop();
});

test("two workers of one process are counted together, and what a stopped one did stays", async () => {
  const system = await stage.connect();
  const Pay = actorOf({ name: "pay", concurrency: 3 }, () => undefined);
  const [one, two] = [await system.work([Pay]), await system.work([Pay])];
  await system.tellMany(
    "pay",
    Array.from({ length: 20 }, (_, n) => n),
  );
  const completed = 'godwit_messages_total{actor="pay",outcome="completed"}';
  await expect.poll(async () => (await page(system)).get(completed), patient).toBe(20);
  expect((await page(system)).get('godwit_handlers_limit{actor="pay"}')).toBe(6);
  await one.stop();
  const after = await page(system);
  expect([after.get(completed), after.get('godwit_handlers_limit{actor="pay"}')]).toEqual([20, 3]);
  expect([...after.keys()].filter((name) => name.startsWith("godwit_worker_info"))).toEqual([
    `godwit_worker_info{worker="${two.identity.id}",version="${two.identity.version}"}`,
  ]);
});

test("what the server refuses is counted by its code", async () => {
  const system = await stage.connect({ limits: { maxPerActor: 2 } });
  await system.tellMany("pay", [1, 2, 3, 4]);
  const errors = `godwit_publish_errors_total{stream="${stage.names.tasks}",code="QUEUE_FULL"}`;
  expect((await page(system)).get(errors)).toBe(2);
});

test("waits for a rate limit are counted, and the state of a circuit is told", async () => {
  const system = await stage.connect();
  let done = 0;
  const guards = { rateLimit: { name: "api", limit: 20, per: "1s" }, breaker: { name: "circuit", volume: 1 } } as const;
  await system.work([actorOf({ name: "pay", ...guards }, () => void (done += 1))]);
  await system.tellMany("pay", [1, 2, 3, 4, 5]);
  await expect.poll(() => done, patient).toBe(5);
  const found = await page(system);
  expect(found.get('godwit_rate_limit_wait_seconds_count{limit="api"}')).toBeGreaterThan(0);
  expect(found.get('godwit_rate_limit_wait_seconds_sum{limit="api"}')).toBeGreaterThan(0);
  expect(found.get('godwit_breaker_state{breaker="circuit",state="closed"}')).toBe(1);
  expect(found.get('godwit_breaker_state{breaker="circuit",state="open"}')).toBe(0);
});

test("handlers that name a circuit for each customer do not make a series for each", async () => {
  const system = await stage.connect();
  const worker = await system.work([
    actorOf<number>({ name: "pay", breaker: { name: "own" } }, (n, ctx) => ctx.breaker(`customer-${n}`).fire(() => n)),
  ]);
  await system.tellMany(
    "pay",
    Array.from({ length: 150 }, (_, n) => n),
  );
  await expect.poll(() => worker.stats.actors["pay"]?.completed, patient).toBe(150);
  const found = await page(system);
  expect([...found.keys()].filter((name) => name.startsWith("godwit_breaker_state"))).toHaveLength(300);
  expect(found.get('godwit_breaker_state{breaker="own",state="closed"}')).toBe(1);
});

test("without histograms what ends is counted all the same", async () => {
  const system = await stage.connect({ metrics: false });
  await system.work([actorOf({ name: "pay" }, () => undefined)]);
  await system.tell("pay", 1);
  const completed = 'godwit_messages_total{actor="pay",outcome="completed"}';
  await expect.poll(async () => (await page(system)).get(completed), patient).toBe(1);
  expect([...(await page(system)).keys()].filter((name) => /_(bucket|sum|count)/.test(name))).toEqual([]);
});

test.each<[options: object, text: string]>([
  [{ port: 70_000 }, '"port" must be 0 to 65535'],
  [{ port: 1.5 }, '"port" must be a whole number'],
  [{ prot: 1 }, 'unknown key "prot"'],
])("serveMetrics(%j) is refused in a sentence", async (options, text) => {
  const system = await stage.connect();
  await expect(system.serveMetrics(options)).rejects.toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringContaining(text),
  });
});
