/** `godwit top` and `godwit dashboard` as processes: frames for programs, a terminal's screen, and an end at once. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Frame } from "../../src/admin/api.ts";
import { Terminal } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { benchOf } from "../support/cli/look.ts";
import { Running } from "../support/cli/run.ts";
import { until } from "../support/embedded/until.ts";

const bench = benchOf("top");
const main = fileURLToPath(new URL("../../dist/src/cli/main.js", import.meta.url));

function start(...args: string[]): Running {
  return new Running([...args, "--namespace", bench.namespace], {
    cwd: bench.cwd,
    env: { NATS_URL: bench.server.url },
  });
}

async function work(): Promise<void> {
  const worker = await bench.system.work([
    actorOf({ name: "mail" }, (n) => {
      if (n === 3) throw new Terminal("three");
    }),
    actorOf({ name: "a.quiet.one" }, () => undefined),
  ]);
  let ended = 0;
  worker.on("completed", () => (ended += 1));
  for (let n = 1; n <= 20; n++) await bench.system.tell("mail", n);
  await until("all but one are done", () => ended === 19);
}

describe("top", () => {
  test("prints one frame where there is no terminal, and one as JSON", async () => {
    await work();
    const { code, stdout, stderr } = await bench.run(["top"], { COLUMNS: "80" });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(new RegExp(`^${bench.namespace} {2}.*Z {2}1 worker$`));
    expect(lines[3]).toMatch(/^ACTOR +RATE +ERR +DEPTH +AGE +FLY +P50 +P95 +RUN +DEAD$/);
    expect(lines[4]).toMatch(/^mail +[\d.]+ +5% +0 +0 +[\d.]+ms +[\d.]+ms +0\/10 +1$/);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const frame = (await bench.json("top")) as Frame;
    expect(frame.actors.map(({ actor }) => actor)).toEqual(["a.quiet.one", "mail"]);
    expect(frame.problems).toEqual([]);
  });

  test("--frames prints so many, one for each line", async () => {
    await work();
    const { code, stdout } = await bench.run(["top", "--json", "--frames", "2"]);
    expect(code).toBe(0);
    const frames = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Frame);
    expect(frames).toHaveLength(2);
    expect(Date.parse(frames[1]?.at ?? "")).toBeGreaterThan(Date.parse(frames[0]?.at ?? ""));
  });

  test("says what it can sort by", async () => {
    expect((await bench.run(["top", "--sort", "colour"])).stderr).toMatch(/--sort is 'colour'; .* \(USAGE\)\n$/);
  });

  // Gives the command a terminal; of util-linux, which every Linux has.
  test.skipIf(!existsSync("/usr/bin/script"))(
    "redraws in place on a terminal, sorts by a key, and gives the terminal back",
    async () => {
      await work();
      const command = `stty cols 80 rows 24; exec '${process.execPath}' '${main}' top --namespace ${bench.namespace}`;
      const child = spawn("/usr/bin/script", ["-qec", command, "/dev/null"], {
        cwd: bench.cwd,
        env: { PATH: process.env["PATH"], NATS_URL: bench.server.url, TERM: "xterm" },
      });
      let screen = "";
      child.stdout.on("data", (chunk: Buffer) => (screen += chunk.toString()));
      const ended = once(child, "exit");
      const home = "\u001b[H";
      const draws = (): string[] => screen.split(home).slice(1);
      const actors = (draw = ""): (string | undefined)[] =>
        [...draw.matchAll(/^(mail|a\.quiet\.one) /gm)].map(([, name]) => name);
      try {
        await until("it has drawn rates", () => draws().some((draw) => /^mail +[1-9.]/m.test(draw)), 20_000);
        expect(screen.startsWith("\u001b[?1049h\u001b[?25l")).toBe(true);
        expect(actors(draws().at(-1))).toEqual(["mail", "a.quiet.one"]);
        child.stdin.write("n");
        await until("it is sorted by name", () => actors(draws().at(-1)).join() === "a.quiet.one,mail");
        child.stdin.write("q");
        const [code] = (await ended) as [number];
        expect(code).toBe(0);
        expect(screen.trimEnd().endsWith("\u001b[?25h\u001b[?1049l")).toBe(true);
      } finally {
        child.kill("SIGKILL");
        await ended;
      }
    },
  );
});

describe("dashboard", () => {
  test("prints its address, and an interrupt ends it with streams open", async () => {
    const dashboard = start("dashboard", "--port", "0");
    try {
      await dashboard.says("the dashboard of the namespace");
      await until("its address is printed", () => dashboard.stdout.endsWith("\n"));
      const url = dashboard.stdout.trim();
      expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      const stream = await fetch(`${url}/api/stream`);
      const text = stream.text();
      expect((await fetch(`${url}/api/session`)).status).toBe(200);
      dashboard.interrupt();
      expect((await dashboard.ended).code).toBe(0);
      expect(await text).toContain("retry: 2000");
      await expect(fetch(url)).rejects.toThrow("fetch failed");
    } finally {
      dashboard.signal("SIGKILL");
      await dashboard.ended;
    }
  });

  test("says in a sentence that its port is taken, and that it needs a token elsewhere", async () => {
    const port = new URL(bench.server.url).port;
    const taken = await bench.run(["dashboard", "--port", port]);
    expect(taken).toMatchObject({ code: 1, stdout: "" });
    expect(taken.stderr).toMatch(/The dashboard cannot be served on 127\.0\.0\.1:\d+, .*\(PORT_UNAVAILABLE\)\n$/);
    const exposed = await bench.run(["dashboard", "--host", "0.0.0.0"]);
    expect(exposed.stderr).toMatch(/so it needs a token; .* \(INVALID_CONFIG\)\n$/);
  });

  test("takes the token from the environment", async () => {
    const dashboard = new Running(["dashboard", "--port", "0", "--namespace", bench.namespace], {
      cwd: bench.cwd,
      env: { NATS_URL: bench.server.url, GODWIT_DASHBOARD_TOKEN: "t0ken" },
    });
    try {
      await dashboard.says(/http:\S+/);
      const url = dashboard.stdout.trim();
      expect((await fetch(`${url}/api/session`)).status).toBe(401);
      expect((await fetch(`${url}/api/session`, { headers: { Authorization: "Bearer t0ken" } })).status).toBe(200);
    } finally {
      dashboard.signal("SIGTERM");
      expect((await dashboard.ended).code).toBe(0);
    }
  });
});
