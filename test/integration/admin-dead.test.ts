/** Dead letters for many: pages, groups, requeue and delete, over a real stream. */
import { describe, expect, test } from "vitest";
import { bulkLimit } from "../../src/admin/dead/many.ts";
import { Inspector } from "../../src/admin/inspector.ts";
import type { DeadReason } from "../../src/message/failure.ts";
import { actorOf } from "../support/actors.ts";
import { patient, useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();

interface Planted {
  actor?: string;
  reason?: DeadReason;
  message?: string;
  body?: string;
}

/** Writes letters as a worker would, thousands in a moment. @returns the last sequence. */
async function plant(client: PlainClient, count: number, letter: (n: number) => Planted = () => ({})): Promise<number> {
  const { names } = stage;
  let last = 0;
  for (let from = 1; from <= count; from += 500) {
    const batch = Array.from({ length: Math.min(500, count - from + 1) }, async (_, index) => {
      const n = from + index;
      const { actor = "mail", reason = "exhausted", message = `no such box ${n}`, body = `"${n}"` } = letter(n);
      const at = new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString();
      const info = {
        v: 1,
        id: `m${n}`,
        actor,
        reason,
        error: { name: "Error", message },
        origin: { stream: names.tasks, sequence: n, subject: names.taskSubject(actor), storedAt: at },
        diedAt: at,
        attempts: 5,
        deliveries: 6,
        stalls: 0,
        history: [{ at: Date.UTC(2026, 0, 1), attempt: 5, name: "Error", message }],
      };
      const headers = { "Godwit-Dead": JSON.stringify(info), "Godwit-Dead-Headers": `[["Godwit-Id",["m${n}"]]]` };
      return client.publish(names.deadSubject(actor, names.tasks, n), body, headers);
    });
    last = Math.max(last, ...(await Promise.all(batch)));
  }
  return last;
}

async function setUp(): Promise<{ inspector: Inspector; client: PlainClient }> {
  const system = await stage.connect();
  return { inspector: new Inspector(system), client: await stage.client() };
}

describe("pages", () => {
  test("come newest first, each letter once, past gaps, and of one actor", async () => {
    const { inspector, client } = await setUp();
    await plant(client, 1_200, (n) => ({ actor: n % 100 === 0 ? "rare" : "mail" }));
    const { names } = stage;
    // A gap as wide as many pages.
    for (let n = 301; n <= 900; n++) await client.jsm.streams.deleteMessage(names.dead, n, false);
    const all: number[] = [];
    let before: number | undefined;
    do {
      const page = await inspector.deadPage({}, { limit: 70, ...(before !== undefined && { before }) });
      expect(page.of).toBe(600);
      expect(page.letters.length).toBe(page.looked);
      all.push(...page.letters.map(({ sequence }) => sequence));
      before = page.next;
    } while (before !== undefined);
    const left = Array.from({ length: 1_200 }, (_, index) => 1_200 - index).filter((n) => n <= 300 || n > 900);
    expect(all).toEqual(left);
    const rare = await inspector.deadPage({ actor: "rare" });
    expect(rare).toMatchObject({ of: 6, looked: 6 });
    expect(rare.letters.map(({ sequence }) => sequence)).toEqual([1_200, 1_100, 1_000, 300, 200, 100]);
    expect(rare.next).toBeUndefined();
  });

  test("are narrowed by reason, group and text, and say when the look was cut", async () => {
    const { inspector, client } = await setUp();
    await plant(client, 10_050, (n) => {
      if (n === 7) return { message: "the Needle" };
      return n > 10_000 ? { reason: "terminal", message: `card ${n} declined` } : {};
    });
    const terminal = await inspector.deadPage({ reason: "terminal" }, { limit: 100 });
    expect(terminal.letters).toHaveLength(50);
    expect(terminal).toMatchObject({ looked: 10_000, of: 10_050, next: 51 });
    const group = terminal.letters[0]?.group ?? "";
    expect((await inspector.deadPage({ group }, { limit: 20 })).letters).toHaveLength(20);
    expect((await inspector.deadPage({ text: "M10050" })).letters).toMatchObject([{ id: "m10050" }]);
    // Its letter lies behind the first look: the page is empty, and says where to go on.
    const first = await inspector.deadPage({ text: "needle" });
    expect(first).toMatchObject({ letters: [], looked: 10_000, next: 51 });
    const second = await inspector.deadPage({ text: "needle" }, { before: first.next ?? 0 });
    expect(second).toMatchObject({ letters: [{ sequence: 7 }], looked: 50 });
    expect(second.next).toBeUndefined();
  });

  test("of large bodies end sooner, so that memory stays bounded", async () => {
    const { inspector, client } = await setUp();
    const body = `"${"x".repeat(900_000)}"`;
    for (let n = 0; n < 10; n++) await plantAt(client, n * 10, body);
    const { looked, of, next } = await inspector.deadPage({ text: "nothing like it" });
    expect(of).toBe(100);
    expect(looked).toBeLessThan(90);
    expect(next).toBe(100 - looked + 1);
  });
});

/** Ten at a time: more would not fit what one publisher may have under way. */
async function plantAt(client: PlainClient, from: number, body: string): Promise<void> {
  const { names } = stage;
  const info = (n: number): string =>
    JSON.stringify({
      v: 1,
      id: `big${n}`,
      actor: "mail",
      reason: "exhausted",
      error: { name: "Error", message: "too big" },
      origin: { stream: names.tasks, sequence: n, subject: names.taskSubject("mail"), storedAt: "" },
      diedAt: "",
      attempts: 1,
      deliveries: 1,
      stalls: 0,
      history: [],
    });
  await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      client.publish(names.deadSubject("mail", names.tasks, from + index), body, { "Godwit-Dead": info(from + index) }),
    ),
  );
}

