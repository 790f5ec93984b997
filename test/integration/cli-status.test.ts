/** `godwit status` and `godwit actor retire`: what is counted, what is shown, and what is refused. */
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { Actor } from "../../src/actor/actor.ts";
import { Terminal } from "../../src/actor/signals.ts";
import type { ActorStatus, Status } from "../../src/admin/status.ts";
import { benchOf } from "../support/cli/look.ts";
import { until } from "../support/embedded/until.ts";
import { callerOf, Dependency, historyOf } from "../support/guard/dependency.ts";
import { patient } from "../support/stage.ts";

const bench = benchOf("status");

async function status(): Promise<Status> {
  return (await bench.json("status")) as Status;
}

async function actorStatus(name: string): Promise<ActorStatus | undefined> {
  return (await status()).actors.find(({ actor }) => actor === name);
}

const releases: (() => void)[] = [];
afterEach(() => {
  for (const release of releases.splice(0)) release();
});

/** Runs until it is released; one at a time. */
class Gate extends Actor {
  static override readonly config = { name: "the.gate", concurrency: 1, subscribe: ["orders.>"] };
  override receive(input: unknown): Promise<void> {
    if (input === "fail") throw new Terminal("no such thing");
    return new Promise((resolve) => releases.push(resolve));
  }
}

class Urgent extends Actor {
  static override readonly config = { name: "urgent", lanes: ["critical" as const] };
  override receive(): void {}
}

async function runOnce(...actors: (new () => Actor<never, unknown>)[]): Promise<void> {
  await (await bench.system.work(actors)).stop();
}

