/** `godwit worker --processes`: a group of processes, and how each of them comes and goes. */
import { appendFileSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../src/system/actor-system.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { Running, type Ended } from "../support/cli/run.ts";
import { until } from "../support/embedded/until.ts";
import { patient } from "../support/stage.ts";

let server: EmbeddedServer;
let folder: string;
let namespace: string;
let system: ActorSystem;
let groups: Running[] = [];
let count = 0;

beforeAll(async () => {
  server = await EmbeddedServer.start();
});
afterAll(() => server.stop());

beforeEach(async () => {
  count += 1;
  namespace = `group${count}`;
  folder = await mkdtemp(join(tmpdir(), "godwit-group-"));
  system = await ActorSystem.connect({ servers: server.url, namespace, log: "silent" });
});

afterEach(async () => {
  const all = groups.flatMap((group) => [...pidsOf(group)]);
  for (const group of groups) group.signal("SIGKILL");
  await Promise.all(groups.map((group) => group.ended));
  groups = [];
  // Those whose supervisor is gone drain by themselves.
  await until("no process is left", () => all.every((pid) => !isAlive(pid)));
  await system.close();
  await rm(folder, { recursive: true, force: true });
});

function start(...args: string[]): Running {
  const group = new Running(["worker", "echo.mjs", ...args, "--servers", server.url, "--namespace", namespace], {
    cwd: folder,
  });
  groups.push(group);
  return group;
}

/** An actor that writes down who ran what. @param body of `receive`. @param start as a method. */
async function writeActor(version: string, body = "", start = ""): Promise<void> {
  await writeFile(
    join(folder, "echo.mjs"),
    `import { Actor } from "godwit";
import { appendFileSync, existsSync } from "node:fs";
export class Echo extends Actor {
  static config = { name: "echo", concurrency: 2, ackWait: "2s", retry: { base: 50, max: 50 } };
  ${start}
  async receive(input, ctx) {
    const note = (what) => appendFileSync("runs", JSON.stringify({ what, id: ctx.id, attempt: ctx.attempt, pid: process.pid, version: "${version}" }) + "\\n");
    note("began");
    ${body}
    note("done");
  }
}`,
  );
}

interface Note {
  what: "began" | "done";
  id: string;
  attempt: number;
  pid: number;
  version: string;
}

async function notes(what: Note["what"]): Promise<Note[]> {
  const text = await readFile(join(folder, "runs"), "utf8").catch(() => "");
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Note)
    .filter((note) => note.what === what);
}

