/** close() keeps what it accepted: it waits for calls under way, takes nothing new, and calls an unknown outcome unknown. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem, type ManySent } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { freeze } from "../support/freeze.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const main = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

type Ending = { code: string; message: string } | undefined;

/** How each of these calls ended: undefined where it resolved. */
function endings(calls: Iterable<Promise<unknown>>): Promise<Ending[]> {
  return Promise.all(
    Array.from(calls, (call) =>
      call.then(
        () => undefined,
        (error: unknown) => error as Ending,
      ),
    ),
  );
}

const tells = (system: ActorSystem, count: number): Promise<unknown>[] =>
  Array.from({ length: count }, (_, n) => system.tell("sink", n));

/** How often each code, or "stored", is there. */
function tally(ended: readonly Ending[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const one of ended) counts[one?.code ?? "stored"] = (counts[one?.code ?? "stored"] ?? 0) + 1;
  return counts;
}

describe("a close with sends in flight", () => {
  test.each([50, 5_000])("waits for %i tells, which are all stored and all told so", async (count) => {
    const system = await stage.connect();
    const client = await stage.client();
    const sending = endings(tells(system, count));
    await Promise.all([system.close(), system.close({ grace: 0 })]);
    expect(tally(await sending)).toEqual({ stored: count });
    expect(await client.count(stage.names.tasks)).toBe(count);
  });

  test("waits for events, for bodies in the object store, and for those that a schema still checks", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { opened, open } = gate();
    const slow = {
      "~standard": { version: 1, vendor: "test", validate: (value: unknown) => opened.then(() => ({ value })) },
    } as const;
    const Checked = actorOf({ name: "checked", input: slow }, () => {});
    const calls = [
      system.publish("it.happened", {}),
      system.tell("big", randomBytes(2_000_000)),
      system.tell(Checked, {}),
    ];
    const closing = system.close();
    open();
    await closing;
    expect(tally(await endings(calls))).toEqual({ stored: 3 });
    expect(await client.count(stage.names.tasks)).toBe(2);
  });

  test("waits for what handlers send, also where they did not wait for it themselves", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const sent: Promise<unknown>[] = [];
    const Parent = actorOf({ name: "parent" }, async (_input, ctx) => {
      started.open();
      await ending.opened;
      for (let n = 0; n < 100; n++) sent.push(ctx.tell("sink", n));
    });
    const [started, ending] = [gate(), gate()];
    await system.work([Parent]);
    await system.tell(Parent, {});
    await started.opened;
    const closing = system.close();
    ending.open();
    await closing;
    expect(tally(await endings(sent))).toEqual({ stored: 100 });
    expect(await client.count(stage.names.tasks)).toBe(100);
  });

  test("leaves all of them in the store of an embedded server", async () => {
    const storeDir = await mkdtemp(join(tmpdir(), "godwit-close-"));
    try {
      const first = await ActorSystem.connect({ embedded: { storeDir }, log: "silent" });
      const sending = endings(tells(first, 300));
      await first.close();
      expect(tally(await sending)).toEqual({ stored: 300 });
      const second = await ActorSystem.connect({ embedded: { storeDir }, log: "silent" });
      expect((await second.parts.reader.state("godwit_TASKS"))?.messages).toBe(300);
      await second.close();
    } finally {
      await rm(storeDir, { recursive: true, force: true });
    }
  });

  test("by a server that stands still ends with its grace, and says what is unknown and what was never sent", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await freeze(stage.pid);
    try {
      const sending = endings(tells(system, 1_500));
      const startMs = performance.now();
      const closing = system.close({ grace: 500 });
      const ended = await sending;
      expect(performance.now() - startMs).toBeGreaterThanOrEqual(490);
      expect(performance.now() - startMs).toBeLessThan(5_000);
      expect(tally(ended)).toEqual({ PUBLISH_TIMEOUT: 1_000, CLOSED: 500 });
      expect(ended[0]?.message).toMatch(/before the system was closed, so it may or may not be stored/);
      process.kill(stage.pid, "SIGCONT");
      await closing;
      // What was said to be never sent is not there.
      expect(await client.count(stage.names.tasks)).toBeLessThanOrEqual(1_000);
    } finally {
      process.kill(stage.pid, "SIGCONT");
    }
  });

  test("by a server that is killed and started again meanwhile loses none of them", async () => {
    const storeDir = await mkdtemp(join(tmpdir(), "godwit-close-"));
    let server = await EmbeddedServer.start({ storeDir });
    const { port } = new URL(server.url);
    try {
      const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
      process.kill(server.pid, "SIGKILL");
      await server.exited;
      const sending = endings(tells(system, 50));
      const closing = system.close();
      server = await EmbeddedServer.start({ storeDir, port: Number(port) });
      await closing;
      expect(tally(await sending)).toEqual({ stored: 50 });
    } finally {
      await server.stop();
      await rm(storeDir, { recursive: true, force: true });
    }
  });

  test("without a server says that nothing is stored", async () => {
    const server = await EmbeddedServer.start();
    const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    await server.stop();
    await expect.poll(() => system.parts.connection.up, patient).toBe(false);
    const sending = endings(tells(system, 10));
    await system.close({ grace: 100 });
    expect(tally(await sending)).toEqual({ CLOSED: 10 });
  });

  test("does not wait for one that is too large to be sent", async () => {
    const system = await stage.connect();
    const sending = endings([system.tell("sink", "x", { headers: { large: "x".repeat(1_100_000) } })]);
    await system.close();
    expect(tally(await sending)).toEqual({ PAYLOAD_TOO_LARGE: 1 });
  });
});

