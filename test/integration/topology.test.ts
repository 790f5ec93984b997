/** Topology: what is made on the server, when it is changed, and when that is refused. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConsumerConfig, StreamConfig } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { ActorSystem, on, type ActorConfig, type Lane } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { listDead, onlyDead } from "../support/dead.ts";
import { until } from "../support/embedded/until.ts";
import { record } from "../support/record.ts";
import { spyOn } from "../support/spy.ts";
import { patient, useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();

const ns = (ms: number): number => ms * 1_000_000;
const day = 86_400_000;

async function streamConfig(client: PlainClient, name: string): Promise<StreamConfig> {
  return (await client.jsm.streams.info(name)).config;
}

/** The filters of each durable of a stream, by name. */
async function filters(client: PlainClient, stream: string): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for await (const { name, config } of client.jsm.consumers.list(stream)) {
    found[name] = (config.filter_subjects ?? [config.filter_subject ?? ""]).toSorted();
  }
  return found;
}

/** Every request that changes a stream or a durable. */
function spyOnChanges(client: PlainClient) {
  return spyOn(
    client,
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.STREAM.UPDATE.*",
    "$JS.API.STREAM.DELETE.*",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DURABLE.CREATE.>",
    "$JS.API.CONSUMER.DELETE.>",
  );
}

describe("the streams", () => {
  test("are made as the design says, under the namespace and nowhere else", async () => {
    const client = await stage.client();
    const before = await client.jsm.streams.names().next();
    await stage.connect();
    const { namespace, names } = stage;
    const made = (await client.jsm.streams.names().next()).filter((name) => !before.includes(name));
    const wanted = [names.tasks, names.schedule, names.events, names.dead];
    const { resultsBucket, runsBucket, limitsBucket, breakersBucket, onceBucket, workersBucket } = names;
    const buckets = [resultsBucket, runsBucket, limitsBucket, breakersBucket, onceBucket, workersBucket].map(
      (one) => `KV_${one}`,
    );
    expect(made.toSorted()).toEqual([...wanted, ...buckets].toSorted());

    expect(await streamConfig(client, names.tasks)).toMatchObject({
      subjects: [`${namespace}.task.>`],
      retention: "workqueue",
      storage: "file",
      discard: "new",
      discard_new_per_subject: true,
      max_msgs_per_subject: 1_000_000,
      max_bytes: 10_000_000_000,
      duplicate_window: ns(120_000),
      num_replicas: 1,
    });
    expect(await streamConfig(client, names.schedule)).toMatchObject({
      subjects: expect.arrayContaining([`${namespace}.schedule.>`, `${namespace}.due.>`]),
      retention: "workqueue",
      allow_msg_schedules: true,
      discard: "old",
      max_msgs: -1,
      max_bytes: -1,
      max_msgs_per_subject: -1,
    });
    expect(await streamConfig(client, names.events)).toMatchObject({
      subjects: [`${namespace}.event.>`],
      retention: "limits",
      max_age: ns(7 * day),
    });
    expect(await streamConfig(client, names.dead)).toMatchObject({ retention: "limits", max_age: ns(30 * day) });
    for (const bucket of buckets) {
      expect(await streamConfig(client, bucket)).toMatchObject({
        max_msgs_per_subject: 1,
        allow_msg_ttl: true,
        allow_direct: false,
      });
    }
  });

  test("are left alone by those who connect later and want the same", async () => {
    await stage.connect();
    const client = await stage.client();
    const spy = await spyOnChanges(client);
    await stage.connect();
    await stage.connect({ provision: "check" });
    expect(await spy.subjects()).toEqual([]);
  });

  test("are made once by five systems that connect at once, and all five work", async () => {
    const systems = await Promise.all(Array.from({ length: 5 }, () => stage.connect()));
    const seen: unknown[] = [];
    const One = actorOf({ name: "one", lanes: ["high"], subscribe: ["went.by"] }, (input) => void seen.push(input));
    const recorders = (await Promise.all(systems.map((system) => system.work([One])))).map((worker) => record(worker));
    await Promise.all(systems.map((system, n) => system.tell("one", n)));
    await systems[0]?.publish("went.by", 5);
    await expect.poll(() => recorders.reduce((sum, one) => sum + one.of("completed").length, 0), patient).toBe(6);
    expect(seen.map(Number).toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("take up limits that changed, and keep what they hold", async () => {
    const first = await stage.connect();
    const client = await stage.client();
    await first.tell("waiting", 1, { id: "kept" });
    await stage.connect({
      limits: { maxPerActor: 7, maxBytes: 5_000_000, eventsMaxAge: "1d", deadMaxAge: "3d", dedupWindow: "10s" },
    });
    expect(await streamConfig(client, stage.names.tasks)).toMatchObject({
      max_msgs_per_subject: 7,
      max_bytes: 5_000_000,
      duplicate_window: ns(10_000),
    });
    expect(await streamConfig(client, stage.names.events)).toMatchObject({ max_age: ns(day) });
    expect(await streamConfig(client, stage.names.dead)).toMatchObject({ max_age: ns(3 * day) });
    expect(await client.count(stage.names.tasks)).toBe(1);
  });

  test("with another storage than asked for are refused, not replaced", async () => {
    const first = await stage.connect();
    const client = await stage.client();
    await first.tell("waiting", 1);
    const spy = await spyOnChanges(client);
    await expect(stage.connect({ durability: "dev" })).rejects.toMatchObject({
      name: "TopologyMismatchError",
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(
        new RegExp(
          `^The stream ${stage.names.tasks} exists with other settings \\(storage is "file" and should be "memory"\\); .+ use another namespace\\.$`,
        ),
      ),
    });
    expect(await spy.subjects()).toEqual([]);
    expect(await client.count(stage.names.tasks)).toBe(1);
  });

  test("that somebody made with another retention are refused too", async () => {
    const client = await stage.client();
    await client.jsm.streams.add({ name: stage.names.tasks, subjects: [`${stage.namespace}.task.>`] });
    await expect(stage.connect()).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(/retention is "limits" and should be "workqueue"/),
    });
  });

  test("whose subjects another stream has are refused in the server's words", async () => {
    const client = await stage.client();
    await client.jsm.streams.add({ name: `X_${stage.namespace}`, subjects: [`${stage.namespace}.task.normal.>`] });
    await expect(stage.connect()).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(
        /^The server refused the stream t\d+_TASKS: its subject .+ overlaps with those of the stream \w+; .+\.$/,
      ),
    });
  });

  test("of two namespaces know nothing of each other", async () => {
    const one = await stage.connect();
    const other = await stage.connect({ namespace: `${stage.namespace}-other` });
    const seen: string[] = [];
    const actor = (label: string) =>
      actorOf({ name: "same", subscribe: ["went.by"], result: { ttl: "1m" } }, (input) => {
        seen.push(`${label} ${String(input)}`);
      });
    const recorders = [record(await one.work([actor("one")])), record(await other.work([actor("other")]))];
    await one.tell("same", "task", { id: "x" });
    await one.publish("went.by", "event");
    await recorders[0]?.until("completed", 2);
    await other.tell("same", "own", { id: "x" });
    await recorders[1]?.until("completed", 1);
    expect(seen).toEqual(["one task", "one event", "other own"]);
  });

  test('with durability "dev" are in memory', async () => {
    await stage.connect({ durability: "dev" });
    const client = await stage.client();
    for (const name of [stage.names.tasks, stage.names.dead, `KV_${stage.names.runsBucket}`]) {
      expect((await streamConfig(client, name)).storage).toBe("memory");
    }
  });

  test("that one server alone cannot replicate are refused", async () => {
    await expect(stage.connect({ durability: "replicated" })).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(/replicas/),
    });
  });
});