/** The worker processes that it has said to be ready, the first one first. */
function pidsOf(group: Running): number[] {
  return [...group.stderr.matchAll(/ready: echo on .*\(process (\d+)\)/g)].map(([, pid]) => Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const alive = (group: Running): number[] => pidsOf(group).filter(isAlive);

describe("a group", () => {
  test("runs in as many processes as asked, and SIGTERM drains all of them", async () => {
    await writeActor("1", 'while (!existsSync("release")) await new Promise((r) => setTimeout(r, 10));');
    const group = start("--processes", "3", "--log", "text");
    await group.says("ready: 3 processes on");
    await system.tellMany(
      "echo",
      Array.from({ length: 6 }, (_, n) => n),
    );
    await expect.poll(async () => (await notes("began")).length, patient).toBe(6);
    expect(new Set((await notes("began")).map(({ pid }) => pid))).toEqual(new Set(pidsOf(group)));
    group.signal("SIGTERM");
    await group.says("draining on SIGTERM", 3);
    appendFileSync(join(folder, "release"), "");
    const { code, stderr } = await group.ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/done: every process has ended\n$/);
    expect(await notes("done")).toHaveLength(6);
    expect(alive(group)).toEqual([]);
  });

  test("drains where what stops the service signals every process of it", async () => {
    await writeActor("1", 'while (!existsSync("release")) await new Promise((r) => setTimeout(r, 10));');
    const group = start("--processes", "2", "--log", "text");
    await group.says("ready: 2 processes on");
    await system.tellMany("echo", [1, 2, 3, 4]);
    await expect.poll(async () => (await notes("began")).length, patient).toBe(4);
    for (const pid of pidsOf(group)) process.kill(pid, "SIGTERM");
    group.signal("SIGTERM");
    await group.says("draining on", 2);
    appendFileSync(join(folder, "release"), "");
    expect((await group.ended).code).toBe(0);
    expect(await notes("done")).toHaveLength(4);
  });

  test("a second signal ends all of it at once", async () => {
    await writeActor("1", "await new Promise(() => {});");
    const group = start("--processes", "2", "--log", "text");
    await group.says("ready: 2 processes");
    await system.tell("echo", 1);
    await expect.poll(async () => (await notes("began")).length, patient).toBe(1);
    group.signal("SIGINT");
    await group.says("draining on SIGINT", 2);
    group.signal("SIGINT");
    expect((await group.ended).code).toBe(130);
    expect(alive(group)).toEqual([]);
  });

  test("whose supervisor is killed drains by itself", async () => {
    await writeActor("1", "await new Promise((r) => setTimeout(r, 500));");
    const group = start("--processes", "2", "--log", "text");
    await group.says("ready: 2 processes");
    await system.tellMany("echo", [1, 2, 3, 4]);
    await expect.poll(async () => (await notes("began")).length, patient).toBe(4);
    group.signal("SIGKILL");
    await until("they have ended", () => alive(group).length === 0);
    expect(await notes("done")).toHaveLength(4);
  });

  test("whose supervisor is killed leaves none behind that hears nothing any more", async () => {
    await writeActor("1", "if (input === 'hang') for (;;);");
    const group = start("--processes", "2", "--grace", "0s", "--log", "text");
    await group.says("ready: 2 processes");
    await system.tell("echo", "hang");
    await expect.poll(async () => (await notes("began")).length, patient).toBe(1);
    const hanging = (await notes("began"))[0]?.pid ?? 0;
    group.signal("SIGKILL");
    await until("the other one has drained", () => alive(group).length === 1);
    expect(alive(group)).toEqual([hanging]);
    await until("it was killed", () => !isAlive(hanging), 20_000);
  });

  test("that cannot start says why once, and ends", async () => {
    await writeActor("1", "", 'async start() { throw new Error("no database"); }');
    const group = start("--processes", "3", "--log", "text");
    const { code, stderr } = await group.ended;
    expect(code).toBe(1);
    expect(stderr.match(/no database/g)).toHaveLength(1);
    expect(stderr).toMatch(
      /ended with exit code 1 before it was ready, so no other was started; .* \(WORKER_START_FAILED\)\n$/,
    );
  });
});

test("a range starts no more processes than --max-total-memory is enough for, and says so at debug", async () => {
  await writeActor("one", "await new Promise((resolve) => setTimeout(resolve, 20_000));");
  await system.tellMany("echo", Array(20).fill("x"));
  const range = ["--processes", "1..4", "--max-total-memory", "1MB", "--grace", "200ms"];
  const group = start(...range, "--log", "text", "--log-level", "debug");
  // Both handlers are busy, so that two processes are needed.
  // A machine that is busy otherwise names its CPU first.
  await group.says(/still 1 process: \d+ are needed, but (the memory is enough for 1|\d+ % of the CPU)/);
  expect(pidsOf(group)).toHaveLength(1);
});

test("a memory limit that every process passes at its start is refused", async () => {
  await writeActor("1");
  const group = start("--processes", "2", "--max-memory", "20MB", "--log", "text");
  const { code, stderr } = await group.ended;
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /The memory limit of 20 MB is less than a worker process takes when it starts, \d+ MB, so .* \(INVALID_CONFIG\)\n$/,
  );
  expect(alive(group)).toEqual([]);
});

test.each([
  ["--max-age", "6"],
  ["--max-memory", "300"],
])("%s %s is no limit that is meant", async (option, value) => {
  await writeActor("1");
  const { code, stderr } = await start(option, value).ended;
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^godwit: The limit '\d+' is too small to be meant; it must be at least 1.+, with its unit\. \(USAGE\)\n$/,
  );
});

