/** `npm start`: the built program as a child process: what it prints, how it ends, and that nothing stays behind. */
import { spawn, spawnSync, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Readable } from "node:stream";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LogReport } from "../../demo/report.ts";
import { straightCount } from "../support/demo/straight-count.ts";
import { until } from "../support/embedded/until.ts";

const root = join(import.meta.dirname, "../..");
const sample = join(root, "demo/sample-access-log.txt");
// A real access log to count, where there is one: GODWIT_TEST_LOG names it, and without any its test is skipped.
const realLog = resolve(root, process.env["GODWIT_TEST_LOG"] || "../shared/data/access.log");
const actorNames = [
  "accesslog.count",
  "datasets.analyze",
  "notifications.send",
  "partners.call",
  "payments.charge",
  "reports.build",
];
const program = [process.execPath, join(root, "dist/demo/start.js")];

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** A started program, what it has said so far, and its end. */
interface Started {
  child: Child;
  stdout: string;
  stderr: string;
  ended: Promise<{ code: number | null; signal: string | null }>;
}

let folder: string;
let temporary: string;
const started: Started[] = [];

beforeAll(() => {
  if (!existsSync(join(root, "dist/demo/start.js"))) throw new Error("dist/ is not there: npm run build makes it");
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "godwit-start-"));
  temporary = await mkdtemp(join(tmpdir(), "godwit-start-tmp-"));
});

afterEach(async () => {
  for (const { child } of started) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  await Promise.all(started.splice(0).map(({ ended }) => ended));
  await rm(folder, { recursive: true });
  await rm(temporary, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
});

/** `TMPDIR` is a folder of its own, so that a store that stays behind is seen. */
function start(args: string[], command = program, detached = false): Started {
  const [file, ...rest] = [...command, ...args] as [string, ...string[]];
  const { npm_lifecycle_event: _, ...env } = process.env;
  const child = spawn(file, rest, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...env, TMPDIR: temporary },
    detached,
  });
  // "close" comes once nobody holds the outputs open: neither the program nor what it started.
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal }));
  const run: Started = { child, stdout: "", stderr: "", ended };
  child.stdout.on("data", (text: Buffer) => (run.stdout += text.toString()));
  child.stderr.on("data", (text: Buffer) => (run.stderr += text.toString()));
  started.push(run);
  return run;
}

const reportOf = (text: string): LogReport => JSON.parse(text) as LogReport;

async function expectNothingLeft(run: Started): Promise<void> {
  const port = Number(/127\.0\.0\.1:(\d+)/.exec(run.stderr)?.[1]);
  if (!Number.isNaN(port)) {
    await until("nobody listens any more", async () => {
      const socket = connect(port, "127.0.0.1");
      return new Promise<boolean>((resolve) => {
        socket.on("error", () => resolve(true)).on("connect", () => resolve(socket.destroy() && false));
      });
    });
  }
  // The cache of the TypeScript loader is there to stay.
  expect((await readdir(temporary)).filter((name) => !name.startsWith("tsx-"))).toEqual([]);
}

async function says(run: Started, text: string): Promise<void> {
  await until(
    `it says "${text}"`,
    () => {
      if (run.child.exitCode !== null) throw new Error(`it ended, having said: ${run.stdout}${run.stderr}`);
      return run.stderr.includes(text);
    },
    45_000,
  );
}

/** Long enough to be in the middle of it. */
async function longLog(): Promise<string> {
  const path = join(folder, "long.log");
  const text = await readFile(sample);
  await writeFile(path, Buffer.concat(Array.from({ length: 400 }, () => text)));
  return path;
}