describe("groups", () => {
  test("gather what is alike, the largest first, with first, last and newest", async () => {
    const { inspector, client } = await setUp();
    await plant(client, 300, (n) => {
      if (n % 3 === 0) return { reason: "terminal", message: `card ${n} declined` };
      return n % 100 === 1 ? { actor: "sms" } : {};
    });
    const { groups, looked, of } = await inspector.deadGroups();
    expect({ looked, of }).toEqual({ looked: 300, of: 300 });
    expect(groups.map(({ actor, error, count }) => ({ actor, error, count }))).toEqual([
      { actor: "mail", error: "Error: no such box <n>", count: 198 },
      { actor: "mail", error: "Error: card <n> declined", count: 100 },
      { actor: "sms", error: "Error: no such box <n>", count: 2 },
    ]);
    expect(groups[1]).toMatchObject({
      reason: "terminal",
      firstAt: "2026-01-01T00:00:03.000Z",
      lastAt: "2026-01-01T00:05:00.000Z",
      sequence: 300,
    });
    expect((await inspector.deadGroups({ actor: "sms" })).groups).toHaveLength(1);
  });
});

describe("one", () => {
  test("is shown whole, without headers and body where these are hidden", async () => {
    const { inspector, client } = await setUp();
    await plant(client, 3, (n) => ({ body: n === 3 ? "\u0000\u00ff" : `{"to":"ann"}` }));
    expect(await inspector.deadLetter(2)).toMatchObject({
      sequence: 2,
      id: "m2",
      origin: { stream: stage.names.tasks, sequence: 2 },
      history: [{ at: "2026-01-01T00:00:00.000Z", attempt: 5, message: "no such box 2" }],
      headers: [["Godwit-Id", ["m2"]]],
      body: { text: '{\n  "to": "ann"\n}', format: "json", cut: false },
    });
    expect((await inspector.deadLetter(3)).body).toEqual({ text: "00c3bf", format: "hex", cut: false });
    const hidden = await inspector.deadLetter(2, { bodies: false });
    expect(hidden.body).toBeUndefined();
    expect(hidden.headers).toEqual([]);
    expect(JSON.stringify(hidden)).not.toContain("ann");
    await expect(inspector.deadLetter(9)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});

describe("many", () => {
  test("fifty that a query means are requeued and complete; what is not meant stays", async () => {
    const system = await stage.connect();
    const inspector = new Inspector(system);
    await plant(await stage.client(), 80, (n) => ({ actor: n <= 50 ? "mail" : "sms" }));
    const done = new Set<string>();
    const Mail = actorOf<string>({ name: "mail" }, (_body, ctx) => void done.add(ctx.id));
    const worker = await system.work([Mail]);
    expect(await inspector.requeueDead({ query: { actor: "mail" } })).toEqual({ done: 50, failures: [], more: false });
    await expect.poll(() => done.size, patient).toBe(50);
    expect([...done].toSorted()).toEqual(Array.from({ length: 50 }, (_, index) => `m${index + 1}`).toSorted());
    expect((await inspector.deadPage()).of).toBe(30);
    await worker.stop();
  });

  test("those named: each done once, what is not there is a failure", async () => {
    const { inspector, client } = await setUp();
    await plant(client, 3);
    const { done, failures, more } = await inspector.deleteDead({ sequences: [1, 1, 3, 99] });
    expect({ done, more }).toEqual({ done: 2, more: false });
    expect(failures).toMatchObject([{ sequence: 99, code: "NOT_FOUND" }]);
    expect((await inspector.deadPage()).letters.map(({ sequence }) => sequence)).toEqual([2]);
  });

  test("one call takes a thousand and says where to go on; going on ends although the rest fails", async () => {
    const { inspector, client } = await setUp();
    const count = 2 * bulkLimit + 100;
    await plant(client, count);
    const { names } = stage;
    // Two tasks of the actor fit its lane, and no more.
    const { config } = await client.jsm.streams.info(names.tasks);
    await client.jsm.streams.update(names.tasks, { ...config, max_msgs_per_subject: 2 });
    let before: number | undefined;
    let done = 0;
    const codes = new Set<string>();
    const taken: number[] = [];
    do {
      const result = await inspector.requeueDead({ query: {}, ...(before !== undefined && { before }) });
      taken.push(result.done + result.failures.length);
      done += result.done;
      for (const { code } of result.failures) codes.add(code);
      before = result.next;
      expect(result.more).toBe(before !== undefined);
    } while (before !== undefined);
    expect(taken).toEqual([bulkLimit, bulkLimit, 100]);
    expect({ done, codes: [...codes] }).toEqual({ done: 2, codes: ["QUEUE_FULL"] });
    expect((await inspector.deadPage()).of).toBe(count - 2);
  });

  test("two operators at once: each message runs once, and nobody is told of a failure", async () => {
    const system = await stage.connect();
    const inspectors = [new Inspector(system), new Inspector(await stage.connect())];
    await plant(await stage.client(), 200);
    const results = await Promise.all(inspectors.map((inspector) => inspector.requeueDead({ query: {} })));
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
    const client = await stage.client();
    expect(await client.count(stage.names.dead)).toBe(0);
    expect(await client.count(stage.names.tasks)).toBe(200);
  });

  test("what another has deleted or sent again meanwhile is not counted as deleted", async () => {
    const { inspector, client } = await setUp();
    await plant(client, 200);
    const results = await Promise.all([inspector.deleteDead({ query: {} }), inspector.deleteDead({ query: {} })]);
    expect(results.reduce((sum, { done }) => sum + done, 0)).toBe(200);
    expect(new Set(results.flatMap(({ failures }) => failures.map(({ code }) => code)))).toEqual(
      new Set(["NOT_FOUND"]),
    );
  });

  test("a task with the id of the letter's number and the actor replay is another, and so is a letter of a stream made anew", async () => {
    const { inspector, client } = await setUp();
    const { names, namespace } = stage;
    await plant(client, 1);
    const sent = await (await stage.connect()).tell("replay", 1, { id: "1" });
    expect(sent.duplicate).toBe(false);
    expect(await inspector.requeueDead({ query: {} })).toMatchObject({ done: 1 });
    expect(await client.count(names.tasks)).toBe(2);
    await client.jsm.streams.delete(names.dead);
    const again = new Inspector(await stage.connect({ namespace }));
    await plant(client, 1, () => ({ actor: "sms" }));
    expect(await again.requeueDead({ query: {} })).toMatchObject({ done: 1 });
    expect(await client.count(names.tasks)).toBe(3);
  });

  test("a foreign message among them breaks nothing", async () => {
    const { inspector, client } = await setUp();
    const { names } = stage;
    await client.publish(`${names.namespace}.dead.mail.x.1`, "hello");
    await client.publish(`${names.namespace}.dead.mail.x.2`, "hello", { "Godwit-Dead": "null" });
    await client.publish(`${names.namespace}.dead.mail.x.3`, "hello", { "Godwit-Dead": '{"v":1,"id":7}' });
    await plant(client, 2);
    expect((await inspector.deadPage()).letters.map(({ sequence }) => sequence)).toEqual([5, 4]);
    expect((await inspector.deadGroups({ actor: "mail" })).groups).toMatchObject([{ count: 2 }]);
    await expect(inspector.deadLetter(2)).rejects.toMatchObject({ code: "UNDECODABLE" });
    expect(await inspector.deleteDead({ query: {} })).toMatchObject({ done: 2, more: false });
    const named = await inspector.requeueDead({ sequences: [1] });
    expect(named).toMatchObject({ done: 0, failures: [{ sequence: 1, code: "UNDECODABLE" }] });
    expect(await client.count(names.dead)).toBe(3);
  });
});
