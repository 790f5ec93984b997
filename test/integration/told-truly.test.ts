/** What is said of others is true: whose a stream, a consumer or a trouble is, and what a reconnect has led to. */
import { createServer, connect as dial, type AddressInfo, type Socket } from "node:net";
import { expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { actorOf } from "../support/actors.ts";
import { consult } from "../support/doctor/consult.ts";
import { healthOf } from "../support/observe/scrape.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

test.each([
  ["task", "task.high.>"],
  ["event", "event.orders.*"],
])("a stream that has a subject of ours is named: %s", async (_kind, subject) => {
  const { jsm } = await stage.client();
  const other = `other_${stage.namespace}`;
  await jsm.streams.add({ name: other, subjects: [`${stage.namespace}.${subject}`] });
  await expect(stage.connect()).rejects.toMatchObject({
    code: "TOPOLOGY_MISMATCH",
    message: expect.stringMatching(
      new RegExp(`its subject '${stage.namespace}.* overlaps with those of the stream ${other};`),
    ),
  });
});

test("consumers that strangers made on our streams are no actors", async () => {
  const system = await stage.connect();
  await system.work([actorOf({ name: "pay", lanes: ["high"], subscribe: ["orders.>"] }, () => undefined)]);
  const { names, namespace } = stage;
  const { jsm } = await stage.client();
  const add = (stream: string, durable_name: string, ...filter_subjects: string[]): Promise<unknown> =>
    jsm.consumers.add(stream, { durable_name, ack_policy: "explicit", filter_subjects });
  await add(names.tasks, "audit", names.taskSubject("ledger"));
  await add(names.tasks, "several", names.taskSubject("a"), names.taskSubject("b"));
  await add(names.schedule, "audit", names.dueSubject("ledger"));
  await add(names.events, "pay=low", `${namespace}.event.>`);
  await jsm.consumers.add(names.events, { durable_name: "all", ack_policy: "explicit" });

  const inspector = new Inspector(system);
  expect((await inspector.status()).actors.map(({ actor }) => actor)).toEqual(["pay"]);
  expect(new Set((await inspector.durables()).map(({ actor }) => actor))).toEqual(new Set(["pay"]));
  const subjects = (await consult(system)).findings.map(({ subject }) => subject);
  expect(subjects.filter((subject) => /audit|several|all/.test(subject))).toEqual([]);
});

test("a reconnect to a server below the floor is told: by an event, the log and /healthz", async () => {
  let version = '"version":"2.14.0"';
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = dial(Number(new URL(stage.url).port), "127.0.0.1");
    for (const socket of [client, server]) sockets.add(socket.on("error", () => undefined));
    client.pipe(server);
    server.on("data", (data: Buffer) => {
      const text = data.toString("latin1");
      const altered = text.includes('"server_id"') ? text.replaceAll(/"version":"[^"]*"/g, version) : text;
      client.write(Buffer.from(altered, "latin1"));
    });
    server.on("close", () => client.destroy());
    client.on("close", () => server.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  try {
    const servers = `nats://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const system = await stage.connect({ servers });
    const { url } = await system.serveMetrics({ port: 0 });
    const worker = await system.work([actorOf({ name: "pay" }, () => undefined)]);
    const problems: { actor?: string; error: Error }[] = [];
    worker.on("problem", (problem) => problems.push(problem));

    version = '"version":"2.11.4"';
    drop();
    const below = expect.stringMatching(/is version 2\.11\.4 and Godwit needs 2\.14\.0 or newer; upgrade that server/);
    await expect.poll(() => problems, patient).toEqual([{ error: expect.objectContaining({ message: below }) }]);
    expect((await healthOf(url)).body).toMatchObject({ healthy: false, restart: false, reasons: [below] });

    version = '"version":"2.14.0"';
    drop();
    await expect.poll(async () => (await healthOf(url)).body.healthy, patient).toBe(true);
    await system.close();
  } finally {
    drop();
    proxy.close();
  }
});