describe("status", () => {
  test("of a namespace that holds nothing of Godwit is one sentence, and makes nothing", async () => {
    const { code, stdout, stderr } = await bench.run(["status"], { NATS_URL: bench.server.url });
    expect(code).toBe(0);
    expect(stdout).toContain("No actor has run here yet.");
    expect(stderr).toBe("");
    const { namespace } = bench;
    bench.namespace = "nowhere";
    const wrong = await bench.run(["status"]);
    bench.namespace = namespace;
    expect(wrong).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "godwit: There is nothing of Godwit in the namespace 'nowhere' on that server; start a worker there first, or correct --namespace or --servers. (NOT_FOUND)\n",
    });
    expect((await bench.parts.reader.streamNames()).filter((name) => /nowhere/.test(name))).toEqual([]);
  });

  test("counts what waits, by lane, what is due, scheduled, dead, in flight, and who listens", async () => {
    await runOnce(Gate, Urgent);
    const { system, parts, namespace } = bench;
    for (let n = 0; n < 3; n++) await system.tell("the.gate", n);
    for (let n = 0; n < 2; n++) await system.tell("the.gate", n, { lane: "high" });
    await system.tell("urgent", 1, { lane: "critical" });
    await system.tell("urgent", 1, { lane: "low" });
    await system.tell("the.gate", 1, { delay: "1h" });
    await system.tell("the.gate", 1, { delay: 20 });
    await system.publish("orders.placed", 1);
    await until(
      "it is due",
      async () => (await parts.reader.count(parts.names.schedule, parts.names.dueSubject("the.gate"))) > 0,
    );
    const { actors, streams, ...rest } = await status();
    expect(rest).toEqual({ namespace, at: expect.stringMatching(/Z$/), scheduled: 1, dead: 0, orphans: [] });
    expect(streams).toMatchObject([
      { stream: `${namespace}_TASKS`, messages: 7, firstSequence: 1, lastSequence: 7, bytes: expect.any(Number) },
      { stream: `${namespace}_SCHEDULE`, messages: 2 },
      { stream: `${namespace}_EVENTS`, messages: 1 },
      { stream: `${namespace}_DEAD`, messages: 0 },
    ]);
    expect(actors).toEqual([
      {
        actor: "the.gate",
        waiting: 5,
        lanes: { critical: 0, high: 2, normal: 3, low: 0 },
        due: 1,
        events: 1,
        scheduled: 1,
        inFlight: 0,
        listening: 0,
        workers: 0,
        holdUps: [{ why: "no-worker", silent: [] }],
        paused: false,
        dead: 0,
      },
      expect.objectContaining({ actor: "urgent", waiting: 2, lanes: { critical: 1, high: 0, normal: 0, low: 1 } }),
    ]);
  });

  test("tells waiting from in flight, lane by lane, while a worker has some in hand", async () => {
    const worker = await bench.system.work([Gate]);
    await until("a worker listens", async () => ((await actorStatus("the.gate"))?.listening ?? 0) > 0);
    const started = once(worker, "started");
    await bench.system.tell("the.gate", 0, { lane: "high" });
    await started;
    for (let n = 0; n < 4; n++) await bench.system.tell("the.gate", n, { lane: n < 2 ? "high" : "normal" });
    // The worker may take one more, and hold it.
    const gate = await until("the rest waits", async () => {
      const now = await actorStatus("the.gate");
      return now && now.waiting + now.inFlight === 5 && now.waiting <= 4 ? now : undefined;
    });
    expect(gate.inFlight).toBeGreaterThan(0);
    expect(gate.lanes.high + gate.lanes.normal).toBe(gate.waiting);
    expect(gate.lanes.normal).toBe(2);
  });

  test("lists what nobody serves", async () => {
    await runOnce(Gate);
    await bench.system.tell("the.gaet", 1);
    await bench.system.tell("the.gaet", 1, { delay: 10 });
    const { reader, names } = bench.parts;
    await until("it is due", async () => (await reader.count(names.schedule, names.dueSubject("the.gaet"))) > 0);
    const { orphans } = await status();
    expect(orphans).toEqual([
      { stream: names.tasks, subject: names.taskSubject("the.gaet"), messages: 1 },
      { stream: names.schedule, subject: names.dueSubject("the.gaet"), messages: 1 },
    ]);
    const { stdout } = await bench.run(["status"]);
    expect(stdout).toMatch(/NOBODY SERVES +MESSAGES\n.*\.task\.normal\.the\.gaet +1\n.*\.due\.normal\.the\.gaet +1\n/);
  });

  test("fits 80 columns and is aligned, whatever the names and figures", async () => {
    const name = "a-service-with-a-long-name.and-an-actor-with-another.that-goes-on-and-on";
    class Long extends Actor {
      static override readonly config = { name, subscribe: ["x"] };
      override receive(): void {}
    }
    await runOnce(Long, Gate);
    await bench.system.tellMany(
      name,
      Array.from({ length: 1_200 }, (_, n) => n),
    );
    await bench.system.tell(name, 1, { lane: "high" });
    await bench.system.tell(name, 1, { delay: "1h" });
    await bench.system.publish("x", 1);
    await bench.system.tell("nobody.has-run-this-one-ever.and-its-name-is-long-too.really-long", 1);
    const { stdout } = await bench.run(["status"], { COLUMNS: "80" });
    const lines = stdout.split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).toContain("1,201");
    expect(stdout).toContain("…");
    const [title = "", ...rows] = lines.slice(lines.findIndex((line) => line.startsWith("ACTOR")));
    expect(title).toMatch(/^ACTOR +WAITING +EVENTS +SCHEDULED +IN FLIGHT +WORKERS +DEAD$/);
    // Figures are aligned at the right: each ends where its title ends.
    const end = title.indexOf("WAITING") + "WAITING".length;
    expect(rows.slice(0, 2).map((row) => row.slice(0, end).split(" ").at(-1))).toEqual(["1,201", "0"]);
    // A program gets the whole name.
    expect((await bench.run(["status"])).stdout).toContain(name);
  });

  test("with nobody reading ends in silence", async () => {
    const main = new URL("../../dist/src/cli/main.js", import.meta.url).pathname;
    const { execFile } = await import("node:child_process");
    const said = await new Promise<string>((resolve) => {
      const script = `{ '${process.execPath}' '${main}' status -s ${bench.server.url} -n ${bench.namespace}; echo "code $?" >&2; } | true`;
      execFile("sh", ["-c", script], { cwd: bench.cwd }, (_error, _stdout, stderr) => resolve(stderr));
    });
    expect(said).toBe("code 0\n");
  });
});