describe('provision: "check"', () => {
  test("refuses what is missing, and makes nothing", async () => {
    const client = await stage.client();
    const spy = await spyOnChanges(client);
    await expect(stage.connect({ provision: "check" })).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(
        new RegExp(`^The stream ${stage.names.tasks} does not exist and provision is "check"; create it .+\\.$`),
      ),
    });
    expect(await spy.subjects()).toEqual([]);
  });

  test("refuses what differs, and changes nothing", async () => {
    await stage.connect();
    const client = await stage.client();
    const spy = await spyOnChanges(client);
    await expect(stage.connect({ provision: "check", limits: { maxPerActor: 5 } })).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringContaining("max_msgs_per_subject is 1000000 and should be 5"),
    });
    expect(await spy.subjects()).toEqual([]);
  });

  test("refuses a durable that is missing or differs, and works with one that is as it should be", async () => {
    const system = await stage.connect();
    const checking = await stage.connect({ provision: "check" });
    const client = await stage.client();
    const One = actorOf({ name: "one", ackWait: "20s" }, () => "done");
    await expect(checking.work([One])).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringContaining(`The durable one on ${stage.names.tasks} does not exist`),
    });
    expect(await filters(client, stage.names.tasks)).toEqual({});
    await (await system.work([One])).stop();
    const spy = await spyOnChanges(client);
    const looks = await spyOn(client, "$JS.API.CONSUMER.INFO.>");
    await checking.work([One]);
    expect(new Set(await looks.subjects()), "it looks at its own durables alone").toEqual(
      new Set([stage.names.tasks, stage.names.schedule].map((stream) => `$JS.API.CONSUMER.INFO.${stream}.one`)),
    );
    expect(await checking.ask(One, {})).toBe("done");
    // A longer one would do, since a live worker may need it.
    const Other = actorOf({ name: "one", ackWait: "30s" }, () => {});
    await expect(checking.work([Other])).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringContaining("ack_wait is 20000000000 and should be 30000000000"),
    });
    expect(await spy.subjects()).toEqual([]);
  });
});

