/** `godwit worker` as a process: what it says, what it refuses, and how it ends. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { Inspector } from "../../src/admin/inspector.ts";
import { ActorSystem } from "../../src/system/actor-system.ts";
import { godwit, Running } from "../support/cli/run.ts";
import { alteredServer } from "../support/embedded/altered-server.ts";
import { until } from "../support/embedded/until.ts";

let server: EmbeddedServer;
let folder: string;
let namespace: string;
let system: ActorSystem;
let running: Running[] = [];
let count = 0;

beforeAll(async () => {
  server = await EmbeddedServer.start();
});

afterAll(() => server.stop());

beforeEach(async () => {
  count += 1;
  namespace = `worker${count}`;
  folder = await mkdtemp(join(tmpdir(), "godwit-worker-"));
  system = await ActorSystem.connect({ servers: server.url, namespace, log: "silent" });
});

afterEach(async () => {
  for (const one of running) one.signal("SIGKILL");
  await Promise.all(running.map((one) => one.ended));
  running = [];
  await system.close();
  await rm(folder, { recursive: true, force: true });
});

function start(...args: string[]): Running {
  const one = new Running(["worker", ...args, "--servers", server.url, "--namespace", namespace], { cwd: folder });
  running.push(one);
  return one;
}

async function write(name: string, text: string): Promise<void> {
  await mkdir(join(folder, name, ".."), { recursive: true });
  await writeFile(join(folder, name), text);
}

const imports = 'import { Actor } from "godwit";\n';

/** An actor whose handler says that it runs and waits for the file `release`; its module leaves a timer behind, as real ones do. */
const gate = `${imports}import { existsSync } from "node:fs";
setInterval(() => {}, 1000);
export class Gate extends Actor {
  static config = { name: "the.gate", concurrency: 10 };
  async receive(input, ctx) {
    console.log("began " + ctx.id + ", attempt " + ctx.attempt);
    while (!existsSync("release")) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}`;

async function stored(): Promise<number> {
  return (await system.parts.reader.state(`${namespace}_TASKS`))?.messages ?? -1;
}

describe("a signal", () => {
  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s drains: what runs finishes, and the exit code is 0",
    async (signal) => {
      await write("gate.mjs", gate);
      const worker = start("gate.mjs");
      await worker.says(`ready: the.gate on ${server.url}`);
      await system.tell("the.gate", 1, { id: "g1" });
      await worker.says("began g1");
      worker.signal(signal);
      await worker.says(`draining on ${signal}: 1 message in hand, up to 30 s to finish`);
      await write("release", "");
      const { code, stderr, stdout } = await worker.ended;
      expect(code).toBe(0);
      expect(stdout).toBe("began g1, attempt 1\n");
      expect(stderr).toContain("done: 1 completed, 0 to retry, 0 dead, 0 put back, 0 lost");
      expect(await stored()).toBe(0);
    },
  );

  test("puts back what does not finish within the grace, without counting an attempt", async () => {
    await write("gate.mjs", gate);
    const worker = start("gate.mjs", "--grace", "100ms");
    await worker.says("ready");
    await system.tell("the.gate", 1, { id: "g1" });
    await worker.says("began g1");
    worker.signal("SIGTERM");
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("up to 100 ms to finish");
    expect(stderr).toContain("done: 0 completed, 0 to retry, 0 dead, 1 put back");
    await write("release", "");
    const next = start("gate.mjs");
    await next.says("began g1, attempt 1");
    await until("it is done", async () => (await stored()) === 0);
  });

  test("a second one ends it at once, with the signal in the exit code", async () => {
    await write("gate.mjs", gate);
    const worker = start("gate.mjs");
    await worker.says("ready");
    await system.tell("the.gate", 1, { id: "g1" });
    await worker.says("began g1");
    worker.signal("SIGTERM");
    await worker.says("draining");
    worker.signal("SIGTERM");
    expect((await worker.ended).code).toBe(143);
    expect(await stored()).toBe(1);
  });

  test("before it is ready is heeded too", async () => {
    await write(
      "slow.mjs",
      `${gate}\nconsole.log("loading"); await new Promise((resolve) => setTimeout(resolve, 300));`,
    );
    const worker = start("slow.mjs");
    await worker.says("loading");
    worker.signal("SIGTERM");
    const { code, stderr } = await worker.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("done: 0 completed");
  });
});

