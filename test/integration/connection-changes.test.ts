/** Changes of the connection: each is acted upon once, however many attempts it took, and the log says it ever more rarely. */
import { connect } from "@nats-io/transport-node";
import { afterEach, expect, test } from "vitest";
import { ActorSystem } from "../../src/index.ts";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { actorOf } from "../support/actors.ts";
import { Proxy } from "../support/faults/proxy.ts";
import { collectLogs, type LogLine } from "../support/logs.ts";
import { ownServer } from "../support/nats/own-server.ts";
import { record } from "../support/record.ts";
import { patient } from "../support/stage.ts";

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

const saying = (lines: readonly LogLine[], text: string): LogLine[] => lines.filter(({ message }) => message === text);
const after = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("credentials refused for a while and then accepted make one reconnect and one resend, and few lines", async () => {
  const users = (pass: string): string =>
    `authorization { users: [ { user: app, password: ${pass} }, { user: watch, password: w } ] }`;
  const server = await ownServer({ config: users("right") });
  endings.push(() => server.stop());
  const servers = `nats://127.0.0.1:${server.port}`;
  const { log, lines } = collectLogs();
  const system = await ActorSystem.connect({ servers, user: "app", pass: "right", log });
  endings.push(() => system.close());
  const watcher = await connect({ servers, user: "watch", pass: "w" });
  endings.push(() => watcher.close());
  let published = 0;
  watcher.subscribe("godwit.task.>", { callback: () => void (published += 1) });
  await watcher.flush();
  const done: number[] = [];
  const worker = await system.work([actorOf({ name: "sink" }, (n: number) => void done.push(n))]);
  const recorder = record(worker);

  let ups = 0;
  system.parts.connection.onUp(() => void (ups += 1));
  await server.reload(users("wrong"));
  await expect.poll(() => system.parts.connection.up, patient).toBe(false);
  const sending = Promise.all(Array.from({ length: 500 }, (_, n) => system.tell("sink", n)));
  // Enough attempts for each to have counted.
  await after(4_000);
  expect(system.parts.connection.up).toBe(false);
  await server.reload(users("right"));
  await sending;
  await recorder.until("completed", 500);
  await watcher.flush();

  expect(new Set(done).size).toBe(500);
  expect(ups).toBe(1);
  // A few are sent first, and may be sent again with the rest.
  expect(published).toBeLessThanOrEqual(600);
  expect(saying(lines, "connected again")).toHaveLength(1);
  expect(saying(lines, "disconnected; trying again for ever")).toHaveLength(1);
  const refusals = saying(lines, "the server reported an error");
  expect(refusals.length).toBeGreaterThanOrEqual(1);
  expect(refusals.length).toBeLessThanOrEqual(4);
  expect(refusals.at(-1)?.fields).toMatchObject({
    err: expect.stringMatching(/authorization violation/i),
    times: expect.any(Number),
  });
});

test("a connection that drops again and again gets a few of what is pending each time, and the log says it more and more rarely", async () => {
  const server = await EmbeddedServer.start();
  endings.push(() => server.stop());
  const proxy = await Proxy.start(server.url);
  endings.push(() => proxy.stop());
  const { log, lines } = collectLogs();
  const system = await ActorSystem.connect({ servers: proxy.url, log });
  endings.push(() => system.close());
  proxy.cut();
  await expect.poll(() => system.parts.connection.up, patient).toBe(false);
  const sending = Promise.all(Array.from({ length: 500 }, (_, n) => system.tell("sink", n)));
  let sent = 0;
  proxy.onRequest = (bytes) => void (sent += bytes.toString().split("HPUB godwit.task.").length - 1);
  proxy.mend();
  for (let drops = 0; drops < 10; drops++) {
    const before = sent;
    // As soon as anything is sent over it, the connection is gone.
    await expect.poll(() => sent > before, patient).toBe(true);
    proxy.drop();
  }
  expect(sent).toBeLessThan(2_000);
  await sending;
  expect(saying(lines, "disconnected; trying again for ever").length).toBeLessThanOrEqual(5);
  const changes = lines.filter(({ message }) => /connected/.test(message)).map(({ message }) => message);
  expect(changes.at(-1)).toBe("connected again");
});
