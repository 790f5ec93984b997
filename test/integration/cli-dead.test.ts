/** `godwit dead`: list, show, requeue and purge. */
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { Actor } from "../../src/actor/actor.ts";
import { Terminal } from "../../src/actor/signals.ts";
import type { DeadSummary } from "../../src/lifecycle/redrive.ts";
import { benchOf } from "../support/cli/look.ts";
import { until } from "../support/embedded/until.ts";

const bench = benchOf("dead");

/** Dies of everything, in the words that it is sent. */
class Dying extends Actor<string> {
  static override readonly config = { name: "dying" };
  override receive(words: string): void {
    throw new Terminal(words);
  }
}

class DyingToo extends Actor<string> {
  static override readonly config = { name: "dying.too", retry: { attempts: 1 } };
  override receive(words: string): void {
    throw new Error(words);
  }
}

/** Makes dead letters `d1` to `d<count>` of dying, and one of dying.too, with nobody listening afterwards. */
async function letters(count: number, words = "no such thing"): Promise<void> {
  const worker = await bench.system.work([Dying, DyingToo]);
  for (let n = 1; n <= count; n++) {
    const dead = once(worker, "dead");
    await bench.system.tell("dying", words, { id: `d${n}` });
    await dead;
  }
  const dead = once(worker, "dead");
  await bench.system.tell("dying.too", words, { id: "other", lane: "high" });
  await dead;
  await worker.stop();
}

async function list(...args: string[]): Promise<{ total: number; dead: DeadSummary[] }> {
  return (await bench.json("dead", "list", ...args)) as { total: number; dead: DeadSummary[] };
}

async function sequences(...args: string[]): Promise<number[]> {
  return (await list(...args)).dead.map(({ sequence }) => sequence);
}