describe("what is run", () => {
  test("every actor of a folder, TypeScript too, under one ceiling", async () => {
    await write("package.json", '{ "type": "module" }');
    await write(
      "actors/busy.ts",
      `import { Actor, config } from "godwit";
let running = 0;
let most = 0;
export class Busy extends Actor<unknown, number> {
  static override readonly config = config({ name: "busy", concurrency: 10 });
  constructor(private readonly ms: number = 20) { super(); }
  override async receive(): Promise<number> {
    running += 1;
    most = Math.max(most, running);
    await new Promise((resolve) => setTimeout(resolve, this.ms));
    running -= 1;
    return most;
  }
}`,
    );
    await write("actors/gate.mjs", gate);
    const worker = start("actors", "--concurrency", "2");
    await worker.says("ready: busy, the.gate on");
    await Promise.all(Array.from({ length: 8 }, () => system.tell("busy", 1)));
    expect(await system.ask("busy", 1)).toBe(2);
  });

  test("logs lines of JSON for programs", async () => {
    await write(
      "failing.mjs",
      `${imports}export class F extends Actor { static config = { name: "f" }; receive() { throw new Error("down"); } }`,
    );
    const worker = start("failing.mjs", "--log", "json");
    await worker.says("ready");
    await system.tell("f", 1, { id: "f1" });
    await worker.says("will be tried again");
    worker.signal("SIGTERM");
    const { stderr, stdout } = await worker.ended;
    const lines = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map(({ msg }) => String(msg).split(":")[0])).toEqual([
      "ready",
      "failed, will be tried again",
      expect.stringContaining("draining"),
      "done",
    ]);
    expect(lines[1]).toMatchObject({ actor: "f", id: "f1", err: { type: "Error", message: "down" } });
    expect(stdout).toBe("");
  });

  /** Fails with an error that has a cause; its schema takes 1 and nothing else. */
  const caused = `${imports}function charge() { throw new TypeError("no route\\nto host"); }
const validate = (value) => (value === 1 ? { value } : { issues: [{ message: "bad" }] });
export class F extends Actor {
  static config = { name: "f", input: { "~standard": { version: 1, vendor: "x", validate } }, retry: { attempts: 2, base: 1 } };
  receive() { try { charge(); } catch (cause) { throw new Error("the payment\\nfailed", { cause }); } }
}`;

  test("with the stack and the causes of a handler's error, in JSON", async () => {
    await write("caused.mjs", caused);
    const worker = start("caused.mjs", "--log", "json");
    await worker.says("ready");
    await system.tell("f", 1, { id: "f1" });
    await worker.says("dead letter");
    worker.signal("SIGTERM");
    const { stderr } = await worker.ended;
    const lines = stderr
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { msg: string; err: { type: string; message: string; stack: string } });
    for (const msg of ["failed, will be tried again", "dead letter"]) {
      const { err } = lines.find((line) => line.msg === msg) ?? {};
      expect(err).toMatchObject({ type: "Error", message: expect.stringContaining("the payment\nfailed") });
      expect(err?.stack).toMatch(/at F\.receive .*caused\.mjs[^]*caused by: TypeError: no route[^]*at charge /);
    }
  });

  test("with the stack below the line of a dead letter, in text, and of a retry where debug is asked for", async () => {
    await write("caused.mjs", caused);
    const worker = start("caused.mjs", "--log", "text");
    await worker.says("ready");
    await system.tell("f", 1, { id: "f1" });
    await worker.says("dead letter (exhausted");
    await system.tell("f", 2, { id: "f2" });
    await worker.says("dead letter (invalid");
    worker.signal("SIGTERM");
    const { stderr } = await worker.ended;
    const stack =
      "\n    at F\\.receive \\(caused\\.mjs:\\d+:\\d+\\)\n(    at [^\n]+\n)+  caused by: TypeError: no route to host\n    at charge \\(caused\\.mjs:\\d+:\\d+\\)\n(    at [^\n]+\n)+";
    expect(stderr).toMatch(
      / f f1: failed, will be tried again in \d m?s \(Error: the payment failed: no route to host\)\n\d\d:/,
    );
    expect(stderr).toMatch(
      new RegExp(
        `f f1: dead letter \\(exhausted, attempt 2, Error: the payment failed: no route to host\\)${stack}\\d\\d:`,
      ),
    );
    // No handler ran: the stack would be Godwit's own.
    expect(stderr).toMatch(/ f f2: dead letter \(invalid, .*\)\n\d\d:/);

    const debugged = start("caused.mjs", "--log", "text", "--log-level", "debug");
    await debugged.says("ready");
    await system.tell("f", 1, { id: "f3" });
    await debugged.says("dead letter");
    debugged.signal("SIGTERM");
    expect((await debugged.ended).stderr).toMatch(
      new RegExp(`will be tried again in \\d m?s \\(Error: the payment failed: no route to host\\)${stack}\\d\\d:`),
    );
  });

  test("leaves the streams of a system with other limits as they are", async () => {
    const { jsm } = system.parts.connection;
    const own = await ActorSystem.connect({ servers: system.servers, namespace, limits: { maxBytes: 5_000_000 } });
    await own.close();
    await write("gate.mjs", gate);
    await start("gate.mjs").says("ready");
    expect((await jsm.streams.info(`${namespace}_TASKS`)).config.max_bytes).toBe(5_000_000);
    expect(await new Inspector(system).durables()).toHaveLength(2);
  });
});

