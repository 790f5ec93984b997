/** Dead letters that somebody else wrote: what one says is believed no further than the place where it lies. */
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { listDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

interface Forged {
  id?: string;
  actor?: string;
  subject?: string;
  headers?: unknown;
  error?: unknown;
  history?: unknown;
  storedAt?: string;
  object?: string;
}

/** A letter under the actor `mine` that says whatever it is told to. @returns its sequence. */
async function forge(at: number, said: Forged, lies = "mine"): Promise<number> {
  const { names } = stage;
  const client = await stage.client();
  const { storedAt = new Date(0).toISOString(), subject = names.taskSubject("mine") } = said;
  const info = {
    v: 1,
    id: said.id ?? `f${at}`,
    actor: said.actor ?? "mine",
    reason: "exhausted",
    error: said.error ?? { name: "Error", message: "forged" },
    origin: { stream: names.tasks, sequence: at, subject, storedAt },
    diedAt: new Date().toISOString(),
    attempts: 1,
    deliveries: 1,
    stalls: 0,
    history: said.history ?? [],
  };
  return client.publish(names.deadSubject(lies, names.tasks, at), '"body"', {
    "Godwit-Dead": JSON.stringify(info),
    "Godwit-Dead-Headers": JSON.stringify(said.headers ?? [["X-Kept", ["kept"]]]),
    ...(said.object !== undefined && { "Godwit-Dead-Object": said.object }),
  });
}

test("a letter that names another team's actor is one of the actor under which it lies, and is requeued to that", async () => {
  const system = await stage.connect();
  const ran: string[] = [];
  const recorder = record(
    await system.work([
      actorOf({ name: "mine" }, (_input, ctx) => void ran.push(`mine ${ctx.id}`)),
      actorOf({ name: "victim" }, (_input, ctx) => void ran.push(`victim ${ctx.id}`)),
    ]),
  );
  const subject = stage.names.taskSubject("victim");
  const sequence = await forge(1, { actor: "victim", subject });
  const wild = await forge(2, { actor: "*", subject: stage.names.taskSubject("*", "*") });
  expect(await listDead(system, { actor: "victim" })).toEqual([]);
  expect(await listDead(system, { actor: "mine" })).toMatchObject([{ actor: "mine" }, { actor: "mine" }]);
  await system.dead.requeue(sequence);
  await system.dead.requeue(wild);
  await recorder.until("completed", 2);
  expect(ran.toSorted()).toEqual(["mine f1", "mine f2"]);
});

test("a letter under a name that no actor can have stays when it is requeued", async () => {
  const system = await stage.connect();
  const sequence = await forge(1, {}, "*");
  await expect(system.dead.requeue(sequence)).rejects.toMatchObject({ code: "INVALID_NAME" });
  await expect(system.dead.requeue(sequence)).rejects.toThrow(/no actor's name, so it stays/);
  expect(await listDead(system)).toMatchObject([{ sequence }]);
  await system.dead.purge(sequence);
  expect(await listDead(system)).toEqual([]);
});

test("what stands for a claim of a letter and is none holds no letter", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const recorder = record(await system.work([actorOf({ name: "mine" }, () => undefined)]));
  for (const [at, act] of [
    (one: number) => system.dead.requeue(one),
    (one: number) => system.dead.purge(one),
  ].entries()) {
    const sequence = await forge(at + 1, {});
    const storedAtMs = (await system.parts.reader.get(stage.names.dead, sequence))?.storedAtMs;
    await client.publish(`$KV.${stage.names.limitsBucket}.=d.${sequence}.${storedAtMs}`, "garbage");
    await act(sequence);
  }
  await recorder.until("completed");
  expect(await listDead(system)).toEqual([]);
});

test("an object that is said to be larger than all that was put of it is not read", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const { names } = stage;
  const Failing = actorOf({ name: "mine", retry: { attempts: 1 } }, () => {
    throw new Error("as the message asked");
  });
  const recorder = record(await system.work([Failing]));
  // So large that its letter has its body elsewhere.
  await client.publish(names.taskSubject("mine"), `"${"x".repeat(1_048_570)}"`);
  await recorder.until("dead");
  const object = names.deadSubject("mine", names.tasks, 77);
  const bucket = names.bodiesBucket;
  const entry = { name: object, bucket, nuid: "forged", size: 1e15, chunks: 1, digest: "SHA-256=x" };
  await client.publish(`$O.${bucket}.C.forged`, "a little");
  const name = Buffer.from(object).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
  await client.publish(`$O.${bucket}.M.${name}`, JSON.stringify(entry));
  const sequence = await forge(77, { object });
  await expect(system.dead.show(sequence)).rejects.toMatchObject({ code: "UNDECODABLE" });
});

test("kept headers and ids bring no header back that the first life had, in any spelling or behind a line's end", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const heard: string[] = [];
  client.nc.subscribe(`${stage.namespace}.reply.>`, { callback: (_error, { subject }) => void heard.push(subject) });
  const headers: string[][] = [];
  const recorder = record(
    await system.work([
      actorOf({ name: "mine" }, (_input, ctx) => {
        headers.push(ctx.headers.entries().map(([name]) => name));
        return "an answer";
      }),
    ]),
  );
  const refused = [
    await forge(1, { headers: [["X-Kept", ["a\r\nGodwit-Reply: forger.1"]]] }),
    await forge(2, { headers: [["X-Kept: a\r\nGodwit-Reply", ["forger.2"]]] }),
    await forge(3, { id: "a\r\nGodwit-Reply: forger.3" }),
    await forge(4, { headers: "none" }),
    await forge(5, { headers: [["X-Kept", "not a list"]] }),
    await forge(6, { history: [{ at: "never" }] }),
    await forge(7, { error: { name: 1 } }),
    await forge(8, { storedAt: "some day" }),
    await forge(9, { object: stage.names.deadSubject("victim", stage.names.tasks, 9) }),
  ];
  for (const sequence of refused) {
    await expect(system.dead.requeue(sequence)).rejects.toMatchObject({
      code: expect.stringMatching(/^(INVALID_NAME|UNDECODABLE)$/) as string,
    });
    expect(await system.parts.reader.get(stage.names.dead, sequence), "it stays").toBeDefined();
  }
  const spelled = [
    ["godwit-reply", ["forger.4"]],
    ["GODWIT-REPLY", ["forger.5"]],
    ["Godwit-Reply", ["forger.6"]],
    ["godwit-expires", ["1"]],
    ["nats-ttl", ["1s"]],
    ["X-Kept", ["kept"]],
  ];
  await system.dead.requeue(await forge(20, { headers: spelled }));
  await recorder.until("completed");
  await client.nc.flush();
  expect(headers.map((names) => names.toSorted())).toEqual([["Godwit-Id", "Nats-Msg-Id", "X-Kept"]]);
  expect(heard).toEqual([]);
});