describe("the durables of an actor", () => {
  const config: ActorConfig = {
    name: "pay.charge",
    ackWait: "7s",
    lanes: ["critical", "low"],
    subscribe: ["orders.placed", on("users.*")],
  };
  const Charge = actorOf(config, () => {});

  test("are one for its tasks, one for each lane of its own, one for what comes due, one for its events", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await system.work([Charge]);
    const { namespace, names } = stage;
    const name = "pay=2Echarge";
    expect(await filters(client, names.tasks)).toEqual({
      [name]: [`${namespace}.task.high.pay.charge`, `${namespace}.task.normal.pay.charge`],
      [`${name}=critical`]: [`${namespace}.task.critical.pay.charge`],
      [`${name}=low`]: [`${namespace}.task.low.pay.charge`],
    });
    expect(await filters(client, names.schedule)).toEqual({ [name]: [`${namespace}.due.*.pay.charge`] });
    expect(await filters(client, names.events)).toEqual({
      [name]: [`${namespace}.event.orders.placed`, `${namespace}.event.users.*`],
    });
    for (const [stream, durable] of [
      [names.tasks, name],
      [names.tasks, `${name}=low`],
      [names.schedule, name],
      [names.events, name],
    ] as const) {
      const wanted: Partial<ConsumerConfig> = {
        ack_policy: "explicit",
        ack_wait: ns(7_000),
        max_deliver: -1,
        max_ack_pending: -1,
        max_waiting: 4_096,
      };
      expect((await client.jsm.consumers.info(stream, durable)).config).toMatchObject(wanted);
    }
  });

  test("stay when the worker stops, and are found as they are by the next one", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await (await system.work([Charge])).stop();
    expect(Object.keys(await filters(client, stage.names.tasks))).toHaveLength(3);
    const spy = await spyOnChanges(client);
    await (await system.work([Charge])).stop();
    expect(await spy.subjects()).toEqual([]);
  });

  test("take up a changed ack-wait", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const actor = (ackWait: "10s" | "20s") => actorOf({ name: "one", ackWait }, () => {});
    await (await system.work([actor("10s")])).stop();
    await (await system.work([actor("20s")])).stop();
    expect((await client.jsm.consumers.info(stage.names.tasks, "one")).config.ack_wait).toBe(ns(20_000));
  });

  test("made by somebody else with settings that cannot change are refused", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    await client.jsm.consumers.add(stage.names.tasks, {
      durable_name: "one",
      ack_policy: "explicit",
      filter_subject: stage.names.taskSubject("one", "*"),
      max_waiting: 10,
    });
    await expect(system.work([actorOf({ name: "one" }, () => {})])).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(
        /durable one on \S+ exists with other settings \(max_waiting is 10 and should be 4096\)/,
      ),
    });
  });
});

