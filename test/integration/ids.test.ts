/** Ids: anything reasonable is one, and it stays the same wherever the message goes. */
import { expect, test } from "vitest";
import { Terminal } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

/** Ids that KV keys, subjects, durable names, headers or JSON would each choke on if they were used as they are. */
const ids = [
  "plain",
  "user@example.com",
  "with a space",
  "a  b",
  "order#7",
  "urn:isbn:0451450523",
  "a.b.c",
  ".",
  "..",
  ".a",
  "a.",
  "a..b",
  "*",
  ">",
  "a.*.>",
  "$JS.API",
  "_INBOX.x",
  "ünï",
  "日本語",
  "🐦",
  "e\u0301",
  "a/b\\c",
  "a=b",
  "=41",
  "%41",
  "a|b",
  '"quoted"',
  "{json:[]}",
  "-",
  "_",
  "0",
  "x".repeat(128),
  "é".repeat(64),
  ".".repeat(128),
];

const refused: [what: string, id: unknown][] = [
  ["empty", ""],
  ["a blank", " "],
  ["a blank before it", " x"],
  ["a blank behind it", "x "],
  ["a no-break space behind it", "x\u00a0"],
  ["a tab in it", "a\tb"],
  ["a line break in it", "a\nb"],
  ["a carriage return in it", "a\r\nNats-TTL: 1s"],
  ["a null byte in it", "a\u0000b"],
  ["a C1 control character in it", "a\u0085b"],
  ["a DEL in it", "a\u007fb"],
  ["129 bytes", "x".repeat(129)],
  ["130 bytes of two-byte letters", "é".repeat(65)],
  ["half a surrogate pair", "a\ud800"],
  ["a number", 7],
  ["null", null],
  ["an object", { id: 1 }],
];

test("every id works for tell, with a result, and is what ctx.id says", async () => {
  const system = await stage.connect();
  const seen: string[] = [];
  const Keep = actorOf({ name: "keep", result: { ttl: "1m" } }, (_input, ctx) => {
    seen.push(ctx.id);
    return ctx.id;
  });
  const recorder = record(await system.work([Keep]));
  for (const id of ids) expect(await system.tell(Keep, {}, { id })).toMatchObject({ id, duplicate: false });
  await recorder.until("completed", ids.length);
  expect(seen.toSorted()).toEqual(ids.toSorted());
  for (const id of ids) expect(await system.result(Keep, id)).toEqual({ state: "completed", value: id });
  for (const id of ids) expect(await system.tell(Keep, {}, { id })).toMatchObject({ id, duplicate: true });
});

test("every id works for ask, the first time and the second", async () => {
  const system = await stage.connect();
  let runs = 0;
  const Keep = actorOf({ name: "keep", result: { ttl: "1m" } }, (_input, ctx) => {
    runs += 1;
    return ctx.id;
  });
  await system.work([Keep]);
  for (const id of ids) expect(await system.ask(Keep, {}, { id })).toBe(id);
  for (const id of ids) expect(await system.ask(Keep, {}, { id })).toBe(id);
  expect(runs).toBe(ids.length);
});

test("every id works with a wait for its result that began before it was sent", async () => {
  const system = await stage.connect();
  const Keep = actorOf({ name: "keep", result: { ttl: "1m" } }, (_input, ctx) => ctx.id);
  await system.work([Keep]);
  const waits = ids.map((id) => system.result(Keep, id, { wait: "20s" }));
  for (const id of ids) await system.tell(Keep, {}, { id });
  expect(await Promise.all(waits)).toEqual(ids.map((id) => ({ state: "completed", value: id })));
});

test("every id works with a delay, and can be moved", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const seen: string[] = [];
  const Late = actorOf({ name: "late" }, (_input, ctx) => void seen.push(ctx.id));
  const recorder = record(await system.work([Late]));
  for (const id of ids) await system.tell(Late, {}, { id, delay: "1h" });
  expect(await client.count(stage.names.schedule)).toBe(ids.length);
  for (const id of ids) await system.tell(Late, {}, { id, delay: 100 });
  await recorder.until("completed", ids.length);
  expect(seen.toSorted()).toEqual(ids.toSorted());
  expect(await client.count(stage.names.schedule)).toBe(0);
});