describe("a process", () => {
  test("that has run its share is replaced by one that is ready before it drains; no message is run twice or fails", async () => {
    await writeActor("1");
    const group = start("--processes", "2", "--max-messages", "50", "--log", "text");
    await group.says("ready: 2 processes");
    const sent = await system.tellMany(
      "echo",
      Array.from({ length: 600 }, (_, n) => n),
    );
    expect(sent.accepted).toBe(600);
    await expect.poll(async () => (await notes("done")).length, patient).toBe(600);
    await group.says(/draining on it has run its share of messages/, 2);
    expect(new Set((await notes("done")).map(({ id }) => id)).size).toBe(600);
    expect((await notes("began")).every(({ attempt }) => attempt === 1)).toBe(true);
    // A process begins to drain after its replacement was ready.
    const drained = [...group.stderr.matchAll(/draining on it has run .*\(process (\d+)\)/g)];
    expect(drained.length).toBeGreaterThanOrEqual(2);
    for (const { index, 1: pid } of drained) {
      const by = new RegExp(`replaced: .*\\(process ${pid}, by (\\d+)\\)`).exec(group.stderr)?.[1];
      const ready = group.stderr.search(new RegExp(`ready: echo .*\\(process ${by}\\)`));
      expect(ready, `${by} was ready`).toBeGreaterThan(-1);
      expect(ready).toBeLessThan(index);
    }
  });

  test("that is old enough is replaced, while nothing is sent too", async () => {
    await writeActor("1");
    const group = start("--max-age", "1s", "--log", "text");
    await group.says("ready: 1 process on");
    await group.says("replaced: its age limit", 2);
    expect(pidsOf(group).length).toBeGreaterThan(2);
  });

  test("that is killed is followed by another, and what it ran is run again", async () => {
    await writeActor("1", 'while (!existsSync("release")) await new Promise((r) => setTimeout(r, 10));');
    const group = start("--processes", "1", "--log", "text");
    await group.says("ready: 1 process");
    await system.tell("echo", 1, { id: "held" });
    await expect.poll(async () => (await notes("began")).length, patient).toBe(1);
    process.kill(pidsOf(group)[0] as number, "SIGKILL");
    await group.says(/ended by itself with SIGKILL after .*; another starts in/);
    appendFileSync(join(folder, "release"), "");
    await expect
      .poll(async () => (await notes("done")).map(({ id, attempt }) => [id, attempt]), patient)
      .toEqual([["held", 1]]);
    expect(pidsOf(group)).toHaveLength(2);
  });

  test("that stands still is replaced, and killed where it does not drain", async () => {
    // Once: it comes again after its ack-wait.
    await writeActor("1", "if (input === 'hang' && !existsSync('hung')) { appendFileSync('hung', ''); for (;;); }");
    const group = start("--processes", "1", "--health-window", "1s", "--grace", "0s", "--log", "text");
    await group.says("ready: 1 process");
    const [hanging = 0] = pidsOf(group);
    await system.tell("echo", "hang", { id: "hang" });
    await group.says(/replaced: it stands still/);
    await system.tell("echo", 1, { id: "other" });
    await expect.poll(async () => (await notes("done")).map(({ id }) => id), patient).toContain("other");
    await until("it was killed", () => !isAlive(hanging), 20_000);
  });

  test("whose work needs more memory than it may have is replaced ever more slowly, and that is said", async () => {
    await writeActor("1", "globalThis.kept = Buffer.alloc(200e6, 1); await new Promise((r) => setTimeout(r, 1000));");
    const group = start("--processes", "1", "--max-memory", "150MB", "--log", "text");
    await group.says("ready: 1 process on");
    await system.tellMany(
      "echo",
      Array.from({ length: 40 }, (_, n) => n),
    );
    await group.says(/error .*3 in a row: its memory limit is too small for its work; another starts in/, 1, 60_000);
    expect((await notes("began")).every(({ attempt }) => attempt === 1)).toBe(true);
  });

  test("whose predecessor ends while it starts takes its place", async () => {
    await writeActor("old");
    const group = start("--processes", "1", "--log", "text");
    await group.says("ready: 1 process on");
    const [old = 0] = pidsOf(group);
    await writeActor("new", "", "async start() { await new Promise((r) => setTimeout(r, 2000)); }");
    group.signal("SIGHUP");
    await group.says("SIGHUP: every process is replaced");
    process.kill(old, "SIGKILL");
    await group.says(/ended by itself with SIGKILL after .*; another starts already/);
    await group.says("restarted: 0 processes replaced");
    await system.tell("echo", 1);
    await expect.poll(async () => (await notes("done")).map(({ version }) => version), patient).toEqual(["new"]);
    group.signal("SIGTERM");
    expect((await group.ended).code).toBe(0);
    expect(alive(group)).toEqual([]);
  });

  test("that keeps ending is started again ever more slowly, and that is said", async () => {
    await writeActor("1", "process.exit(7);");
    const group = start("--processes", "1", "--log", "text");
    await group.says("ready: 1 process");
    await system.tell("echo", 1, { expiresIn: "1h" });
    await group.says(
      /error .*ended by itself with exit code 7 .*3 in a row soon after their start: a crash loop, slowed/,
    );
    const waits = [...group.stderr.matchAll(/another starts in ([\d.]+) (m?s)/g)].map(
      ([, number, unit]) => Number(number) * (unit === "s" ? 1_000 : 1),
    );
    expect(waits[2]).toBeGreaterThanOrEqual(2 * (waits[0] as number));
  });
});

