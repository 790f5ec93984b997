/** The command line as such: help, exit codes, wrong usage, and servers that are not there or not fit. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { resolveSystemOptions } from "../../src/system/options.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { godwit, type Ended } from "../support/cli/run.ts";

let cwd: string;

beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), "godwit-usage-"));
});

afterAll(() => rm(cwd, { recursive: true, force: true }));

const run = (...args: string[]): Promise<Ended> => inProcess(args, { cwd });
/** In a process of its own, as a shell has it. */
const spawned = (...args: string[]): Promise<Ended> => godwit(args, { cwd });

const commands = [
  [],
  ["dev"],
  ["worker"],
  ["tell"],
  ["ask"],
  ["publish"],
  ["status"],
  ["workers"],
  ["explain"],
  ["doctor"],
  ["schema"],
  ["dead"],
  ["dead", "list"],
  ["dead", "show"],
  ["dead", "requeue"],
  ["dead", "purge"],
  ["actor"],
  ["actor", "retire"],
];

describe("help", () => {
  test.each(commands.map((words) => [words.join(" ") || "godwit", words]))(
    "%s: on standard output, within 80 columns, exit code 0",
    async (_name, words) => {
      const { code, stdout, stderr } = await run(...words, "--help");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toContain(`Usage: ${["godwit", ...words].join(" ")}`);
      expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
      // A command shows examples of itself, a group its commands.
      expect(stdout).toMatch(/\n(Examples|Commands):\n/);
    },
  );

  test("the program's own names the exit codes and every command", async () => {
    const { stdout } = await spawned("--help");
    expect(stdout).toMatch(/Exit codes:\n {2}0 .*\n {2}1 .*\n {2}2 /);
    const listed = [...stdout.matchAll(/^ {2}([a-z]+) .*$/gm)].map(([, name]) => name);
    expect(listed).toEqual(expect.arrayContaining(commands.map(([name = "help"]) => name)));
  });

  test("the version is the package's", async () => {
    const text = await readFile(new URL("../../package.json", import.meta.url), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    expect(await spawned("--version")).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  });
});

describe("wrong usage is exit code 2 and one sentence, and nothing is tried", () => {
  // Port 1 has no server: what tried to reach one would fail with exit code 1.
  const env = { NATS_URL: "nats://127.0.0.1:1" };
  test.each<[string[], string]>([
    [["tel"], "Unknown command 'tel', did you mean tell; see 'godwit --help'. (USAGE)"],
    [["dead", "lst"], "Unknown command 'lst', did you mean list; see 'godwit dead --help'. (USAGE)"],
    [["dead"], "A command is missing; see 'godwit dead --help'. (USAGE)"],
    [["status", "--jsn"], "Unknown option '--jsn', did you mean --json; see 'godwit status --help'. (USAGE)"],
    [["status", "--passwd=it's secret"], "Unknown option '--passwd'; see 'godwit status --help'. (USAGE)"],
    [["tell"], "Missing required argument 'actor'; see 'godwit tell --help'. (USAGE)"],
    [["tell", "a", "{}", "more"], "see 'godwit tell --help'. (USAGE)"],
    [["tell", "a"], "tell needs a body: JSON, @FILE, or - for standard input. (USAGE)"],
    [["tell", "bad name", "{}"], 'The actor name "bad name" is not valid;'],
    [["tell", "a", "{oops}"], "The body is not JSON"],
    [["tell", "a", "@nowhere.json"], "The file 'nowhere.json' cannot be read"],
    [["tell", "a", "{}", "--lane", "urgent"], 'The lane "urgent" does not exist;'],
    [["tell", "a", "{}", "--delay", "soon"], '--delay is "soon", which is no duration;'],
    [["tell", "a", "{}", "--codec", "xml"], "--codec is 'xml'; it must be one of msgpack, json. (USAGE)"],
    [["tell", "a", "{}", "--id", " x"], 'The message id " x" is not valid;'],
    [["tell", "a", "{}", "--many"], "--many reads standard input; leave the body out. (USAGE)"],
    [["tell", "a", "--many", "--id", "x"], "--id is for a single task; with --many give --id-field. (USAGE)"],
    [["tell", "a", "{}", "--id-field", "x"], "--id-field is for --many; a single task takes --id. (USAGE)"],
    [["ask", "a"], "Missing required argument 'body'; see 'godwit ask --help'. (USAGE)"],
    [["publish", "orders.*", "{}"], 'The event subject "orders.*" is not valid;'],
    [["status", "--namespace", "a.b"], 'The namespace "a.b" is not valid;'],
    [["doctor", "--monitor", "nats-1:8222"], "--monitor has 'nats-1:8222'; it must be an address such as"],
    [["schema"], "Missing required argument 'paths'; see 'godwit schema --help'. (USAGE)"],
    [["explain"], "Missing required argument 'message'; see 'godwit explain --help'. (USAGE)"],
    [["explain", "x", "--scan", "0"], "--scan is '0'; it must be a whole number of at least 1. (USAGE)"],
    [["dead", "list", "--reason", "sad"], "--reason is 'sad'; it must be one of exhausted, terminal,"],
    [["dead", "show", "x"], "A dead letter's sequence is 'x'; it must be a whole number of at least 1. (USAGE)"],
    [["dead", "requeue"], "dead requeue needs the sequences that 'godwit dead list' shows, or --all,"],
    [["dead", "requeue", "--actor", "a"], "dead requeue needs the sequences that 'godwit dead list' shows, or --all,"],
    [["dead", "purge", "1", "--all"], "dead purge takes either sequences, or --all with filters;"],
    [["worker"], "Missing required argument 'paths'; see 'godwit worker --help'. (USAGE)"],
    [["worker", "x", "--concurrency", "0"], "--concurrency is '0'; it must be a whole number of at least 1. (USAGE)"],
    [["worker", "x", "--durability", "some"], "--durability is 'some'; it must be one of dev, single,"],
    [["worker", "x", "--max-bytes", "1GiB"], "--max-bytes is '1GiB'; it must be a size such as 500MB or 1GB. (USAGE)"],
    [["worker", "x", "--max-bytes", "0"], "--max-bytes is '0'; it must be a size such as 500MB or 1GB. (USAGE)"],
    [["dev", "--port", "70000"], "--port is '70000'; it must be a whole number from 0 to 65535. (USAGE)"],
    [["actor", "retire", "*"], 'The actor name "*" is not valid;'],
  ])("%j", async (args, sentence) => {
    const { code, stdout, stderr } = await inProcess(args, { cwd, env });
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    const lines = stderr.trimEnd().split("\n");
    expect(lines.at(-1)).toMatch(/^godwit: .*\([A-Z_]+\)$/);
    expect(lines.at(-1)).toContain(sentence);
    // A group without a command shows what there is.
    expect(lines.length === 1 || stderr.startsWith("Usage: ")).toBe(true);
  });

  test("with --json it is JSON", async () => {
    const { code, stderr } = await spawned("status", "--json", "--scan", "5");
    expect(code).toBe(2);
    expect(JSON.parse(stderr)).toEqual({
      error: { code: "USAGE", message: "Unknown option '--scan'; see 'godwit status --help'." },
    });
  });
});

describe("no server to work with is exit code 1 and one sentence", () => {
  const nothing = "No NATS server could be reached at nats://127.0.0.1:1";

  test.each([
    [["status"]],
    [["doctor"]],
    [["explain", "x"]],
    [["tell", "a", "{}"]],
    [["ask", "a", "{}"]],
    [["publish", "a", "{}"]],
    [["dead", "list"]],
    [["actor", "retire", "a"]],
  ])("%j where nothing listens", async (args) => {
    const { code, stdout, stderr } = await run(...args, "--servers", "nats://127.0.0.1:1");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^godwit: ${nothing}.*\\(NO_SERVER\\)\n$`));
  });

  test("NATS_URL stands in for --servers, --json makes the error JSON, and GODWIT_DEBUG adds the stack", async () => {
    const env = { NATS_URL: "nats://127.0.0.1:1" };
    const plain = await godwit(["status", "--json"], { cwd, env });
    expect(JSON.parse(plain.stderr)).toMatchObject({ error: { code: "NO_SERVER" } });
    const debug = await godwit(["status"], { cwd, env: { ...env, GODWIT_DEBUG: "1" } });
    expect(debug.stderr).toContain(nothing);
    expect(debug.stderr).toMatch(/\n {4}at /);
  });

  test("variables that are empty or blank count as unset", async () => {
    const server = await EmbeddedServer.start({ storeDir: join(cwd, ".godwit") });
    try {
      const names = ["NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_TOKEN", "GODWIT_DEBUG", "COLUMNS"];
      for (const blank of ["", "  "]) {
        const env = Object.fromEntries(names.map((name) => [name, blank]));
        const { code, stdout } = await inProcess(["tell", "a", "{}", "--namespace", "blank"], { cwd, env });
        expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("blank_TASKS") });
        const failed = await inProcess(["status", "--namespace", "none"], { cwd, env });
        expect(failed.stderr).toMatch(/^godwit: There is nothing of Godwit in .*\(NOT_FOUND\)\n$/);
        expect(resolveSystemOptions({}, env).servers).toEqual(["nats://127.0.0.1:4222"]);
      }
    } finally {
      await server.stop();
    }
  });

  describe("a server below the floor", () => {
    let old: Server;

    beforeAll(async () => {
      // As much of a server as a client sees before it is told the version.
      old = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.write(
          'INFO {"server_id":"OLD","server_name":"old","version":"2.9.0","proto":1,"headers":true,"max_payload":1048576,"jetstream":true}\r\n',
        );
        socket.on("data", (data) => {
          for (const line of data.toString().split("\r\n")) if (line === "PING") socket.write("PONG\r\n");
        });
      });
      await new Promise<void>((resolve) => old.listen(0, "127.0.0.1", resolve));
    });

    afterAll(() => new Promise((resolve) => old.close(resolve)));

    test("is refused by its version", async () => {
      const { port } = old.address() as AddressInfo;
      const { code, stderr } = await run("status", "--servers", `nats://127.0.0.1:${port}`);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^godwit: The NATS server at .* is version 2\.9\.0 and Godwit needs 2\.14\.0.*\(UNSUPPORTED_SERVER\)\n$/,
      );
    });
  });
});
