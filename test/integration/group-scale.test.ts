/** A group that scales: a backlog is worked off in its target time by more processes, which go again when it is done. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem } from "../../src/system/actor-system.ts";
import { Running } from "../support/cli/run.ts";
import { until } from "../support/embedded/until.ts";
import { sized } from "../support/size.ts";

const wait = fileURLToPath(new URL("../../dist/test/support/fleet/wait.js", import.meta.url));
const messages = sized({ full: 50_000, short: 30_000 });
const drainTargetMs = sized({ full: 40_000, short: 25_000 });

test(`2..8 processes work off ${messages} messages of 20 ms in their target time, without going back and forth, and are two again`, async () => {
  const folder = await mkdtemp(join(tmpdir(), "godwit-scale-"));
  const server = await EmbeddedServer.start();
  const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
  const journal = join(folder, "journal");
  const group = new Running(
    [
      "worker",
      wait,
      "--processes",
      "2..8",
      "--drain-target",
      `${drainTargetMs / 1_000}s`,
      "--servers",
      server.url,
      "--log",
      "text",
      "--metrics-port",
      "0",
    ],
    { cwd: folder, env: { WAIT_JOURNAL: journal } },
  );
  const sizes = (): number[] =>
    [...group.stderr.matchAll(/info\s+(\d) processes instead of \d: /g)].map(([, size]) => Number(size));
  try {
    await group.says("ready: 2 processes");
    const { names, reader } = system.parts;
    const beganMs = performance.now();
    const sent = await system.tellMany(
      "wait",
      Array.from({ length: messages }, (_, n) => n),
    );
    expect(sent.accepted).toBe(messages);
    await until("all have left", async () => (await reader.state(names.tasks))?.messages === 0, 120_000);
    const tookMs = performance.now() - beganMs;
    const grown = sizes();
    // Two would have taken two and a half times as long. It takes two looks and a start until there are more.
    expect(Math.max(...grown)).toBeGreaterThanOrEqual(4);
    expect(tookMs).toBeLessThan(1.5 * drainTargetMs);
    await group.says(/ 2 processes instead of \d: at most 2 are needed for /, 1, 120_000);
    console.log(`worked off in ${Math.round(tookMs / 1_000)} s; processes: 2, ${sizes().join(", ")}`);
    const all = [2, ...sizes()];
    expect(Math.max(...all)).toBeLessThanOrEqual(8);
    const turns = all.slice(1).map((size, at) => Math.sign(size - (all[at] as number)));
    expect(turns.join()).toBe(turns.toSorted((one, other) => other - one).join());
    group.signal("SIGTERM");
    expect((await group.ended).code).toBe(0);
    const ids = (await readFile(journal, "utf8")).trim().split("\n");
    expect([ids.length, new Set(ids).size]).toEqual([messages, messages]);
  } finally {
    console.log(
      group.stderr
        .split("\n")
        .filter((line) => line.includes("instead of"))
        .join("\n"),
    );
    group.signal("SIGKILL");
    await group.ended;
    await system.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}, 300_000);