describe("lanes", () => {
  const laned = (lanes: Lane[], seen: string[]) =>
    actorOf({ name: "laned", lanes, concurrency: 1 }, (input) => void seen.push(String(input)));
  const all: Lane[] = ["critical", "high", "normal", "low"];

  test("each reach the actor, whether it declares them or not, and the actor's own lane is the default", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: string[] = [];
    const recorder = record(await system.work([laned(["critical"], seen)]));
    for (const lane of all) await system.tell("laned", lane, { lane });
    await recorder.until("completed", 4);
    expect(seen.toSorted()).toEqual(all.toSorted());
    await system.tell(
      actorOf({ name: "by.default", lane: "low" }, () => {}),
      1,
    );
    expect(await client.last(stage.names.tasks, stage.names.taskSubject("by.default", "low"))).toBeDefined();
  });

  test("of their own are not held up by a backlog in another", async () => {
    const system = await stage.connect();
    const seen: string[] = [];
    const count = 2_000;
    await system.tellMany(
      "laned",
      Array.from({ length: count }, () => "bulk"),
      { lane: "low" },
    );
    const recorder = record(await system.work([laned(["critical"], seen)]));
    await recorder.until("completed", 10);
    const behind = seen.length;
    await system.tell("laned", "urgent", { lane: "critical" });
    await recorder.until("completed", count + 1, 40_000);
    expect(seen.indexOf("urgent") - behind, "passes the backlog").toBeLessThan(count / 2);
  });

  test("that are added take over from the durable that had them: it is narrowed first, and nothing is lost", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: string[] = [];
    await (await system.work([laned([], seen)])).stop();
    for (const lane of all) await system.tell("laned", lane, { lane });
    const spy = await spyOnChanges(client);
    const recorder = record(await system.work([laned(["critical"], seen)]));
    const [first, second, ...rest] = await spy.subjects();
    expect(first).toMatch(/\.laned$/);
    expect(second).toMatch(/\.laned=critical(\.|$)/);
    expect(rest).toEqual([]);
    await recorder.until("completed", 4);
    expect(seen.toSorted()).toEqual(all.toSorted());
    expect(await client.count(stage.names.tasks)).toBe(0);
  });

  test("may all be declared, from the beginning or later", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: string[] = [];
    await (await system.work([laned([], seen)])).stop();
    for (const lane of all) await system.tell("laned", lane, { lane });
    const recorder = record(await system.work([laned(all, seen)]));
    await recorder.until("completed", 4);
    expect(seen.toSorted()).toEqual(all.toSorted());
    expect(await client.count(stage.names.tasks)).toBe(0);
    const fresh = record(await system.work([actorOf({ name: "fresh", lanes: all }, () => {})]));
    for (const lane of all) await system.tell("fresh", lane, { lane });
    await fresh.until("completed", 4);
  });

  test("that are no longer declared keep their durables, so that rolling back works and nothing is left lying", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const seen: string[] = [];
    await (await system.work([laned(["critical", "low"], seen)])).stop();
    for (const lane of all) await system.tell("laned", lane, { lane });
    const before = await filters(client, stage.names.tasks);
    const recorder = record(await system.work([laned(["low"], seen)]));
    await recorder.until("completed", 4);
    expect(seen.toSorted()).toEqual(all.toSorted());
    expect(await filters(client, stage.names.tasks)).toEqual(before);
  });

  test("of an older and a newer config are served side by side", async () => {
    const system = await stage.connect();
    const seen: string[] = [];
    const older = await system.work([laned([], seen)]);
    const recorders = [record(older), record(await system.work([laned(["high"], seen)]))];
    await (await system.work([laned([], seen)])).stop();
    for (const lane of all) await system.tell("laned", lane, { lane });
    await expect.poll(() => recorders.reduce((sum, one) => sum + one.of("completed").length, 0), patient).toBe(4);
    expect(seen.toSorted()).toEqual(all.toSorted());
  });

  test("hold when a dead letter of theirs is requeued", async () => {
    const system = await stage.connect();
    let broken = true;
    const Failing = actorOf({ name: "failing", lanes: ["critical"], retry: { attempts: 1 } }, () => {
      if (broken) throw new Error("no");
    });
    const recorder = record(await system.work([Failing]));
    await system.tell(Failing, {}, { lane: "critical" });
    await recorder.until("dead");
    const letter = await onlyDead(system);
    expect(letter.origin.subject).toBe(stage.names.taskSubject("failing", "critical"));
    broken = false;
    const client = await stage.client();
    const spy = await spyOn(client, `${stage.namespace}.task.>`);
    await system.dead.requeue(letter.sequence);
    await recorder.until("completed");
    expect(await spy.subjects()).toEqual([stage.names.taskSubject("failing", "critical")]);
    expect(await listDead(system)).toEqual([]);
  });
});

describe("an embedded server", () => {
  test("is started for the system, reachable for others, and ended with it", async () => {
    const system = await ActorSystem.connect({ embedded: true, log: "silent" });
    const [url = ""] = system.servers;
    expect(url).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    const Echo = actorOf({ name: "echo" }, (input) => input);
    await system.work([Echo]);
    const other = await ActorSystem.connect({ servers: url, log: "silent" });
    expect(await other.ask("echo", "hello")).toBe("hello");
    await other.close();
    const plain = await connect({ servers: url, reconnect: false });
    await system.close();
    await plain.closed();
    await expect(connect({ servers: url, timeout: 1_000 })).rejects.toThrow(/refused/i);
  });

  test("that was started for a system that then cannot connect is ended too", async () => {
    const folder = await mkdtemp(join(tmpdir(), "godwit-test-"));
    const before = process.env["TMPDIR"];
    process.env["TMPDIR"] = folder;
    try {
      const connecting = ActorSystem.connect({ embedded: true, durability: "replicated", log: "silent" });
      await until("the server has a store", async () => (await readdir(folder)).length > 0);
      await expect(connecting).rejects.toMatchObject({ code: "TOPOLOGY_MISMATCH" });
      expect(await readdir(folder), "its store is gone, which happens after its end").toEqual([]);
    } finally {
      if (before === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = before;
      await rm(folder, { recursive: true, force: true });
    }
  });
});