describe("what is refused, in one sentence with exit code 1", () => {
  const actor = (body: string, name = "A"): string =>
    `${imports}export class ${name} extends Actor { ${body} receive() {} }\n`;

  test.each([
    [
      "a path that is not there",
      "nowhere",
      {},
      /There is no file or folder 'nowhere' to load actors from; .*\(NO_ACTOR\)/,
    ],
    [
      "a module with no actor",
      "a.mjs",
      { "a.mjs": "export const x = 1;" },
      /There is no actor in 'a\.mjs'; .*\(NO_ACTOR\)/,
    ],
    [
      "a module that throws",
      "a.mjs",
      { "a.mjs": "throw new Error('boom');" },
      /The module 'a\.mjs' could not be loaded \(Error: boom at a\.mjs:1\); .*\(NO_ACTOR\)/,
    ],
    [
      "two actors with one name",
      "actors",
      {
        "actors/a.mjs": actor('static config = { name: "same" };'),
        "actors/b.mjs": actor('static config = { name: "same" };', "B"),
      },
      /Two actors have the name "same" \(A and B\); give one of them another name\. \(INVALID_CONFIG\)/,
    ],
    [
      "an unknown key in a config",
      "a.mjs",
      { "a.mjs": actor('static config = { name: "a", concurency: 3 };') },
      /The config of actor class A \(a\) .*: unknown key "concurency"; .*\(INVALID_CONFIG\)/,
    ],
    [
      "an actor's bad name",
      "a.mjs",
      { "a.mjs": actor('static config = { name: "a b" };') },
      /The actor name "a b" is not valid; .*\(INVALID_NAME\)/,
    ],
    [
      "a class that needs arguments",
      "a.mjs",
      { "a.mjs": actor('static config = { name: "a" }; constructor(api) { super(); api.connect(); }') },
      /.* actor class A .*; pass a function that makes it: .*\(INVALID_CONFIG\)/,
    ],
    [
      "an actor whose start() throws",
      "a.mjs",
      { "a.mjs": actor('static config = { name: "a.b" }; async start() { throw new TypeError("no\\nway"); }') },
      /The actor a\.b could not start, because its start\(\) threw \(TypeError: no way\); .*\(ACTOR_START_FAILED\)/,
    ],
  ])("%s", async (_what, path, files, sentence) => {
    for (const [name, text] of Object.entries(files)) await write(name, text);
    const { code, stdout, stderr } = await start(path).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^godwit: ${sentence.source}\\n$`));
  });

  test("an actor whose start() throws, with the stack of that where GODWIT_DEBUG is set", async () => {
    await write("a.mjs", actor('static config = { name: "a" }; start() { throw new Error("no way"); }'));
    const args = ["worker", "a.mjs", "--servers", server.url, "--namespace", namespace];
    const { code, stderr } = await godwit(args, { cwd: folder, env: { GODWIT_DEBUG: "1" } });
    expect(code).toBe(1);
    expect(stderr).toMatch(/\ncaused by: Error: no way\n    at A\.start /);
  });

  test("no server", async () => {
    await write("gate.mjs", gate);
    const { code, stderr } = await godwit(["worker", "gate.mjs", "-s", "nats://127.0.0.1:1"], { cwd: folder });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^godwit: No NATS server could be reached at nats:\/\/127\.0\.0\.1:1 .*\(NO_SERVER\)\n$/);
  });
});

test("on a server with less room than the task stream's default it says so, and --max-bytes asks for less", async () => {
  await write("gate.mjs", gate);
  const small = await alteredServer({ maxFileStoreBytes: 3_000_000_000 });
  try {
    const args = ["worker", "gate.mjs", "--servers", small.url];
    const { code, stderr } = await godwit(args, { cwd: folder });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^godwit: The server has no room to reserve 10 GB .*--max-bytes.*\(TOPOLOGY_MISMATCH\)\n$/);
    const one = new Running([...args, "--max-bytes", "1.5GB", "--log", "text"], { cwd: folder });
    running.push(one);
    await one.says("ready: the.gate");
    one.signal("SIGTERM");
    expect((await one.ended).code).toBe(0);
    const there = await ActorSystem.connect({ servers: small.url, provision: "use", log: "silent" });
    const { config } = await there.parts.connection.jsm.streams.info("godwit_TASKS");
    await there.close();
    expect(config.max_bytes).toBe(1_500_000_000);
  } finally {
    await small.stop();
  }
});
