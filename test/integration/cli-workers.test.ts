/** `godwit workers`: who works where, as a table and for programs. */
import { hostname } from "node:os";
import { expect, test } from "vitest";
import { actorOf, gate } from "../support/actors.ts";
import { benchOf } from "../support/cli/look.ts";
import { freeze } from "../support/freeze.ts";
import { patient } from "../support/stage.ts";
import { startWorkerProcess } from "../support/start-worker.ts";

const bench = benchOf("workers");

interface Listed {
  workers: {
    id: string;
    pid: number;
    group?: string;
    health: string;
    figures?: { inHand: number; running: number; rssBytes: number; at: string };
  }[];
}

test("says that there are none", async () => {
  const { code, stdout, stderr } = await bench.run(["workers"]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
  expect(stderr).toBe("godwit: no worker runs in this namespace.\n");
});

test("lists each with its figures, a silent one with its last, in 80 columns", async () => {
  const held = gate();
  const Busy = actorOf({ name: "a.long-name.of-an-actor", concurrency: 3 }, () => held.opened);
  const busy = await bench.system.work([Busy]);
  for (let n = 0; n < 3; n++) await bench.system.tell("a.long-name.of-an-actor", n);
  await expect.poll(() => busy.snapshot().running, patient).toBe(3);
  const child = await startWorkerProcess(bench.server.url, bench.namespace, { GODWIT_GROUP: "super-1" });
  try {
    await expect.poll(async () => ((await bench.json("workers")) as Listed).workers.length, patient).toBe(2);
    await freeze(child.pid);
    const { workers } = (await bench.json("workers")) as Listed;
    expect(workers).toMatchObject([
      { id: busy.identity.id, pid: process.pid, health: "running", reasons: [], figures: { inHand: 3, running: 3 } },
      { pid: child.pid, group: "super-1", state: "silent", health: "silent", figures: { inHand: 0, running: 0 } },
    ]);
    expect(workers[0]).not.toHaveProperty("group");

    const { code, stdout } = await bench.run(["workers"], { COLUMNS: "80" });
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const host = hostname().slice(0, 7);
    expect(lines[0]).toMatch(/^HOST +PID +HEALTH +HAND +MEMORY +LAG +AGE +ACTORS +ID$/);
    expect(lines[1]).toMatch(
      new RegExp(`^${host}\\S* +${process.pid} +running +3 +[\\d.]+ MB +[\\d.]+ms +\\S+ +\\S+ +\\S+$`),
    );
    expect(lines[2]).toMatch(
      new RegExp(`^${host}\\S* +${child.pid} +silent +0 +[\\d.]+ MB +[\\d.]+ms +\\S+ +shared +\\S+$`),
    );
    expect(stdout.replace(/\s+/g, " ")).toMatch(
      /WORKER REMARK \S+ \d+ it does not answer: stopped, blocked, cut off, or just killed; its figures are [\d.]+ m?s old/,
    );
  } finally {
    process.kill(child.pid, "SIGCONT");
    held.open();
    await child.stop();
  }
});