describe("SIGHUP", () => {
  test("replaces all of them, one after the other, by processes that load the code anew", async () => {
    await writeActor("old", "await new Promise((r) => setTimeout(r, 20));");
    const group = start("--processes", "3", "--log", "text");
    await group.says("ready: 3 processes");
    const old = pidsOf(group);
    await writeActor("new", "await new Promise((r) => setTimeout(r, 20));");
    let fewest = Infinity;
    const watch = setInterval(() => (fewest = Math.min(fewest, alive(group).length)), 5);
    const sending = system.tellMany(
      "echo",
      Array.from({ length: 500 }, (_, n) => n),
    );
    group.signal("SIGHUP");
    await group.says("restarted: 3 processes replaced");
    clearInterval(watch);
    expect(fewest).toBeGreaterThanOrEqual(3);
    await until("the old ones have ended", () => old.every((pid) => !isAlive(pid)));
    await sending;
    await expect.poll(async () => new Set((await notes("done")).map(({ id }) => id)).size, patient).toBe(500);
    expect((await notes("began")).every(({ attempt }) => attempt === 1)).toBe(true);
    await rm(join(folder, "runs"));
    await system.tellMany(
      "echo",
      Array.from({ length: 30 }, (_, n) => n),
    );
    await expect.poll(async () => (await notes("done")).length, patient).toBe(30);
    expect(new Set((await notes("done")).map(({ version }) => version))).toEqual(new Set(["new"]));
  });

  test("is given up where the new code ends soon after it has started", async () => {
    await writeActor("old");
    const group = start("--processes", "4", "--log", "text");
    await group.says("ready: 4 processes");
    await writeActor("new", "", "async start() { setTimeout(() => process.exit(9), 700); }");
    group.signal("SIGHUP");
    await group.says(
      /the restart was given up: a new process ended with exit code 9 after .*; [23] of 4 processes go on with the code/,
    );
    await system.tell("echo", 1);
    await expect.poll(async () => (await notes("done")).map(({ version }) => version), patient).toEqual(["old"]);
  });

  test("is given up where the new code does not start, and the old one goes on", async () => {
    await writeActor("old");
    const group = start("--processes", "2", "--log", "text");
    await group.says("ready: 2 processes");
    const old = pidsOf(group);
    await writeActor("new", "", 'async start() { throw new Error("forgotten setting"); }');
    group.signal("SIGHUP");
    await group.says(
      /the restart was given up: a replacement ended with exit code 1 before it was ready; 2 of 2 processes go on with the code/,
    );
    await system.tell("echo", 1);
    await expect.poll(async () => (await notes("done")).map(({ version }) => version), patient).toEqual(["old"]);
    expect(alive(group)).toEqual(old);
    // Mended, it goes through.
    await writeActor("new");
    group.signal("SIGHUP");
    await group.says("restarted: 2 processes replaced");
  });
});

test("a restart mends a group whose processes keep ending, without waiting", async () => {
  await writeActor("broken", "process.exit(7);");
  const group = start("--processes", "2", "--log", "text");
  await group.says("ready: 2 processes");
  await system.tellMany("echo", [1, 2]);
  await group.says(/3 in a row soon after their start: a crash loop/);
  await writeActor("mended");
  group.signal("SIGHUP");
  await group.says(/restarted: \d process(es)? replaced/);
  await expect.poll(async () => (await notes("done")).length, { ...patient, timeout: 40_000 }).toBe(2);
  // One that was replaced may still be on its way out.
  await expect.poll(() => alive(group), patient).toHaveLength(2);
});

