/** A group whose processes leak: each is replaced before it has grown too large, and no message notices. */
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

const leak = fileURLToPath(new URL("../../dist/test/support/fleet/leak.js", import.meta.url));
const messages = sized({ full: 5_000, short: 1_000 });

/** The most memory that a process has ever had, MB; 0 where it has ended. Linux alone tells. */
async function peakMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1_000;
}

test.skipIf(process.platform !== "linux")(
  `an actor that leaks 1 MB a message runs ${messages} of them in processes of 200 MB: all complete, none is run twice, none fails`,
  { timeout: 240_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "godwit-leak-"));
    const server = await EmbeddedServer.start();
    const system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    const journal = join(folder, "journal");
    const group = new Running(
      ["worker", leak, "--processes", "2", "--max-memory", "200MB", "--servers", server.url, "--log", "text"],
      { cwd: folder, env: { LEAK_JOURNAL: journal } },
    );
    const pids = (): number[] =>
      [...group.stderr.matchAll(/ready: leak on .*\(process (\d+)\)/g)].map(([, pid]) => Number(pid));
    const peaks = new Map<number, number>();
    const look = async (): Promise<void> => {
      for (const pid of pids().slice(-6)) peaks.set(pid, Math.max(peaks.get(pid) ?? 0, await peakMb(pid)));
    };
    const watch = setInterval(() => void look(), 25);
    try {
      await group.says("ready: 2 processes");
      const sent = await system.tellMany(
        "leak",
        Array.from({ length: messages }, (_, n) => n),
      );
      expect(sent.accepted).toBe(messages);
      const { names, reader } = system.parts;
      await until("all have left", async () => (await reader.state(names.tasks))?.messages === 0, 200_000);
      const runs = (await readFile(journal, "utf8")).trim().split("\n");
      const parsed = runs.map((line) => JSON.parse(line) as { id: string; attempt: number });
      expect(new Set(parsed.map(({ id }) => id)).size).toBe(messages);
      expect(runs).toHaveLength(messages);
      expect(parsed.every(({ attempt }) => attempt === 1)).toBe(true);
      expect((await reader.state(names.dead))?.messages).toBe(0);
      // Of 200 MB, some 120 are left for what leaks: 5,000 cannot do with fewer than twenty, and others in proportion.
      expect(peaks.size).toBeGreaterThan(messages / 250);
      expect(Math.max(...peaks.values())).toBeLessThan(300);
      group.signal("SIGTERM");
      expect((await group.ended).code).toBe(0);
    } finally {
      clearInterval(watch);
      group.signal("SIGKILL");
      await group.ended;
      await until("no process is left", async () => (await Promise.all(pids().map(peakMb))).every((mb) => mb === 0));
      await system.close();
      await server.stop();
      await rm(folder, { recursive: true, force: true });
    }
    console.log(
      `${peaks.size} processes, at most ${Math.round(Math.max(...peaks.values()))} MB; ` +
        `${group.stderr.match(/drains at once/g)?.length ?? 0} drained before their replacement was ready`,
    );
  },
);