describe("list", () => {
  test("says that there are none", async () => {
    expect(await bench.run(["dead", "list"])).toEqual({
      code: 0,
      stdout: "",
      stderr: "godwit: there are no dead letters that fit.\n",
    });
    expect(await list()).toEqual({ total: 0, dead: [] });
  });

  test("shows the newest, narrowed by actor, reason and id", async () => {
    await letters(3);
    const all = await list();
    expect(all.total).toBe(4);
    expect(all.dead[0]).toMatchObject({
      sequence: 1,
      id: "d1",
      actor: "dying",
      reason: "terminal",
      attempts: 1,
      deliveries: 1,
      error: { name: "Terminal", message: "no such thing" },
      origin: { stream: `${bench.namespace}_TASKS`, sequence: 1 },
    });
    expect(await sequences("--actor", "dying.too")).toEqual([4]);
    expect(await sequences("--reason", "terminal")).toEqual([1, 2, 3]);
    expect(await sequences("--id", "d2")).toEqual([2]);
    expect(await list("--limit", "2")).toMatchObject({ total: 4, dead: [{ sequence: 3 }, { sequence: 4 }] });
    const { stdout, stderr } = await bench.run(["dead", "list", "--limit", "1"]);
    expect(stdout).toMatch(
      /^SEQ +ACTOR +ID +REASON +RUNS +AGE +ERROR\n +4 +dying\.too +other +exhausted +1 +[\d.]+ m?s +no such thing\n$/,
    );
    expect(stderr).toBe("godwit: 1 of 4 are shown, the newest; --limit shows more.\n");
  });

  test("fits 80 columns, and carries nothing that a terminal would act on", async () => {
    await letters(1, `bad \u001b[31mred\u001b[0m\nnews ${"and more ".repeat(20)}`);
    const { stdout } = await bench.run(["dead", "list"], { COLUMNS: "80" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).not.toContain("\u001b");
    expect(stdout).toContain("bad ·[31mred·[0m news");
  });
});

describe("show", () => {
  test("shows why, headers, body and how to go on, in 80 columns", async () => {
    await letters(1, "a very long reason ".repeat(20));
    const { code, stdout } = await bench.run(["dead", "show", "1"], { COLUMNS: "80" });
    expect(code).toBe(0);
    expect(stdout.split("\n").filter((line) => line.length > 80 && !line.includes('"'))).toEqual([]);
    for (const part of [
      "reason       terminal",
      `was          ${bench.namespace}_TASKS:1`,
      "Errors\n",
      "Stack\n  Terminal: a very long reason",
      "\n      at Dying.receive",
      "Headers\n",
      "Godwit-Id     d1",
    ]) {
      expect(stdout).toContain(part);
    }
    expect(stdout).toMatch(/Body, \d+ B\n {2}"a very long reason/);
    expect(await bench.json("dead", "show", "1")).toMatchObject({
      sequence: 1,
      id: "d1",
      reason: "terminal",
      headers: { "Godwit-Id": ["d1"] },
      body: { value: "a very long reason ".repeat(20) },
      history: [{ attempt: 1, name: "Terminal" }],
    });
  });

  test("shows a body that cannot be decoded as bytes", async () => {
    const worker = await bench.system.work([Dying]);
    const dead = once(worker, "dead");
    bench.parts.connection.nc.publish(`${bench.namespace}.task.normal.dying`, new Uint8Array([0xff, 0x00]));
    await dead;
    expect(await bench.json("dead", "show", "1")).toMatchObject({ reason: "undecodable", body: { base64: "/wA=" } });
    expect((await bench.run(["dead", "show", "1"])).stdout).toContain("cannot be decoded; base64: /wA=");
  });

  test("fails for one that is not there", async () => {
    expect(await bench.run(["dead", "show", "9"])).toEqual({
      code: 1,
      stdout: "",
      stderr: `godwit: There is no dead letter 9 in ${bench.namespace}_DEAD; 'godwit dead list' shows those there are. (NOT_FOUND)\n`,
    });
  });
});

describe("requeue", () => {
  test("sends those named again, under their ids and in their lanes; what is not there is a failure", async () => {
    await letters(2);
    const { code, stdout, stderr } = await bench.run(["dead", "requeue", "2", "3", "9"]);
    expect(code).toBe(1);
    expect(stdout.trimEnd().split("\n").toSorted()).toEqual([
      expect.stringMatching(new RegExp(`^2 {2}d2 {2}${bench.namespace}_TASKS:\\d$`)),
      expect.stringMatching(new RegExp(`^3 {2}other {2}${bench.namespace}_TASKS:\\d$`)),
    ]);
    expect(stderr).toMatch(
      /dead letter 9: There is no dead letter 9 .*\(NOT_FOUND\)\ngodwit: 2 dead letters requeued, 1 failed\.\n$/,
    );
    expect(await sequences()).toEqual([1]);
    expect(await bench.parts.reader.subjects(bench.parts.names.tasks, ">")).toEqual({
      [`${bench.namespace}.task.normal.dying`]: 1,
      [`${bench.namespace}.task.high.dying.too`]: 1,
    });
  });

  test("--all takes what fits and is there at the start, and ends although all of it dies again", async () => {
    await letters(40);
    const worker = await bench.system.work([Dying, DyingToo]);
    let deaths = 0;
    worker.on("dead", () => (deaths += 1));
    const { requeued, failures } = (await bench.json("dead", "requeue", "--all", "--actor", "dying")) as {
      requeued: { sequence: number; id: string; task: string }[];
      failures: unknown[];
    };
    expect(failures).toEqual([]);
    expect(requeued.map(({ sequence }) => sequence).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    await until("all have died again", () => deaths === 40);
    const { total, dead } = await list("--limit", "100");
    expect(total).toBe(41);
    expect(dead.filter(({ id }) => id === "d7")).toHaveLength(1);
  });
});

describe("purge", () => {
  test("deletes those named", async () => {
    await letters(2);
    const { code, stderr } = await bench.run(["dead", "purge", "1", "9"]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "godwit: there is no dead letter 9.\ngodwit: 1 dead letter deleted.\n",
    });
    expect(await sequences()).toEqual([2, 3]);
  });

  test("--all asks for --yes, saying how many it would delete", async () => {
    await letters(3);
    const asked = await bench.run(["dead", "purge", "--all", "--actor", "dying"]);
    expect(asked).toEqual({
      code: 2,
      stdout: "",
      stderr: "godwit: dead purge --all would delete 3 dead letters for good; repeat with --yes to do it. (USAGE)\n",
    });
    expect(await sequences()).toEqual([1, 2, 3, 4]);
    expect(await bench.json("dead", "purge", "--all", "--actor", "dying", "--yes")).toEqual({
      purged: expect.arrayContaining([1, 2, 3]),
      missing: [],
    });
    expect(await sequences()).toEqual([4]);
  });
});