describe("actor retire", () => {
  test("deletes every durable of the actor, those for events and foreign streams too, and no other", async () => {
    const { namespace, parts } = bench;
    const stream = `${namespace}-sensors`;
    await parts.connection.jsm.streams.add({ name: stream, subjects: [`${namespace}x.>`] });
    const foreign = { stream, subject: `${namespace}x.>`, schema: undefined, map: undefined };
    class Sensor extends Actor {
      static override readonly config = {
        name: "the.sensor",
        lanes: ["high" as const],
        subscribe: ["orders.>", foreign],
      };
      override receive(): void {}
    }
    await runOnce(Sensor, Gate);
    const { code, stdout, stderr } = await bench.run(["actor", "retire", "the.sensor"]);
    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n").toSorted()).toEqual(
      [
        `${namespace}_TASKS  the=2Esensor`,
        `${namespace}_TASKS  the=2Esensor=high`,
        `${namespace}_SCHEDULE  the=2Esensor`,
        `${namespace}_EVENTS  the=2Esensor`,
        `${stream}  ${namespace}=on=the=2Esensor`,
      ].toSorted(),
    );
    expect(stderr).toBe("godwit: the.sensor is retired: 5 durables deleted.\n");
    expect((await status()).actors.map(({ actor }) => actor)).toEqual(["the.gate"]);
    expect(await parts.reader.consumers(stream)).toEqual([]);
  });

  test("is refused while a worker listens, while messages wait, and for what has never run", async () => {
    const worker = await bench.system.work([Gate]);
    await until("a worker listens", async () => ((await actorStatus("the.gate"))?.listening ?? 0) > 0);
    const listened = await bench.run(["actor", "retire", "the.gate"]);
    expect(listened).toMatchObject({ code: 1, stdout: "" });
    expect(listened.stderr).toMatch(
      /^godwit: The actor the\.gate is in use \(workers listen to it\); .* --force\. \(IN_USE\)\n$/,
    );
    await worker.stop();
    await until("nobody listens", async () => (await actorStatus("the.gate"))?.listening === 0);
    await bench.system.tell("the.gate", 1);
    await bench.system.tell("the.gate", 1, { delay: "1h" });
    await bench.system.publish("orders.placed", 1);
    const waiting = await bench.run(["actor", "retire", "the.gate", "--json"]);
    expect(waiting).toMatchObject({ code: 1, stdout: "" });
    expect(JSON.parse(waiting.stderr)).toMatchObject({
      error: { code: "IN_USE", message: expect.stringMatching(/tasks not done: 2, .*; events not done: 1, /) },
    });
    expect(await actorStatus("the.gate")).toMatchObject({ waiting: 1, events: 1 });
    expect((await bench.run(["actor", "retire", "never.ran"])).stderr).toMatch(
      /^godwit: No actor never\.ran .*\(NOT_FOUND\)\n$/,
    );
  });

  test("is refused while a worker runs that an open circuit keeps from pulling", async () => {
    const dependency = new Dependency();
    dependency.up = false;
    const breaker = { volume: 1, resetAfter: "1h" } as const;
    const tripper = await bench.system.work([callerOf(dependency, { actor: "tripper", ...breaker })]);
    const history = historyOf(tripper);
    await bench.system.tell("tripper", 1);
    await expect.poll(() => history, patient).toContain("api open");
    await tripper.stop();
    const worker = await bench.system.work([callerOf(dependency, breaker)]);
    expect(await actorStatus("caller")).toMatchObject({ waiting: 0, inFlight: 0, listening: 0 });
    const { code, stderr } = await bench.run(["actor", "retire", "caller"]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("in use (workers listen to it)") });
    await worker.stop();
    expect(await bench.json("actor", "retire", "caller")).toMatchObject({ actor: "caller" });
  });

  test("--force does it all the same, and says what is left and lost; the tasks are served when it is back", async () => {
    await runOnce(Gate);
    await bench.system.tell("the.gate", 1, { id: "kept" });
    await bench.system.publish("orders.placed", 1);
    expect(await bench.json("actor", "retire", "the.gate", "--force")).toMatchObject({
      actor: "the.gate",
      durables: [{ stream: bench.parts.names.tasks }, {}, {}],
      tasksLeft: 1,
      eventsLost: 1,
    });
    expect((await status()).orphans).toMatchObject([{ messages: 1 }]);
    const worker = await bench.system.work([Gate]);
    const [started] = await once(worker, "started");
    expect(started).toMatchObject({ id: "kept" });
  });
});