describe("the report", () => {
  test("of the sample is exact, alone on stdout, and the program ends with 0", async () => {
    const run = start(["--once", "--json"]);
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(run.stdout.trimEnd().split("\n")).toHaveLength(1);
    const report = reportOf(run.stdout);
    expect(report).toEqual(straightCount(await readFile(sample)));
    expect(report).toMatchObject({ lines: 1_963, rejected: 37, bytes: 24_461_580, hosts: 137 });
    expect(Object.keys(report)).toEqual(["lines", "rejected", "bytes", "hosts", "statuses", "top"]);
    await expectNothingLeft(run);
  });

  test.skipIf(!existsSync(realLog))("of a real log is exact", async () => {
    const run = start([realLog, "--once", "--json"]);
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(reportOf(run.stdout)).toEqual(straightCount(await readFile(realLog)));
  });

  test("is for people without --json", async () => {
    const run = start(["--once"]);
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(run.stdout).toMatch(
      /^lines     1,963\nrejected  37\nbytes     24,461,580\nhosts     137\nstatuses  200: 1,372 /,
    );
    expect(run.stdout.trimEnd().split("\n")).toHaveLength(16);
    expect(run.stderr).toContain("counted 0.3 MB of 0.3 MB (100 %)");
  });

  test("of an odd log is exact: empty lines, CRLF, no last line end, bad UTF-8, a line longer than a message", async () => {
    const lines = [
      `2001:db8::1 - - [02/Mar/2026:06:12:31 +0000] "GET /long HTTP/1.1" 200 5 "-" "${'\\"x'.repeat(700_000)}"`,
      "",
      `192.0.2.1 - - [02/Mar/2026:06:12:31 +0000] "GET /\u00e9\u00ff HTTP/1.1" 200 - "-" "-"\r`,
      "x".repeat(1_500_000),
      `192.0.2.1 - - [02/Mar/2026:06:12:31 +0000] "-" 408 7 "-" "-"`,
    ];
    const log = Buffer.from(lines.join("\n"), "latin1");
    const path = join(folder, "odd.log");
    await writeFile(path, log);
    const run = start([path, "--once", "--json"]);
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(reportOf(run.stdout)).toEqual(straightCount(log));
    const top = [
      { path: "/long", hits: 1 },
      { path: "/\ufffd\ufffd", hits: 1 },
    ];
    expect(reportOf(run.stdout)).toEqual({
      lines: 3,
      rejected: 2,
      bytes: 12,
      hosts: 2,
      statuses: { 200: 2, 408: 1 },
      top,
    });
  });

  test("of standard input is exact", async () => {
    const [command = "", ...args] = program;
    const input = await readFile(sample);
    const { status, stdout } = spawnSync(command, [...args, "-", "--once", "--json"], { input, encoding: "utf8" });
    expect(status).toBe(0);
    expect(reportOf(stdout)).toEqual(straightCount(input));
  });

  test("of an empty file is all zeros", async () => {
    const path = join(folder, "empty.log");
    await writeFile(path, "");
    const run = start([path, "--once", "--json"]);
    expect(await run.ended).toEqual({ code: 0, signal: null });
    expect(reportOf(run.stdout)).toEqual({ lines: 0, rejected: 0, bytes: 0, hosts: 0, statuses: {}, top: [] });
  });
});

describe("what cannot be is refused in one sentence, before anything is started", () => {
  test.each([
    ["an option that is not there", ["--wat"], 2, /^Unknown option '--wat'; usage: npm start -- /],
    ["two files", ["a", "b"], 2, /^One FILE at a time/],
    ["a missing file", ["/nowhere/a.log"], 1, /^\/nowhere\/a\.log cannot be read: there is no such file\.$/],
    ["a directory", [root], 1, /cannot be read: it is a directory\.$/],
    [
      "a device",
      ["/dev/null"],
      1,
      /cannot be read: it is no file; to count what comes through a pipe, write - for FILE\.$/,
    ],
  ])("%s", async (_what, args, code, sentence) => {
    const run = start([...args, "--once"]);
    expect(await run.ended).toEqual({ code, signal: null });
    expect(run.stderr.trimEnd()).toMatch(sentence);
    expect(run.stderr.trimEnd().split("\n")).toHaveLength(1);
    expect(run.stdout).toBe("");
    await expectNothingLeft(run);
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
    const path = join(folder, "secret.log");
    await writeFile(path, "");
    await chmod(path, 0);
    const run = start([path, "--once"]);
    expect(await run.ended).toEqual({ code: 1, signal: null });
    expect(run.stderr).toContain("permission was denied");
  });
});

describe("Ctrl-C", () => {
  test.each([
    ["", [], 0],
    [" with --once, and tells that there is no report", ["--once"], 130],
  ])("ends a count in the middle%s", async (_what, args, code) => {
    const run = start([await longLog(), ...args]);
    await says(run, "counted");
    run.child.kill("SIGINT");
    expect(await run.ended).toEqual({ code, signal: null });
    expect(run.stdout).toBe("");
    expect(run.stderr).not.toMatch(/Error|\n +at /);
    await expectNothingLeft(run);
  });

  test("ends it after the report, with the other actors at work", async () => {
    const run = start(["--json"]);
    await until("all actors had their message", () =>
      ["notifications.send", "payments.charge", "datasets.analyze", "partners.call", "reports.build"].every((actor) =>
        run.stderr.includes(`${actor} completed`),
      ),
    );
    const actors = /actors: (.*)/.exec(run.stderr)?.[1]?.split(", ").toSorted();
    expect(actors).toEqual(actorNames);
    await says(run, "Ctrl-C ends it");
    expect(reportOf(run.stdout).lines).toBe(1_963);
    run.child.kill("SIGINT");
    expect(await run.ended).toEqual({ code: 0, signal: null });
    await expectNothingLeft(run);
  });

  test("reaches it through npm, whether npm alone is told or the whole group, as a terminal does", async () => {
    const log = await longLog();
    for (const group of [false, true]) {
      const run = start([log], ["npm", "start", "-s", "--"], group);
      await says(run, "counting");
      process.kill(group ? -Number(run.child.pid) : Number(run.child.pid), "SIGINT");
      expect(await run.ended).toEqual({ code: 0, signal: null });
      await expectNothingLeft(run);
    }
  });
});

test("the sample is what its maker makes", async () => {
  const made = spawnSync(process.execPath, [join(root, "dist/demo/make-sample.js")]);
  expect(made.stdout.equals(await readFile(sample))).toBe(true);
});
