/** tell, ask and publish from the command line, against a real server. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Actor } from "../../src/actor/actor.ts";
import { Terminal } from "../../src/actor/signals.ts";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import type { StoredMessage } from "../../src/broker/stream-reader.ts";
import { decode } from "../../src/message/codec.ts";
import { header } from "../../src/message/headers.ts";
import { ActorSystem } from "../../src/system/actor-system.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { godwit, type Ended } from "../support/cli/run.ts";
import { patient } from "../support/stage.ts";

const maxPayloadBytes = 50_000;

let server: EmbeddedServer;
let cwd: string;
let system: ActorSystem;
let namespace: string;
let count = 0;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "godwit-send-"));
  server = await EmbeddedServer.start({ maxPayloadBytes });
});

afterAll(async () => {
  await server.stop();
  await rm(cwd, { recursive: true, force: true });
});

beforeEach(async () => {
  count += 1;
  namespace = `send${count}`;
  system = await ActorSystem.connect({ servers: server.url, namespace, log: "silent" });
  return () => system.close();
});

function run(args: string[], input?: string, how = inProcess): Promise<Ended> {
  const env = { NATS_URL: server.url };
  return how([...args, "--namespace", namespace], { cwd, env, ...(input !== undefined && { input }) });
}

async function stored(stream: "TASKS" | "SCHEDULE" | "EVENTS", sequence: number): Promise<StoredMessage> {
  const message = await system.parts.reader.get(`${namespace}_${stream}`, sequence);
  if (!message) throw new Error(`there is no message ${sequence} in ${stream}`);
  return message;
}

function bodyOf(message: StoredMessage): unknown {
  return decode(message.body, message.headers.get(header.contentType));
}

class Echo extends Actor<{ fail?: boolean }, unknown> {
  static override readonly config = { name: "echo" };
  override receive(input: { fail?: boolean }): unknown {
    if (input.fail) throw new Terminal("no such thing");
    return { got: input, big: 2n ** 60n, bytes: new Uint8Array([1, 2]) };
  }
}

describe("tell", () => {
  test("prints id and place once the task is stored, and warns of an actor that nobody runs", async () => {
    const { code, stdout, stderr } = await run(["tell", "a.b", '{"x":1}', "--id", "t1"]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `t1  ${namespace}_TASKS:1\n` });
    expect(stderr).toBe("godwit: no worker has ever run a.b, so its tasks wait; is the name right?\n");
    const message = await stored("TASKS", 1);
    expect(message.subject).toBe(`${namespace}.task.normal.a.b`);
    expect(message.headers.get(header.contentType)).toBe("application/msgpack");
    expect(bodyOf(message)).toEqual({ x: 1 });
  });

  test("does not warn of an actor that a worker has run", async () => {
    const worker = await system.work([Echo]);
    await worker.stop();
    expect((await run(["tell", "echo", "{}"])).stderr).toBe("");
  });

  test("with --json prints what tell() gives; the same id again is a duplicate", async () => {
    const first = await run(["tell", "a", "1", "--id", "d", "--json"]);
    expect(JSON.parse(first.stdout)).toEqual({ id: "d", stream: `${namespace}_TASKS`, sequence: 1, duplicate: false });
    const second = await run(["tell", "a", "1", "--id", "d"]);
    expect(second).toMatchObject({ code: 0, stdout: `d  ${namespace}_TASKS:1  duplicate: nothing was stored\n` });
  });

  test("takes lane, codec and expiry along, and schedules with a delay", async () => {
    await run(["tell", "a", '["x"]', "--lane", "high", "--codec", "json", "--expires-in", "1h"]);
    const message = await stored("TASKS", 1);
    expect(message.subject).toBe(`${namespace}.task.high.a`);
    expect(Buffer.from(message.body).toString()).toBe('["x"]');
    expect(message.headers.get(header.expiresIn)).toBe("3600000");
    const delayed = await run(["tell", "a", "1", "--id", "later", "--delay", "5m"]);
    expect(delayed.stdout).toBe(`later  ${namespace}_SCHEDULE:1\n`);
    expect((await stored("SCHEDULE", 1)).subject).toBe(`${namespace}.schedule.a.later`);
  });

  test("reads the body from a file and from standard input", async () => {
    await writeFile(join(cwd, "body.json"), '{"from":"file"}');
    await run(["tell", "a", "@body.json"]);
    await run(["tell", "a", "-"], '{"from":"input"}\n', godwit);
    expect([bodyOf(await stored("TASKS", 1)), bodyOf(await stored("TASKS", 2))]).toEqual([
      { from: "file" },
      { from: "input" },
    ]);
    expect(await run(["tell", "a", "-"], "no json")).toMatchObject({ code: 2, stdout: "" });
  });

  test("sends a body that is too large for a message too", async () => {
    const text = randomBytes(maxPayloadBytes).toString("base64");
    expect(await run(["tell", "a", "-"], JSON.stringify(text))).toMatchObject({ code: 0 });
    expect((await stored("TASKS", 1)).headers.get(header.bodyObject)).toMatch(/^\S{24}$/);
  });

  test("makes the streams of a fresh namespace, and leaves the settings of those that exist", async () => {
    await system.close();
    const limits = { maxBytes: 5_000_000 };
    system = await ActorSystem.connect({ servers: server.url, namespace: `${namespace}x`, log: "silent", limits });
    namespace = `${namespace}x`;
    expect((await run(["tell", "a", "1"])).code).toBe(0);
    const { config } = await system.parts.connection.jsm.streams.info(`${namespace}_TASKS`);
    expect(config.max_bytes).toBe(5_000_000);
    namespace = `${namespace}fresh`;
    expect(await run(["tell", "a", "1", "--id", "first"])).toMatchObject({
      code: 0,
      stdout: `first  ${namespace}_TASKS:1\n`,
    });
  });
});

describe("tell --many", () => {
  test("sends a task for each line, blank ones left out", async () => {
    const lines = Array.from({ length: 1_500 }, (_, index) => `{"n":${index}}`).join("\n");
    const { code, stdout } = await run(["tell", "a", "--many", "--id-field", "n"], `\n${lines}\n\n`, godwit);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "accepted 1,500, duplicates 0, failed 0\n" });
    expect((await stored("TASKS", 1)).headers.get(header.id)).toBe("0");
    expect(await system.parts.reader.state(`${namespace}_TASKS`)).toMatchObject({ messages: 1_500 });
  });

  test("--wait waits for room while the queue is full", async () => {
    const { servers } = system;
    const small = await ActorSystem.connect({ servers, namespace, limits: { maxPerActor: 2 }, log: "silent" });
    try {
      const sending = run(["tell", "echo", "--many", "--wait"], "1\n2\n3\n4\n5\n");
      await expect.poll(async () => (await small.parts.reader.state(`${namespace}_TASKS`))?.messages, patient).toBe(2);
      await small.work([Echo]);
      expect(await sending).toMatchObject({ code: 0, stdout: "accepted 5, duplicates 0, failed 0\n" });
    } finally {
      await small.close();
    }
  });

  test("one bad line is one failure, named by its line, and the others are sent: exit code 1", async () => {
    const large = JSON.stringify({ id: "large", text: "x".repeat(70_000_000) });
    const input = ['{"id":"p1"}', "nope", '{"id":"p1"}', '{"no":"id"}', "", large, '{"id":"p2"}'].join("\n");
    const { code, stdout, stderr } = await run(["tell", "a", "--many", "--id-field", "id"], input, godwit);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "accepted 2, duplicates 1, failed 3\n" });
    expect(stderr).toMatch(/godwit: line 2: The line is not JSON .*\(INVALID_MESSAGE\)\n/);
    expect(stderr).toMatch(/godwit: line 4: The line has no field 'id'.*\(INVALID_MESSAGE\)\n/);
    expect(stderr).toMatch(/godwit: line 6: The body for .*\(PAYLOAD_TOO_LARGE\)\n/);
    const json = await run(["tell", "b", "--many", "--id-field", "id", "--json"], input, godwit);
    expect(JSON.parse(json.stdout)).toMatchObject({
      accepted: 2,
      duplicates: 1,
      failures: [{ line: 2, code: "INVALID_MESSAGE" }, { line: 4 }, { line: 6, code: "PAYLOAD_TOO_LARGE" }],
    });
  });
});

describe("ask", () => {
  test("prints the answer as JSON, whatever MessagePack carried", async () => {
    await system.work([Echo]);
    const answer = { got: { x: [1] }, big: String(2n ** 60n), bytes: { base64: "AQI=" } };
    const pretty = await run(["ask", "echo", '{"x":[1]}'], undefined, godwit);
    expect(pretty).toEqual({ code: 0, stdout: `${JSON.stringify(answer, undefined, 2)}\n`, stderr: "" });
    const line = await run(["ask", "echo", '{"x":[1]}', "--json"]);
    expect(line.stdout).toBe(`${JSON.stringify(answer)}\n`);
  });

  test("fails with the actor's error, and in time where nobody answers", async () => {
    await system.work([Echo]);
    const failed = await run(["ask", "echo", '{"fail":true}', "--id", "f"]);
    expect(failed).toMatchObject({ code: 1, stdout: "" });
    expect(failed.stderr).toBe("godwit: The task f became a dead letter (terminal): no such thing (TASK_FAILED)\n");
    const silent = await run(["ask", "nobody", "{}", "--timeout", "200ms", "--json"]);
    expect(silent).toMatchObject({ code: 1, stdout: "" });
    expect(JSON.parse(silent.stderr)).toMatchObject({ error: { code: "ASK_TIMEOUT" } });
  });
});

test("publish stores an event", async () => {
  const { code, stdout, stderr } = await run(["publish", "orders.placed", '{"orderId":"o1"}', "--id", "o1"]);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `o1  ${namespace}_EVENTS:1\n`, stderr: "" });
  const message = await stored("EVENTS", 1);
  expect(message.subject).toBe(`${namespace}.event.orders.placed`);
  expect(bodyOf(message)).toEqual({ orderId: "o1" });
});
