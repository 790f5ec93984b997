/** `godwit dev` as processes: the server that it starts or joins, the worker that it restarts, and that nothing stays behind. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readInfo } from "../../src/broker/embedded/info.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { Running, type Ended } from "../support/cli/run.ts";
import { isGone, until } from "../support/embedded/until.ts";

let folder: string;
let running: Running[] = [];
/** Of servers and workers that tests have seen, for the case that one fails. */
let pids: number[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-dev-"));
  await write("package.json", '{ "type": "module" }');
});

afterEach(async () => {
  for (const one of running) one.signal("SIGKILL");
  await Promise.all(running.map((one) => one.ended));
  running = [];
  for (const pid of pids) await until(`process ${pid} is gone`, () => isGone(pid));
  pids = [];
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

async function write(name: string, text: string): Promise<void> {
  await mkdir(join(folder, name, ".."), { recursive: true });
  await writeFile(join(folder, name), text);
}

/** Starts a dev whose server has any free port. */
function dev(...args: string[]): Running {
  const one = new Running(["dev", "--port", "0", ...args], { cwd: folder });
  running.push(one);
  return one;
}

/** Another command in the same folder, told of no server. */
function run(...args: string[]): Promise<Ended> {
  return inProcess(args, { cwd: folder });
}

async function serverPid(): Promise<number> {
  const { pid } = JSON.parse(await readFile(join(folder, ".godwit/server.json"), "utf8")) as { pid: number };
  pids.push(pid);
  return pid;
}

async function workerPid(): Promise<number> {
  const pid = Number(await readFile(join(folder, "worker.pid"), "utf8"));
  pids.push(pid);
  return pid;
}

/** An actor that answers with the version of its module, whose helper lies in another folder. */
const greeter = `import { writeFileSync } from "node:fs";
import { Actor, config } from "godwit";
import { version } from "../lib/version.js";
writeFileSync("worker.pid", String(process.pid));
export class Greeter extends Actor<{ hang?: boolean }, string> {
  static override readonly config = config({ name: "greeter" });
  override async receive({ hang }: { hang?: boolean }): Promise<string> {
    if (hang) { console.log("hangs"); await new Promise(() => {}); }
    return version;
  }
}
`;

async function writeGreeter(): Promise<void> {
  await write("actors/greeter.ts", greeter);
  await write("lib/version.ts", 'export const version: string = "one";');
}

describe("server and worker", () => {
  test("run until Ctrl-C, which leaves nothing running and all data", async () => {
    await writeGreeter();
    const first = dev();
    await first.says("ready: greeter");
    const url = first.stdout.trim();
    expect(first.stdout).toBe(`${url}\n`);
    expect(await readInfo(url, 5_000)).toMatchObject({ jetstream: true });
    expect(await run("ask", "greeter", "{}")).toEqual({ code: 0, stdout: '"one"\n', stderr: "" });
    expect(await run("tell", "another", "{}", "--id", "kept")).toMatchObject({ code: 0 });
    const [server, worker] = [await serverPid(), await workerPid()];
    first.interrupt();
    const { code, stderr } = await first.ended;
    expect(code).toBe(0);
    expect(stderr).toContain("draining on Ctrl-C");
    expect(stderr).toContain("done: 1 completed");
    expect([isGone(server), isGone(worker)]).toEqual([true, true]);

    const second = dev();
    await second.says("ready: greeter");
    const { stdout } = await run("explain", "kept");
    expect(stdout).toContain("another kept");
    await Promise.all([serverPid(), workerPid()]);
    second.signal("SIGTERM");
    expect(await second.ended).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("draining on SIGTERM") as string,
    });
  });

  test("a second Ctrl-C ends all at once", async () => {
    await writeGreeter();
    const one = dev("--grace", "1h");
    await one.says("ready: greeter");
    const [server, worker] = [await serverPid(), await workerPid()];
    await run("tell", "greeter", '{"hang":true}');
    await one.says("hangs");
    one.interrupt();
    await one.says("draining on Ctrl-C: 1 message in hand");
    one.interrupt();
    expect((await one.ended).code).toBe(130);
    expect([isGone(server), isGone(worker)]).toEqual([true, true]);
  });

  test("end with a dev that is killed", async () => {
    await writeGreeter();
    const one = dev();
    await one.says("ready: greeter");
    const [server, worker] = [await serverPid(), await workerPid()];
    one.signal("SIGKILL");
    await until("server and worker are gone", () => isGone(server) && isGone(worker));
    expect((await one.ended).code).toBeNull();
  });

  test("a worker that cannot start ends it: exit code 1, and no server is left", async () => {
    await write("actors/empty.mjs", "export const nothing = 1;");
    // Its line may come at any time.
    const one = dev("--no-dashboard");
    await until("the server runs", () => one.stdout !== "");
    await serverPid().catch(() => undefined);
    const { code, stderr } = await one.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /There is no actor in 'actors'; .*\(NO_ACTOR\)\ngodwit: the worker ended \(exit code 1\)\.\n$/,
    );
    expect(await readInfo(one.stdout.trim(), 1_000)).toBeUndefined();
  });

  test("a server that dies ends it: exit code 1, and no worker is left", async () => {
    await writeGreeter();
    const one = dev("--grace", "100ms");
    await one.says("ready: greeter");
    const [server, worker] = [await serverPid(), await workerPid()];
    process.kill(server, "SIGKILL");
    const { code, stderr } = await one.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/godwit: the server ended with code 137; its log is .*nats-server\.log\./);
    expect(isGone(worker)).toBe(true);
  });

  test("without actors the server runs alone, on the port that is asked for", async () => {
    const first = dev();
    await first.says("so the server runs alone");
    const port = new URL(first.stdout.trim()).port;
    await serverPid();
    first.interrupt();
    expect((await first.ended).code).toBe(0);
    const second = dev("--port", port);
    await second.says(`nats://127.0.0.1:${port}`);
    await serverPid();
    second.interrupt();
    expect((await second.ended).code).toBe(0);
  });
});

