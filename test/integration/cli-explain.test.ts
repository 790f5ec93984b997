/** `godwit explain` in every state that a message can be in. */
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { Actor } from "../../src/actor/actor.ts";
import { Terminal } from "../../src/actor/signals.ts";
import type { Explanation } from "../../src/admin/api.ts";
import { benchOf } from "../support/cli/look.ts";
import { until } from "../support/embedded/until.ts";
import { placeLike } from "../support/place.ts";

const bench = benchOf("explain");

/** What `godwit explain` finds. */
async function found(...args: string[]): Promise<Explanation["found"]> {
  return (await explained(...args)).found;
}

/** The whole of it. The exit code says whether anything was found. */
async function explained(...args: string[]): Promise<Explanation> {
  const { code, stdout, stderr } = await bench.run(["explain", ...args, "--json"]);
  const explanation = JSON.parse(stdout) as Explanation;
  expect({ code, stderr }).toEqual({ code: explanation.found.length > 0 ? 0 : 1, stderr: "" });
  return explanation;
}

let release: () => void = () => undefined;
afterEach(() => release());

class Echo extends Actor<unknown, unknown> {
  static override readonly config = { name: "echo", result: { ttl: "5m" as const } };
  override receive(input: unknown): unknown {
    if (input === "fail") throw new Terminal("no such thing");
    return { got: input };
  }
}

/** Runs until it is released. */
class Gate extends Actor {
  static override readonly config = { name: "the.gate", concurrency: 1 };
  override receive(): Promise<void> {
    return new Promise((resolve) => (release = resolve));
  }
}

class Failing extends Actor {
  static override readonly config = {
    name: "failing",
    retry: { base: "1h" as const, max: "1h" as const, jitter: "none" as const },
  };
  override receive(): void {
    throw new TypeError("the partner is down");
  }
}

class Listener extends Actor {
  static override readonly config = { name: "listener", subscribe: ["orders.*"] };
  override receive(input: unknown): void {
    if (input === "fail") throw new Terminal("bad event");
  }
}

/** Makes an actor's durables and leaves nobody listening. */
async function runOnce(...actors: (new () => Actor<never, unknown>)[]): Promise<void> {
  await (await bench.system.work(actors)).stop();
}