describe("a bulk send that its system's close ends", () => {
  /** Each body is either stored or a failure. */
  async function settled(
    sending: Promise<ManySent>,
  ): Promise<{ accepted: number; failed: number[]; codes: unknown[] }> {
    const { accepted, failures } = await sending;
    const codes = [...new Set(failures.map(({ error }) => (error as { code?: string }).code))];
    return { accepted, failed: failures.map(({ index }) => index), codes };
  }

  test("stores what was taken, and lists each other body of a list", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const sending = settled(system.tellMany("sink", Array(50_000).fill(0)));
    await system.close();
    const { accepted, failed, codes } = await sending;
    expect(accepted).toBeGreaterThan(0);
    expect(codes).toEqual(["CLOSED"]);
    expect(failed).toEqual(Array.from({ length: 50_000 - accepted }, (_, at) => accepted + at));
    expect(await client.count(stage.names.tasks)).toBe(accepted);
  });

  test("takes no more from a generator without an end, and has it end itself", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    let ended = false;
    function* endless(): Generator<number> {
      try {
        for (let n = 0; ; n++) yield n;
      } finally {
        ended = true;
      }
    }
    const sending = settled(system.tellMany("sink", endless()));
    await system.close();
    const { accepted, failed, codes } = await sending;
    expect({ failed, codes, ended }).toEqual({ failed: [accepted], codes: ["CLOSED"], ended: true });
    expect(await client.count(stage.names.tasks)).toBe(accepted);
  });

  test("does not wait for a source that gives nothing any more", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    async function* silent(): AsyncGenerator<number> {
      yield* [1, 2, 3];
      await new Promise(() => {});
    }
    const sending = settled(system.tellMany("sink", silent()));
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(3);
    await system.close();
    expect(await sending).toEqual({ accepted: 3, failed: [3], codes: ["CLOSED"] });
  });
});

describe("a close with somebody waiting", () => {
  test("for an answer waits for it, and gives it", async () => {
    const [asking, working] = [await stage.connect(), await stage.connect()];
    const Slow = actorOf({ name: "slow" }, () => ending.opened.then(() => "done"));
    const ending = gate();
    const recorder = record(await working.work([Slow]));
    const asked = asking.ask(Slow, {});
    await recorder.until("started");
    const closing = asking.close();
    ending.open();
    expect(await asked).toBe("done");
    await closing;
  });

  test("for an answer that does not come says that the task goes on, with its id", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const asked = endings([system.ask("nobody", {}, { id: "mine", timeout: "1h" })]);
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(1);
    await system.close({ grace: 100 });
    expect(await asked).toMatchObject([
      {
        code: "ASK_TIMEOUT",
        id: "mine",
        message: expect.stringMatching(/closed before nobody answered; the task mine goes on/),
      },
    ]);
  });

  test("for a result ends the wait", async () => {
    const system = await stage.connect();
    const waiting = endings([system.result("nobody", "x", { wait: "1h" })]);
    await system.close({ grace: 100 });
    expect(tally(await waiting)).toEqual({ CLOSED: 1 });
  });
});

test("Ctrl-C in `godwit tell --many` takes no more lines, and tells of those that it has taken", async () => {
  await stage.connect();
  const client = await stage.client();
  const args = ["tell", "sink", "--many", "--servers", stage.url, "--namespace", stage.namespace];
  const child = spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "ignore"] });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.write("1\n2\n3\n");
  await expect.poll(() => client.count(stage.names.tasks), patient).toBe(3);
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([1, null]);
  expect(said).toBe("accepted 3, duplicates 0, failed 0\n");
});

test("a grace that is no duration is refused, and nothing is closed", async () => {
  const system = await stage.connect();
  expect(() => system.close({ grace: "soon" as never })).toThrow(expect.objectContaining({ code: "INVALID_CONFIG" }));
  await system.tell("sink", 1);
  await system.close();
});