describe("a second dev on the same store", () => {
  test("joins the first one's server, leaves it running, and ends when it ends", async () => {
    await writeGreeter();
    const first = dev();
    await first.says("ready: greeter");
    const server = await serverPid();
    await workerPid();
    const second = dev();
    await second.says("ready: greeter");
    expect(second.stdout).toBe(first.stdout);
    expect(second.stderr).toContain("godwit: joins the server that another 'godwit dev' runs on .godwit.\n");
    const worker = await workerPid();
    second.interrupt();
    expect((await second.ended).code).toBe(0);
    expect([isGone(worker), isGone(server)]).toEqual([true, false]);
    expect((await run("ask", "greeter", "{}")).stdout).toBe('"one"\n');

    const third = dev("--grace", "100ms");
    await third.says("ready: greeter");
    await workerPid();
    first.interrupt();
    await first.ended;
    const { code, stderr } = await third.ended;
    expect(code).toBe(1);
    expect(stderr).toContain("godwit: the server was another 'godwit dev', which has ended; start this one again.\n");
  });

  test("started in the same moment finds the other", async () => {
    await writeGreeter();
    const both = [dev(), dev()];
    await Promise.all(both.map((one) => one.says("ready: greeter")));
    expect(both[0]?.stdout).toBe(both[1]?.stdout);
    expect(both.filter((one) => one.stderr.includes("joins the server"))).toHaveLength(1);
    await Promise.all([serverPid(), workerPid()]);
    for (const one of both) one.interrupt();
    await Promise.all(both.map((one) => one.ended));
  });
});

describe("--watch", () => {
  test("restarts the worker with changed modules, through mistakes and back", async () => {
    await writeGreeter();
    const one = dev("--watch");
    await one.says("ready: greeter");
    const first = await workerPid();
    expect((await run("ask", "greeter", "{}")).stdout).toBe('"one"\n');

    await write("lib/version.ts", 'export const version: string = "two!";');
    await one.says("lib/version.ts changed; the worker starts again.");
    await one.says("ready: greeter", 2);
    await workerPid();
    expect(isGone(first)).toBe(true);
    expect((await run("ask", "greeter", "{}")).stdout).toBe('"two!"\n');

    await write("lib/version.ts", "export const version: string = ;");
    await one.says("the worker ended (exit code 1); it starts again when a file changes.");
    await write("lib/version.ts", 'export const version: string = "three";');
    await one.says("ready: greeter", 3);
    expect((await run("ask", "greeter", "{}")).stdout).toBe('"three"\n');

    await write("actors/more/second.ts", greeter.replaceAll("reeter", "reeter2").replace("../lib", "../../lib"));
    await one.says("ready: greeter, greeter2");
    const [server, worker] = [await serverPid(), await workerPid()];
    one.interrupt();
    expect((await one.ended).code).toBe(0);
    expect([isGone(server), isGone(worker)]).toEqual([true, true]);
  });
});