describe("a task", () => {
  test("waits, behind those ahead of it", async () => {
    await runOnce(Gate);
    for (const id of ["g1", "g2", "g3"]) await bench.system.tell("the.gate", 1, { id });
    expect(await found("g3")).toEqual([
      {
        id: "g3",
        actor: "the.gate",
        state: "waiting",
        ahead: 2,
        holdUps: [{ why: "no-worker", silent: [] }],
        listening: 0,
        place: {
          stream: `${bench.namespace}_TASKS`,
          sequence: 3,
          subject: `${bench.namespace}.task.normal.the.gate`,
          lane: "normal",
          storedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        },
      },
    ]);
    const { stdout } = await bench.run(["explain", "g3"]);
    expect(stdout).toMatch(
      /^the\.gate g3\n {2}state +waiting, with 2 messages ahead of it\n[^]*held up +no worker runs this actor/,
    );
  });

  test("waits for an actor that nobody has ever run", async () => {
    await bench.system.tell("mistyped", 1, { id: "m", expiresIn: "1h" });
    expect(await found("m")).toMatchObject([
      { id: "m", actor: "mistyped", state: "unserved", place: { sequence: 1, expiresAt: expect.any(String) } },
    ]);
    expect((await bench.run(["explain", "m"])).stdout).toContain("is the name right?");
  });

  test("is scheduled, then due", async () => {
    await runOnce(Gate);
    await bench.system.tell("the.gate", 1, { id: "later", delay: "1h" });
    const [scheduled] = await found("later");
    expect(scheduled).toMatchObject({ actor: "the.gate", state: "scheduled", place: { sequence: 1 } });
    const { until: time } = scheduled as { until: string };
    expect(Date.parse(time) - Date.now()).toBeGreaterThan(3_500_000);
    expect((await bench.run(["explain", "later"])).stdout).toMatch(/scheduled for .* \(in (59|60)(\.\d)? min\)/);

    await bench.system.tell("the.gate", 1, { id: "soon", delay: 50 });
    const { reader, names } = bench.parts;
    await until(
      "the schedule fires",
      async () => (await reader.count(names.schedule, names.dueSubject("the.gate"))) > 0,
    );
    expect(await found("soon")).toMatchObject([
      { actor: "the.gate", state: "waiting", ahead: 0, place: { subject: `${bench.namespace}.due.normal.the.gate` } },
    ]);
  });

  test("runs", async () => {
    const worker = await bench.system.work([Gate]);
    const started = once(worker, "started");
    await bench.system.tell("the.gate", 1, { id: "g" });
    await started;
    expect(await found("g")).toMatchObject([
      { actor: "the.gate", state: "running", attempt: 1, stalls: 0, errors: [] },
    ]);
    expect((await bench.run(["explain", "g"])).stdout).toMatch(
      new RegExp(`running since .*, attempt 1\n[^]*worker +.*pid ${process.pid}`),
    );
    release();
  });

  test("backs off, with the errors of its attempts", async () => {
    const worker = await bench.system.work([Failing]);
    const retry = once(worker, "retry");
    await bench.system.tell("failing", 1, { id: "f" });
    await retry;
    const [backingOff] = await found("f");
    expect(backingOff).toMatchObject({
      actor: "failing",
      state: "backing-off",
      attempt: 2,
      stalls: 0,
      errors: [{ attempt: 1, name: "TypeError", message: "the partner is down" }],
    });
    const { until: time } = backingOff as { until: string };
    expect(Date.parse(time) - Date.now()).toBeGreaterThan(3_500_000);
    const { stdout } = await bench.run(["explain", "f"]);
    expect(stdout).toMatch(/backing off until .* \(in (59|60)(\.\d)? min\), then attempt 2/);
    expect(stdout).toMatch(/attempt 1 .* TypeError: the partner is down/);
  });

  test("is dead: by its id and by its place, with why and how to mend it", async () => {
    const worker = await bench.system.work([Echo]);
    const dead = once(worker, "dead");
    await bench.system.tell("echo", "fail", { id: "d" });
    await dead;
    const expected = [{ actor: "echo", state: "dead", sequence: 1, dead: { reason: "terminal", attempts: 1 } }];
    await until(
      "it is settled",
      async () => (await bench.parts.reader.get(`${bench.namespace}_TASKS`, 1)) === undefined,
    );
    expect(await found("d")).toMatchObject(expected);
    expect(await found(`${bench.namespace}_TASKS:1`)).toMatchObject(expected);
    expect(await found(`${bench.namespace}_DEAD:1`)).toMatchObject(expected);
    const { stdout } = await bench.run(["explain", "d"]);
    expect(stdout).toContain("dead letter 1: terminal");
    expect(stdout).toContain("Terminal: no such thing");
    expect(stdout).toContain("godwit dead requeue 1");
  });

  test("is done with its result; failed where the dead letter is gone; pending where the message is", async () => {
    const worker = await bench.system.work([Echo]);
    await bench.system.ask("echo", 5, { id: "done" });
    expect(await found("done")).toEqual([{ id: "done", actor: "echo", state: "completed", value: { got: 5 } }]);
    expect((await bench.run(["explain", "done"])).stdout).toContain('result  {"got":5}');

    await expect(bench.system.ask("echo", "fail", { id: "failed" })).rejects.toThrow("no such thing");
    await bench.system.dead.purge(1);
    expect(await found("failed")).toEqual([
      { id: "failed", actor: "echo", state: "failed", reason: "terminal", error: "Terminal: no such thing" },
    ]);

    await worker.stop();
    const { stream, sequence } = await bench.system.tell(Echo, 1, { id: "lost" });
    expect(await found("lost")).toMatchObject([{ state: "waiting" }]);
    await bench.parts.reader.deleteMessage(stream, sequence);
    expect(await found("lost")).toEqual([{ id: "lost", actor: "echo", state: "pending" }]);
  });

  test("is gone, or was never there", async () => {
    await bench.system.work([Listener]);
    await bench.system.ask("listener", 1);
    const { names } = bench.parts;
    await until("it is settled", async () => (await bench.parts.reader.get(names.tasks, 1)) === undefined);
    expect(await found(`${names.tasks}:1`)).toMatchObject([{ state: "gone" }]);
    expect(await found(`${names.tasks}:2`)).toEqual([]);
    expect(await found("never")).toEqual([]);
    expect(await bench.run(["explain", "never"])).toEqual({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^godwit: Nothing is stored about never: .* \(NOT_FOUND\)\n$/),
    });
  });
});