describe("a restart asked for over NATS", () => {
  const restart = (...args: string[]): Promise<Ended> =>
    inProcess(["restart", "--servers", server.url, "--namespace", namespace, ...args], { cwd: folder });

  test("reaches every supervisor of the namespace, and says how each ended", async () => {
    await writeActor("1");
    const both = [start("--processes", "2", "--log", "text"), start("--processes", "1", "--log", "text")];
    for (const group of both) await group.says(/ready: \d process/);
    const old = both.flatMap(pidsOf);
    const { code, stderr, stdout } = await restart();
    expect(stdout).toBe("");
    expect(stderr).toMatch(/: replaces 2 processes\.\n/);
    expect(stderr).toMatch(/: done, 2 processes replaced\.\n/);
    expect(stderr).toMatch(/: done, 1 process replaced\.\n/);
    expect(code).toBe(0);
    await until("the old ones have ended", () => old.every((pid) => !isAlive(pid)));
    expect(both.map((group) => alive(group).length)).toEqual([2, 1]);

    await writeActor("2", "", 'async start() { throw new Error("no"); }');
    const failed = await restart("--json");
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.stderr)).toMatchObject({ error: { code: "RESTART_FAILED" } });
    const { supervisors } = JSON.parse(failed.stdout) as {
      supervisors: { state: string; actors: string[]; failure: string }[];
    };
    expect(supervisors.map(({ state }) => state)).toEqual(["failed", "failed"]);
    expect(supervisors[0]?.actors).toEqual(["echo"]);
    expect(supervisors[0]?.failure).toContain("exit code 1 before it was ready");
  });

  test("where there is no supervisor says so", async () => {
    const { code, stderr } = await restart();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^godwit: No supervisor answers in the namespace 'group\d+'; .* \(NOT_FOUND\)\n$/);
  });
});

describe("its endpoint", () => {
  test("serves one page for all processes, whose counts do not go back when one ends", async () => {
    await writeActor("1", 'if (input === "die") process.kill(process.pid, "SIGKILL");');
    const group = start("--processes", "2", "--metrics-port", "0", "--log", "text", "--max-messages", "40");
    await group.says("ready: 2 processes");
    const url = /metrics on (http:\S+)\/metrics/.exec(group.stderr)?.[1] ?? "";
    const page = async (): Promise<string> => (await fetch(`${url}/metrics`)).text();
    const value = async (series: string): Promise<number> =>
      Number(
        (await page())
          .split("\n")
          .find((line) => line.startsWith(`${series} `))
          ?.slice(series.length),
      );
    const completed = 'godwit_messages_total{actor="echo",outcome="completed"}';
    let last = 0;
    for (let batch = 1; batch <= 4; batch++) {
      await system.tellMany(
        "echo",
        Array.from({ length: 50 }, (_, n) => n),
      );
      await expect.poll(async () => value(completed), patient).toBe(50 * batch);
      expect(await value(completed)).toBeGreaterThanOrEqual(last);
      last = await value(completed);
    }
    await expect
      .poll(() => value('godwit_process_replacements_total{reason="messages"}'), patient)
      .toBeGreaterThanOrEqual(2);
    expect(await value(completed)).toBe(200);
    expect(await value('godwit_handler_duration_seconds_count{actor="echo"}')).toBe(200);
    // Of the server, which every process tells alike: one dead letter, not one for each.
    await expect.poll(() => value('godwit_processes{state="serving"}'), patient).toBe(2);
    expect(await value("godwit_processes_target")).toBe(2);
    expect(await value('godwit_handlers_limit{actor="echo"}')).toBe(4);
    expect(await value("godwit_connection_up")).toBe(1);
    const health = await fetch(`${url}/healthz`);
    expect([health.status, await health.json()]).toMatchObject([200, { healthy: true, reasons: [] }]);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    // One that is killed takes along what it counted since the last look, and no more.
    const before = await value(completed);
    await system.tell("echo", "die", { id: "die" });
    await expect
      .poll(() => value('godwit_process_replacements_total{reason="crash"}'), patient)
      .toBeGreaterThanOrEqual(1);
    expect(await value(completed)).toBe(before);
  });

  test("fails where no process is at work because each ends soon after its start", async () => {
    await writeActor("1", "process.exit(3);");
    const group = start("--processes", "1", "--metrics-port", "0", "--log", "text");
    await group.says("ready: 1 process");
    const url = /metrics on (http:\S+)\/metrics/.exec(group.stderr)?.[1] ?? "";
    await system.tell("echo", 1);
    await expect.poll(async () => (await fetch(`${url}/healthz`)).status, patient).toBe(503);
    expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({
      healthy: false,
      reasons: [expect.stringContaining("no process is at work: each ended soon after its start")],
    });
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
  });
});