test("every id is kept through failures, a dead letter and its requeue", async () => {
  const system = await stage.connect();
  let broken = true;
  const seen: string[] = [];
  const Failing = actorOf({ name: "failing", retry: { attempts: 2, base: 1, max: 1 } }, (_input, ctx) => {
    if (broken) throw new Error("no");
    seen.push(ctx.id);
  });
  const recorder = record(await system.work([Failing]));
  for (const id of ids) await system.tell(Failing, { id }, { id });
  await recorder.until("dead", ids.length);
  const letters = await listDead(system);
  expect(letters.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  for (const id of ids) expect(await onlyDead(system, { id })).toMatchObject({ id, attempts: 2 });
  broken = false;
  for (const { sequence } of letters) await system.dead.requeue(sequence);
  await recorder.until("completed", ids.length);
  expect(seen.toSorted()).toEqual(ids.toSorted());
  expect(await listDead(system)).toEqual([]);
});

test("every id works for events and for what a handler sends", async () => {
  const system = await stage.connect();
  const seen: string[] = [];
  const Child = actorOf({ name: "child" }, (_input, ctx) => void seen.push(ctx.id));
  const Parent = actorOf({ name: "parent", subscribe: ["went.by"] }, async (_input, ctx) => {
    await ctx.tell(Child, {}, { id: ctx.id });
    await ctx.tell(Child, {});
  });
  const recorder = record(await system.work([Parent, Child]));
  for (const id of ids) expect(await system.publish("went.by", {}, { id })).toMatchObject({ id, duplicate: false });
  await recorder.until("completed", 3 * ids.length);
  for (const id of ids) expect(seen).toContain(id);
  expect(new Set(seen).size).toBe(2 * ids.length);
});

test("no id of what a handler sends is one that a command line takes for an option, and a repeat has the same", async () => {
  const system = await stage.connect();
  const runs: string[][] = [];
  const Parent = actorOf({ name: "parent", retry: { attempts: 2, base: 1, max: 1 } }, async (_input, ctx) => {
    const sent = await Promise.all(Array.from({ length: 300 }, (_, n) => ctx.tell("child", n)));
    runs.push(sent.map(({ id }) => id));
    if (ctx.attempt === 1) throw new Error("again");
  });
  const recorder = record(await system.work([Parent]));
  await system.tell(Parent, {}, { id: "the parent" });
  await recorder.until("completed");
  const [first = [], second] = runs;
  expect(second).toEqual(first);
  expect(new Set(first).size).toBe(300);
  expect(first.filter((id) => !/^[A-Za-z0-9][A-Za-z0-9_-]{26}$/.test(id))).toEqual([]);
});

test("the same id sent to two actors reaches both, and so does the same id as task and as event", async () => {
  const system = await stage.connect();
  const seen: string[] = [];
  const actor = (name: string) =>
    actorOf({ name, subscribe: ["one"], result: { ttl: "1m" } }, (_input, ctx) => {
      seen.push(`${name} ${ctx.id}`);
      return name;
    });
  // Names and ids that would run into one another if they were merely joined.
  const [one, other] = [actor("one"), actor("one.two")];
  const recorder = record(await system.work([one, other]));
  for (const id of ["same", "two.x", "x"]) {
    expect(await system.tell(one, {}, { id })).toMatchObject({ duplicate: false });
    expect(await system.tell(other, {}, { id })).toMatchObject({ duplicate: false });
  }
  await recorder.until("completed", 6);
  expect(await system.result(one, "two.x")).toEqual({ state: "completed", value: "one" });
  expect(await system.result(other, "x")).toEqual({ state: "completed", value: "one.two" });
  expect(await system.publish("one", {}, { id: "same" })).toMatchObject({ duplicate: false });
  await recorder.until("completed", 8);
  expect(seen.toSorted()).toEqual(
    ["one", "one.two"].flatMap((name) => ["same", "same", "two.x", "x"].map((id) => `${name} ${id}`)).toSorted(),
  );
});

test.each(refused)("an id that is %s is refused in one sentence, everywhere", async (_what, id) => {
  const system = await stage.connect();
  const client = await stage.client();
  const bad = { id: id as string };
  const wanted = {
    name: "InvalidNameError",
    code: "INVALID_NAME",
    message: expect.stringMatching(
      /^The message id .+ is not valid; use a string of 1 to 128 bytes with no control characters and no blanks at its ends\.$/,
    ),
  };
  await expect(system.tell("actor", {}, bad)).rejects.toMatchObject(wanted);
  await expect(system.tell("actor", {}, { ...bad, delay: "1s" })).rejects.toMatchObject(wanted);
  await expect(system.ask("actor", {}, bad)).rejects.toMatchObject(wanted);
  await expect(system.publish("event", {}, bad)).rejects.toMatchObject(wanted);
  await expect(system.result("actor", bad.id)).rejects.toMatchObject(wanted);
  const { failures } = await system.tellMany("actor", [1], { id: () => bad.id });
  expect(failures).toMatchObject([{ index: 0, error: wanted }]);
  expect(await client.lastSequence(stage.names.tasks)).toBe(0);
});

test("a user's headers cannot set what Godwit and the server go by", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  for (const name of ["Godwit-Reply", "godwit-id", "Nats-TTL", "nats-msg-id", "Content-Type", "", "a b", "a:b", "ü"]) {
    await expect(system.tell("actor", {}, { headers: { [name]: "x" } })).rejects.toMatchObject({
      code: "INVALID_NAME",
      message: expect.stringContaining(`The header name ${JSON.stringify(name)} is not free`),
    });
  }
  for (const value of ["a\r\nNats-TTL: 1s", "a\u0000", 7 as never]) {
    await expect(system.publish("event", {}, { headers: { "X-A": value } })).rejects.toMatchObject({
      code: "INVALID_NAME",
      message: expect.stringContaining('The header "X-A" must have a string value'),
    });
  }
  expect(await client.lastSequence(stage.names.tasks)).toBe(0);
  expect(await client.lastSequence(stage.names.events)).toBe(0);
});

test("what looks like headers in an id or a value of a plain client stays what it is", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const Doomed = actorOf({ name: "doomed" }, () => {
    throw new Terminal("no");
  });
  const recorder = record(await system.work([Doomed]));
  await client.publish(stage.names.taskSubject("doomed"), "1", {
    "Godwit-Id": "Nats-TTL: 1s",
    "X-Json": '{"a":"\\u0000"}',
  });
  await recorder.until("dead");
  const letter = await onlyDead(system, { id: "Nats-TTL: 1s" });
  const shown = await system.dead.show(letter.sequence);
  expect(Object.fromEntries(shown.headers)).toEqual({ "Godwit-Id": ["Nats-TTL: 1s"], "X-Json": ['{"a":"\\u0000"}'] });
});