describe("an event, for each actor that hears it", () => {
  test("waits, is done, is dead", async () => {
    await runOnce(Listener);
    await bench.system.publish("orders.placed", 1, { id: "o1" });
    await bench.system.publish("orders.placed", "fail", { id: "o2" });
    await bench.system.publish("unheard", 1, { id: "o3" });
    expect(await found("o2")).toMatchObject([
      { actor: "listener", state: "waiting", ahead: 1, place: { stream: `${bench.namespace}_EVENTS`, sequence: 2 } },
    ]);
    expect(await found("o3")).toMatchObject([{ state: "unserved" }]);
    const worker = await bench.system.work([Listener]);
    await once(worker, "dead");
    await worker.stop();
    expect(await found("o1")).toMatchObject([{ actor: "listener", state: "settled" }]);
    expect(await found("o2")).toMatchObject([{ actor: "listener", state: "dead", dead: { reason: "terminal" } }]);
  });

  test("of a stream that someone else made, by its place", async () => {
    const stream = `${bench.namespace}-sensors`;
    const subject = `${bench.namespace}x.temperature`;
    await bench.parts.connection.jsm.streams.add({ name: stream, subjects: [subject] });
    class Sensor extends Actor {
      static override readonly config = {
        name: "sensor",
        subscribe: [{ stream, subject, schema: undefined, map: undefined }],
      };
      override receive(): void {}
    }
    await runOnce(Sensor);
    bench.parts.connection.nc.publish(subject, "21");
    await until("it is stored", async () => (await bench.parts.reader.state(stream))?.messages === 1);
    expect(await found(`${stream}:1`)).toMatchObject([{ id: placeLike(stream, 1), actor: "sensor", state: "waiting" }]);
  });
});

describe("looking for an id", () => {
  test("gives an answer for each actor that has the id, and --actor picks one", async () => {
    await runOnce(Gate);
    await bench.system.tell("the.gate", 1, { id: "same" });
    await bench.system.tell("other", 1, { id: "same" });
    await bench.system.tell("other.one", 1, { id: "same", delay: "1h" });
    expect(await found("same")).toMatchObject([
      { actor: "the.gate", state: "waiting" },
      { actor: "other", state: "unserved" },
      { actor: "other.one", state: "scheduled" },
    ]);
    expect(await found("same", "--actor", "other")).toMatchObject([{ actor: "other", state: "unserved" }]);
  });

  test("takes any id: with a colon and digits, with dots and blanks, and that of a message without one", async () => {
    await bench.system.tell("a", 1, { id: "order:12" });
    await bench.system.tell("a", 1, { id: "Müller & 1.5*", delay: "1h" });
    bench.parts.connection.nc.publish(`${bench.namespace}.task.normal.a`, "1");
    const { names, reader } = bench.parts;
    await until("it is stored", async () => (await reader.count(names.tasks, names.taskSubject("a"))) === 2);
    expect(await found("order:12")).toMatchObject([{ id: "order:12", state: "unserved" }]);
    expect(await found("Müller & 1.5*")).toMatchObject([{ id: "Müller & 1.5*", state: "scheduled" }]);
    expect(await found(`${names.tasks}-2`)).toMatchObject([{ id: placeLike(names.tasks, 2), state: "unserved" }]);
    expect(await bench.run(["explain", " "])).toMatchObject({ code: 2, stdout: "" });
  });

  test("looks through the newest messages only, gaps left out, and says so", async () => {
    const { names, reader } = bench.parts;
    for (let n = 1; n <= 40; n++) await bench.system.tell("a", n, { id: `n${n}` });
    // Sixteen go from the middle: the newest 20 are then 5 to 14 and 31 to 40.
    for (let sequence = 15; sequence <= 30; sequence++) await reader.deleteMessage(names.tasks, sequence);
    const searched = (id: string): Promise<Explanation> => explained(id, "--scan", "20");
    expect((await searched("n5")).found).toHaveLength(1);
    const cut = await searched("n4");
    expect(cut.found).toEqual([]);
    expect(cut.searched).toContainEqual({ stream: names.tasks, looked: 20, of: 24 });
    const { stderr } = await bench.run(["explain", "n4", "--scan", "20"]);
    expect(stderr).toContain(`Looked through only the newest 20 of 24 in ${names.tasks}; --scan looks further.`);
    expect(await found("n4")).toHaveLength(1);
  });
});
