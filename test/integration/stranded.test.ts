/** Messages that are stored and that no durable will ever hand out: they are seen, told, and mended without a loss. */
import { mkdtemp, rm, cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem, RetryAfter, Snooze, type ActorConfig, type Context } from "../../src/index.ts";
import { header } from "../../src/message/headers.ts";
import { actorOf, gate } from "../support/actors.ts";
import { consult, said } from "../support/doctor/consult.ts";
import { healthOf } from "../support/observe/scrape.ts";
import { patient, useStage } from "../support/stage.ts";

const quick: ActorConfig["retry"] = { attempts: 5, backoff: "fixed", base: "5ms", jitter: "none" };

describe("dropped after max_deliver", () => {
  const stage = useStage();

  /** Sets it as somebody would by hand. */
  async function drop(system: ActorSystem, stream: string, durable: string, after: number): Promise<void> {
    await system.parts.connection.jsm.consumers.update(stream, durable, { max_deliver: after });
  }

  async function quiet(system: ActorSystem, stream: string, durable: string): Promise<void> {
    const open = async (): Promise<unknown> => {
      const state = await system.parts.reader.consumer(stream, durable);
      return state && { pending: state.pending, inFlight: state.inFlight };
    };
    await expect.poll(open, patient).toEqual({ pending: 0, inFlight: 0 });
  }

  test("five stored, none waiting, none in flight: doctor, explain and /healthz say it, and a mend has each run once more", async () => {
    const system = await stage.connect();
    const inspector = new Inspector(system);
    const { tasks, schedule } = stage.names;
    const { url } = await system.serveMetrics({ port: 0, healthWindow: 400 });
    const ran: { id: string; input: unknown; note: string | undefined }[] = [];
    let failing = true;
    const receive = (input: unknown, { id, headers }: Context): void => {
      if (failing) throw new Error("not yet");
      ran.push({ id, input, note: headers.get("Note") });
    };
    await system.work([actorOf({ name: "pay", retry: quick }, receive)]);
    for (const stream of [tasks, schedule]) await drop(system, stream, "pay", 2);
    expect((await healthOf(url)).body).toMatchObject({ healthy: true });
    for (const n of [1, 2, 3])
      await system.tell("pay", n, { id: `n${n}`, lane: "high", headers: { Note: `note ${n}` } });
    for (const n of [4, 5]) await system.tell("pay", n, { id: `n${n}`, delay: "10ms" });
    for (const stream of [tasks, schedule]) {
      await expect
        .poll(async () => (await system.parts.reader.state(stream))?.lastSequence, patient)
        .toBe(stream === tasks ? 3 : 4);
      await quiet(system, stream, "pay");
    }

    expect(said(await consult(system), "stranded")).toMatchObject([
      { level: "fault", subject: "actor pay", finding: expect.stringContaining(`3 messages of ${tasks} are stored`) },
      { level: "fault", subject: "actor pay", finding: expect.stringContaining(`2 messages of ${schedule}`) },
    ]);
    for (const id of ["n1", "n5"]) {
      expect((await inspector.explain(id)).found).toMatchObject([
        {
          id,
          actor: "pay",
          state: "stranded",
          mendable: true,
          errors: [{ message: "not yet" }, { message: "not yet" }],
        },
      ]);
    }
    const says = async (): Promise<unknown> => (await healthOf(url)).body;
    await expect.poll(says, patient).toMatchObject({
      healthy: false,
      restart: false,
      reasons: [expect.stringContaining("5 of its messages are stored")],
      actors: { pay: { healthy: false, stranded: 5 } },
    });
    // A restart helps nothing, so none is asked for.
    expect((await healthOf(url)).status).toBe(200);

    failing = false;
    for (const stream of [tasks, schedule]) await drop(system, stream, "pay", -1);
    expect(await inspector.mendStranded()).toEqual([
      { actor: "pay", stream: tasks, sentAgain: 3, left: 0 },
      { actor: "pay", stream: schedule, sentAgain: 2, left: 0 },
    ]);
    await expect.poll(() => ran.length, patient).toBe(5);
    expect(ran.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual([
      ...[1, 2, 3].map((n) => ({ id: `n${n}`, input: n, note: `note ${n}` })),
      ...[4, 5].map((n) => ({ id: `n${n}`, input: n, note: undefined })),
    ]);
    for (const stream of [tasks, schedule]) {
      await expect.poll(async () => (await system.parts.reader.state(stream))?.messages, patient).toBe(0);
    }
    expect(said(await consult(system), "stranded")).toMatchObject([{ level: "ok" }]);
    expect(await inspector.mendStranded()).toEqual([]);
    await expect.poll(says, patient).toMatchObject({ healthy: true, reasons: [] });
  });

  test("beside messages that run, back off and are put back, the stranded ones alone are sent again", async () => {
    const system = await stage.connect();
    const inspector = new Inspector(system);
    const { tasks } = stage.names;
    const [held, runs] = [gate(), new Map<unknown, number>()];
    let failing = true;
    const config: ActorConfig = { name: "pay", retry: { ...quick, when: () => true, base: "5ms" }, concurrency: 20 };
    await system.work([
      actorOf(config, async (input: string, ctx) => {
        runs.set(input, (runs.get(input) ?? 0) + 1);
        if (input === "long") await held.opened;
        if (failing && input.startsWith("bad")) throw new Error("not yet");
        if (input === "later" && ctx.deliveries === 1) throw new RetryAfter("1h");
        if (input === "snoozed") throw new Snooze("1h");
      }),
    ]);
    await drop(system, tasks, "pay", 2);
    for (const input of ["bad1", "bad2", "long", "later", "snoozed"]) await system.tell("pay", input);
    const inFlight = async (): Promise<number | undefined> =>
      (await system.parts.reader.consumer(tasks, "pay"))?.inFlight;
    await expect.poll(inFlight, patient).toBe(3);
    await expect.poll(() => runs.get("bad1"), patient).toBe(2);

    expect(said(await consult(system), "stranded")).toMatchObject([
      { level: "fault", finding: expect.stringContaining("2 messages") },
    ]);
    const states = async (): Promise<string[]> =>
      Promise.all([1, 2, 3, 4, 5].map(async (n) => (await inspector.explain(`${tasks}:${n}`)).found[0]?.state ?? ""));
    expect(await states()).toEqual(["stranded", "stranded", "running", "backing-off", "put-back"]);
    failing = false;
    expect(await inspector.mendStranded()).toEqual([{ actor: "pay", stream: tasks, sentAgain: 2, left: 0 }]);
    await expect.poll(() => runs.get("bad2"), patient).toBe(3);
    held.open();
    await expect.poll(inFlight, patient).toBe(2);
    expect(Object.fromEntries(runs)).toEqual({ bad1: 3, bad2: 3, long: 1, later: 1, snoozed: 1 });
  });

  test("messages of which nobody knows whether they are in flight are left, and told", async () => {
    const system = await stage.connect();
    const { tasks } = stage.names;
    const worker = await system.work([
      actorOf({ name: "pay", retry: quick }, () => {
        throw new Error("never");
      }),
    ]);
    await drop(system, tasks, "pay", 1);
    await system.tell("pay", 1);
    await expect.poll(() => worker.stats.actors["pay"]?.retry, patient).toBe(1);
    await quiet(system, tasks, "pay");
    await worker.stop();
    // Handed to somebody who says nothing of it.
    await system.tell("pay", 2);
    const client = await stage.client();
    const pull = client.nc.subscribe("silent", { max: 1 });
    client.nc.publish(`$JS.API.CONSUMER.MSG.NEXT.${tasks}.pay`, '{"batch":1,"expires":5000000000}', {
      reply: "silent",
    });
    for await (const _ of pull) break;

    const [mended] = await new Inspector(system).mendStranded();
    expect(mended).toMatchObject({
      sentAgain: 0,
      left: 1,
      why: expect.stringContaining("run it again when fewer are"),
    });
    expect((await system.parts.reader.state(tasks))?.lastSequence).toBe(2);
  });

  test("a mend that broke off between the copy and the original, and two at once, send nothing twice", async () => {
    const system = await stage.connect();
    const { tasks } = stage.names;
    const client = await stage.client();
    const ran: number[] = [];
    let failing = true;
    await system.work([
      actorOf({ name: "pay", retry: quick }, (input: number) => {
        if (failing) throw new Error("not yet");
        ran.push(input);
      }),
    ]);
    await drop(system, tasks, "pay", 1);
    await system.tellMany("pay", [1, 2, 3]);
    await quiet(system, tasks, "pay");
    await expect.poll(async () => (await system.parts.reader.state(tasks))?.messages, patient).toBe(3);
    failing = false;
    await drop(system, tasks, "pay", -1);
    // What the mend that broke off had done.
    const first = await system.parts.reader.get(tasks, 1);
    const copy = {
      [header.msgId]: `stranded|1|${first?.storedAtMs}`,
      "Content-Type": first?.headers.get("Content-Type") ?? "",
    };
    await client.publish(stage.names.taskSubject("pay"), first?.body ?? "", copy);
    await expect.poll(() => ran, patient).toEqual([1]);

    const inspector = new Inspector(system);
    await Promise.all([inspector.mendStranded(), inspector.mendStranded()]);
    await expect.poll(async () => (await system.parts.reader.state(tasks))?.messages, patient).toBe(0);
    expect(ran.toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
  });

  test("an event: explain says that it will not come again, and the doctor that some will not", async () => {
    const system = await stage.connect();
    const { events } = stage.names;
    const worker = await system.work([
      actorOf({ name: "hear", retry: quick, subscribe: ["orders.*"] }, (input) => {
        if (input === "bad") throw new Error("not yet");
      }),
    ]);
    expect(said(await consult(system), "stranded")).toMatchObject([{ level: "ok" }]);
    await drop(system, events, "hear", 1);
    await system.publish("orders.placed", "good");
    await system.publish("orders.placed", "bad", { id: "b" });
    await expect.poll(() => worker.stats.actors["hear"]?.retry, patient).toBe(1);
    await quiet(system, events, "hear");
    expect(said(await consult(system), "stranded")).toMatchObject([{ level: "warning", subject: "actor hear" }]);
    const { found } = await new Inspector(system).explain("b");
    expect(found).toMatchObject([{ state: "stranded", mendable: false, errors: [{ message: "not yet" }] }]);
    expect((await new Inspector(system).explain(`${events}:1`)).found).toMatchObject([{ state: "settled" }]);
  });

  test("while much runs, nothing is taken for stranded", async () => {
    const system = await stage.connect();
    let failed = 0;
    await system.work([
      actorOf({ name: "busy", concurrency: 50, lanes: ["high"], retry: quick }, async (n: number, { attempt }) => {
        await new Promise((resolve) => setTimeout(resolve, n % 5));
        if (n % 7 === 0 && attempt === 1 && (failed += 1)) throw new Error("again");
      }),
    ]);
    let over = false;
    const sending = (async () => {
      for (let n = 0; !over; n++) await system.tell("busy", n, { lane: n % 2 === 0 ? "high" : "normal" });
    })();
    for (let look = 0; look < 8; look++) {
      expect(said(await consult(system), "stranded")).toMatchObject([{ level: "ok" }]);
    }
    over = true;
    await sending;
    expect(failed).toBeGreaterThan(0);
  });
});

test("after a restore of an older stream beside the durable's newer state, what came back is found and run", async () => {
  const dir = await mkdtemp(join(tmpdir(), "godwit-stranded-"));
  const msgs = (storeDir: string): string => join(storeDir, "jetstream", "$G", "streams", "godwit_TASKS", "msgs");
  try {
    let server = await EmbeddedServer.start({ storeDir: join(dir, "store") });
    let system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    const ran: number[] = [];
    const Pay = actorOf({ name: "pay" }, (input: number) => void ran.push(input));
    await (await system.work([Pay])).stop();
    await system.tellMany("pay", [1, 2, 3]);
    await system.close();
    await server.stop();
    await cp(msgs(join(dir, "store")), join(dir, "backup"), { recursive: true });

    server = await EmbeddedServer.start({ storeDir: join(dir, "store") });
    system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    await system.work([Pay]);
    await system.tellMany("pay", [4, 5]);
    await expect.poll(() => ran.length, patient).toBe(5);
    await system.close();
    await server.stop();
    await rm(msgs(join(dir, "store")), { recursive: true });
    await cp(join(dir, "backup"), msgs(join(dir, "store")), { recursive: true });

    server = await EmbeddedServer.start({ storeDir: join(dir, "store") });
    system = await ActorSystem.connect({ servers: server.url, log: "silent" });
    ran.length = 0;
    await system.work([Pay]);
    await system.tell("pay", 6);
    await expect.poll(() => ran, patient).toEqual([6]);
    expect(said(await consult(system), "stranded")).toMatchObject([{ finding: expect.stringContaining("3 messages") }]);
    await new Inspector(system).mendStranded();
    await expect.poll(() => ran.toSorted((a, b) => a - b), patient).toEqual([1, 2, 3, 6]);
    await system.close();
    await server.stop();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
