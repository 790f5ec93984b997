/** A body in the object store is its own message's: whoever knows an object's name gets and deletes nothing of another's. */
import { describe, expect, test } from "vitest";
import { on, type Context } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const large = "x".repeat(1_100_000);
const plain = { payload: { compressAbove: false } } as const;

/** The object that holds the body of the newest message of a subject. */
async function objectOf(stream: string, subject: string): Promise<string> {
  const message = await (await stage.client()).last(stream, subject);
  return message?.header.get("Godwit-Body-Object") ?? "none";
}

/** How many chunks are in the object store. */
async function chunks(): Promise<number> {
  const { jsm } = await stage.client();
  const bucket = stage.names.payloadsBucket;
  const { state } = await jsm.streams.info(`OBJ_${bucket}`, { subjects_filter: `$O.${bucket}.C.>` });
  return Object.values(state.subjects ?? {}).reduce((sum, one) => sum + one, 0);
}

describe("a message that names the object of another", () => {
  test("gets no body of it, and leaves it there when it ends", async () => {
    const system = await stage.connect(plain);
    const client = await stage.client();
    const { names } = stage;
    await system.tell("secrets", large, { id: "s1" });
    const object = await objectOf(names.tasks, names.taskSubject("secrets"));
    const got: unknown[] = [];
    const recorder = record(await system.work([actorOf({ name: "spies" }, (input) => void got.push(input))]));
    const forged = { "Godwit-Body-Object": object, "Content-Type": "application/msgpack" };
    const subject = names.taskSubject("spies");
    await client.publish(subject, "", forged);
    await client.publish(subject, "", { ...forged, "Godwit-Id": "s1" });
    await recorder.until("dead", 2);
    expect(got).toEqual([]);
    expect((await listDead(system)).map(({ reason, error }) => [reason, error.message])).toEqual([
      ["undecodable", expect.stringMatching(/is another message's/) as string],
      ["undecodable", expect.stringMatching(/is another message's/) as string],
    ]);
    const bodies: unknown[] = [];
    const own = record(await system.work([actorOf({ name: "secrets" }, (input) => void bodies.push(input))]));
    await own.until("completed");
    expect(bodies).toEqual([large]);
    await expect.poll(chunks, patient).toBe(0);
  });

  test("and says that it is an event come again gets none either", async () => {
    const system = await stage.connect(plain);
    const client = await stage.client();
    const { names } = stage;
    await system.tell("secrets", large, { id: "s1" });
    await system.publish("secret.made", large, { id: "e1" });
    const of = {
      s1: { stream: names.tasks, subject: names.taskSubject("secrets") },
      e1: { stream: names.events, subject: names.eventSubject("secret.made") },
    };
    const got: unknown[] = [];
    const Spy = actorOf({ name: "spies", subscribe: [on("told")] }, (input) => void got.push(input));
    const recorder = record(await system.work([Spy]));
    for (const [id, { stream, subject }] of Object.entries(of)) {
      await client.publish(names.taskSubject("spies"), "", {
        "Godwit-Body-Object": await objectOf(stream, subject),
        "Content-Type": "application/msgpack",
        "Godwit-Id": id,
        "Godwit-Event": `${stream} ${subject}`,
      });
    }
    await recorder.until("dead", 2);
    expect(got).toEqual([]);
    const bodies: unknown[] = [];
    const own = record(
      await system.work([
        actorOf({ name: "secrets", subscribe: [on("secret.made")] }, (input) => void bodies.push(input)),
      ]),
    );
    await own.until("completed");
    expect(bodies[0]).toEqual(large);
  });

  test("and is of the same actor gets none either", async () => {
    const system = await stage.connect(plain);
    const client = await stage.client();
    const { names } = stage;
    const subject = names.taskSubject("same");
    await system.tell("same", large, { id: "first" });
    const object = await objectOf(names.tasks, subject);
    const ids: string[] = [];
    await client.publish(subject, "", {
      "Godwit-Body-Object": object,
      "Content-Type": "application/msgpack",
      "Godwit-Id": "second",
    });
    const recorder = record(await system.work([actorOf({ name: "same" }, (_input, ctx) => void ids.push(ctx.id))]));
    await recorder.until("completed");
    await recorder.until("dead");
    expect(ids).toEqual(["first"]);
  });
});

describe("its own message gets its body", () => {
  test("delayed, requeued, as an event, and as an event that died and was requeued", async () => {
    const system = await stage.connect(plain);
    let fails = true;
    const seen: string[] = [];
    const recorder = record(
      await system.work([
        actorOf(
          { name: "owners", retry: { attempts: 1 }, subscribe: [on("large.made")] },
          (input: unknown, ctx: Context) => {
            seen.push(`${ctx.id} ${String(input).length}`);
            if (fails) throw new Error("not yet");
          },
        ),
      ]),
    );
    await system.tell("owners", large, { id: "now" });
    await system.tell("owners", large, { id: "later", delay: 50 });
    await system.publish("large.made", large, { id: "event" });
    await recorder.until("dead", 3);
    fails = false;
    for (const { sequence } of await listDead(system)) await system.dead.requeue(sequence);
    await recorder.until("completed", 3);
    const all = ["event", "later", "now"].map((id) => `${id} ${large.length}`);
    expect(seen.slice(0, 3).toSorted()).toEqual(all);
    expect(seen.slice(3).toSorted()).toEqual(all);
  });

  test("where its sender is older and said of no object whose it is: it is read, and stays until it expires", async () => {
    const system = await stage.connect(plain);
    const client = await stage.client();
    const { names } = stage;
    await system.tell("older", large, { id: "o" });
    const bucket = names.payloadsBucket;
    const entries = `$O.${bucket}.M.>`;
    const { jsm } = client;
    const entry = await jsm.streams.getMessage(`OBJ_${bucket}`, { last_by_subj: entries });
    const said = entry?.json<Record<string, unknown>>() ?? {};
    expect(said["metadata"]).toEqual({ "godwit-owner": "actor older|o" });
    delete said["metadata"];
    await client.publish(entry?.subject ?? "", JSON.stringify(said), { "Nats-Rollup": "sub" });
    const bodies: number[] = [];
    const recorder = record(
      await system.work([actorOf({ name: "older" }, (input) => void bodies.push(String(input).length))]),
    );
    await recorder.until("completed");
    expect(bodies).toEqual([large.length]);
    expect(await chunks()).toBeGreaterThan(0);
  });
});
