/** Workers: how many handlers run at once, in which order things start and stop, and who shares the load. */
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ActorStartError, Terminal, type Middleware } from "../../src/index.ts";
import { toError } from "../../src/kernel/errors.ts";
import { actorOf, gate } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";
import { startWorkerProcess } from "../support/start-worker.ts";

const stage = useStage();

/** Counts how many are inside at once, in all and for each name. */
function turnstile() {
  const inside: Record<string, number> = { all: 0 };
  const most: Record<string, number> = { all: 0 };
  const change = (name: string, by: number): void => {
    inside[name] = (inside[name] ?? 0) + by;
    most[name] = Math.max(most[name] ?? 0, inside[name]);
  };
  const pass = async (name: string, ms: number): Promise<void> => {
    for (const one of ["all", name]) change(one, 1);
    await sleep(ms);
    for (const one of ["all", name]) change(one, -1);
  };
  return { most, pass };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("concurrency", () => {
  test("is reached and never exceeded, over tasks, delayed tasks, lanes and events together", async () => {
    const system = await stage.connect();
    const { most, pass } = turnstile();
    const Busy = actorOf({ name: "busy", concurrency: 3, lanes: ["high"], subscribe: ["went.by"] }, () =>
      pass("busy", 4),
    );
    await system.tellMany(Busy, upTo(30));
    await system.tellMany(Busy, upTo(30), { lane: "high" });
    await system.tellMany(Busy, upTo(30), { delay: 30 });
    const recorder = record(await system.work([Busy]));
    await Promise.all(upTo(30).map((n) => system.publish("went.by", n)));
    await recorder.until("completed", 120);
    expect(most["busy"]).toBe(3);
    expect(recorder.of("lost")).toEqual([]);
  });

  test("of one means one after the other", async () => {
    const system = await stage.connect();
    const { most, pass } = turnstile();
    const order: unknown[] = [];
    const Serial = actorOf({ name: "serial", concurrency: 1 }, async (n) => {
      order.push(n);
      await pass("serial", 1);
    });
    await system.tellMany(Serial, upTo(40));
    const recorder = record(await system.work([Serial]));
    await recorder.until("completed", 40);
    expect(most["all"]).toBe(1);
    expect(order, "in the order of sending").toEqual(upTo(40));
  });

  test("of the worker is a ceiling over all its actors, and starves none of them", async () => {
    const system = await stage.connect();
    const { most, pass } = turnstile();
    const order: string[] = [];
    const busy = (name: string) =>
      actorOf({ name, concurrency: 10 }, async () => {
        order.push(name);
        await pass(name, 3);
      });
    const names = ["a", "b", "c"];
    for (const name of names) await system.tellMany(name, upTo(60));
    const worker = await system.work(names.map(busy), { concurrency: 4 });
    const recorder = record(worker);
    await recorder.until("completed", 180);
    expect(most["all"]).toBe(4);
    for (const name of names) {
      const last = order.lastIndexOf(name);
      expect(order.indexOf(name), "begins before the others are done").toBeLessThan(90);
      expect(last, "is not done before the others have begun").toBeGreaterThan(60);
    }
  });

  test("a handler that waits does not hold up the others", async () => {
    const system = await stage.connect();
    const { opened, open } = gate();
    const Mixed = actorOf({ name: "mixed", concurrency: 2 }, async (input) => {
      if (input === "wait") await opened;
    });
    const recorder = record(await system.work([Mixed]));
    await system.tell(Mixed, "wait");
    await recorder.until("started", 1);
    await system.tellMany(Mixed, upTo(20));
    await recorder.until("completed", 20);
    expect(recorder.of("completed").some(({ data }) => data.sequence === 1)).toBe(false);
    open();
    const all = await recorder.until("completed", 21);
    expect(all.at(-1)?.data.sequence).toBe(1);
  });
});

describe("the load", () => {
  test("is shared by two workers of one process", async () => {
    const system = await stage.connect();
    const ran: string[] = [];
    const slow = (label: string) =>
      actorOf({ name: "shared.here", concurrency: 1 }, async () => {
        ran.push(label);
        await sleep(5);
      });
    const first = record(await system.work([slow("first")]));
    const second = record(await system.work([slow("second")]));
    await system.tellMany("shared.here", upTo(40));
    await expect.poll(() => first.of("completed").length + second.of("completed").length, patient).toBe(40);
    expect(ran.filter((label) => label === "first").length).toBeGreaterThan(5);
    expect(ran.filter((label) => label === "second").length).toBeGreaterThan(5);
  });

  test("is shared with a worker in another process, which answers asks too", async () => {
    const system = await stage.connect();
    const child = await startWorkerProcess(stage.url, stage.namespace);
    try {
      expect(await system.ask("shared", { n: "ünï" })).toEqual({ pid: child.pid, input: { n: "ünï" } });
      const Shared = actorOf({ name: "shared", concurrency: 2 }, async (input) => {
        await sleep(10);
        return { pid: process.pid, input };
      });
      await system.work([Shared]);
      const answers = (await Promise.all(upTo(60).map((n) => system.ask("shared", n)))) as {
        pid: number;
        input: number;
      }[];
      expect(answers.map(({ input }) => input)).toEqual(upTo(60));
      for (const pid of [process.pid, child.pid]) {
        expect(answers.filter((answer) => answer.pid === pid).length).toBeGreaterThan(5);
      }
    } finally {
      expect(await child.stop()).toBe(0);
    }
  });
});

describe("middleware", () => {
  test("wraps each run, the first outermost, and may change input and output", async () => {
    const system = await stage.connect();
    const order: unknown[] = [];
    const layer =
      (name: string): Middleware =>
      async (input, ctx, next) => {
        order.push(`${name} in ${String(input)} ${ctx.id} ${ctx.attempt}`);
        const output = await next(`${String(input)}${name}`);
        order.push(`${name} out ${String(output)}`);
        return `${String(output)}${name}`;
      };
    const Wrapped = actorOf({ name: "wrapped", retry: { base: 1 } }, (input, ctx) => {
      order.push(`receive ${String(input)}`);
      if (ctx.attempt === 1) throw new Error("again");
      return "!";
    });
    await system.work([Wrapped], { use: [layer("a"), layer("b")] });
    expect(await system.ask(Wrapped, "x", { id: "i" })).toBe("!ba");
    expect(order).toEqual([
      "a in x i 1",
      "b in xa i 1",
      "receive xab",
      "a in x i 2",
      "b in xa i 2",
      "receive xab",
      "b out !",
      "a out !b",
    ]);
  });

  test("that does not call next keeps the message from the handler, and answers for it", async () => {
    const system = await stage.connect();
    const seen: unknown[] = [];
    const inner: unknown[] = [];
    const Cached = actorOf({ name: "cached" }, (input) => {
      seen.push(input);
      return "fresh";
    });
    const cache: Middleware = (input, _ctx, next) => (input === "known" ? "from the cache" : next(input));
    const counting: Middleware = (input, _ctx, next) => {
      inner.push(input);
      return next(input);
    };
    const recorder = record(await system.work([Cached], { use: [cache, counting] }));
    expect(await system.ask(Cached, "known")).toBe("from the cache");
    expect(await system.ask(Cached, "new")).toBe("fresh");
    await recorder.until("completed", 2);
    expect(seen).toEqual(["new"]);
    expect(inner).toEqual(["new"]);
  });

  test("that throws fails the run as the handler would; one that catches mends it", async () => {
    const system = await stage.connect();
    const Plain = actorOf({ name: "plain" }, (input) => {
      if (input === "break") throw new Error("broken");
      return "fine";
    });
    const guard: Middleware = (input, _ctx, next) => {
      if (input === "forbidden") throw new Terminal("not allowed");
      return next(input).catch(() => "mended");
    };
    const recorder = record(await system.work([Plain], { use: [guard] }));
    expect(await system.ask(Plain, "break")).toBe("mended");
    await system.tell(Plain, "forbidden");
    await recorder.until("dead");
    expect((await onlyDead(system)).error).toMatchObject({ name: "Terminal", message: "not allowed" });
  });
});

describe("starting and stopping", () => {
  test("start() and stop() are called once each, around all messages, stop() in reverse", async () => {
    const system = await stage.connect();
    const calls: string[] = [];
    const logged = (name: string) =>
      actorOf({ name }, () => void calls.push(`${name} receives`), {
        start: async () => {
          await sleep(5);
          calls.push(`${name} starts`);
        },
        stop: async () => {
          await sleep(5);
          calls.push(`${name} stops`);
        },
      });
    await system.tell("one", {});
    await system.tell("two", {});
    const worker = await system.work([logged("one"), logged("two")]);
    const recorder = record(worker);
    expect(worker.actors).toEqual(["one", "two"]);
    await recorder.until("completed", 2);
    await Promise.all([worker.stop(), worker.stop(), system.close()]);
    expect(calls.slice(0, 2)).toEqual(["one starts", "two starts"]);
    expect(calls.slice(2, 4).toSorted()).toEqual(["one receives", "two receives"]);
    expect(calls.slice(4)).toEqual(["two stops", "one stops"]);
  });

  test("a start() that throws rejects work() with an error that names the actor, and stops those that had started, in reverse", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const calls: string[] = [];
    const logged = (name: string, start?: () => void) =>
      actorOf({ name }, () => void calls.push(`${name} receives`), {
        ...(start && { start }),
        stop: () => void calls.push(`${name} stops`),
      });
    const broken = new Error("no database");
    await system.tell("one", {});
    const failing = logged("three", () => {
      throw broken;
    });
    const refused = await system.work([logged("one"), logged("two"), failing, logged("four")]).catch(toError);
    expect(refused).toBeInstanceOf(ActorStartError);
    expect(refused).toMatchObject({
      code: "ACTOR_START_FAILED",
      actor: "three",
      message:
        "The actor three could not start, because its start() threw (Error: no database); mend that and start the worker again.",
    });
    expect((refused as Error).cause).toBe(broken);
    expect(calls).toEqual(["two stops", "one stops"]);
    expect(await client.count(stage.names.tasks), "nothing was taken").toBe(1);
    const recorder = record(await system.work([logged("one")]));
    await recorder.until("completed");
  });

  test("a system that closes while a worker starts stops what had started, and starts nothing more", async () => {
    const system = await stage.connect();
    const { opened, open } = gate();
    const calls: string[] = [];
    const logged = (name: string, started: Promise<void>) =>
      actorOf({ name }, () => {}, {
        start: async () => {
          calls.push(`${name} starts`);
          await started;
        },
        stop: () => void calls.push(`${name} stops`),
      });
    const working = system.work([logged("one", Promise.resolve()), logged("two", opened), logged("three", opened)]);
    const outcome = working.catch((error: unknown) => error);
    await expect.poll(() => calls, patient).toContain("two starts");
    const closing = system.close();
    // As many round trips as a close that does not wait would need to do its harm.
    const { nc } = await stage.client();
    for (let trip = 0; trip < 20; trip++) await nc.flush();
    expect(calls).toEqual(["one starts", "two starts"]);
    open();
    await closing;
    expect(calls).toEqual(["one starts", "two starts", "two stops", "one stops"]);
    expect(await outcome).toMatchObject({ code: "CLOSED" });
  });

  test("a stop() that throws does not keep the others from stopping", async () => {
    const system = await stage.connect();
    const calls: string[] = [];
    const stopping = (name: string, fails: boolean) =>
      actorOf({ name }, () => {}, {
        stop: () => {
          calls.push(name);
          if (fails) throw new Error("cannot stop");
        },
      });
    const worker = await system.work([stopping("one", false), stopping("two", true)]);
    await worker.stop();
    expect(calls).toEqual(["two", "one"]);
  });

  test("stop() lets what runs finish, and takes nothing new", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const { opened, open } = gate();
    const Slow = actorOf({ name: "slow", concurrency: 2 }, async () => {
      await opened;
    });
    const worker = await system.work([Slow]);
    const recorder = record(worker);
    await system.tellMany(Slow, upTo(5));
    await recorder.until("started", 2);
    const stopping = worker.stop();
    open();
    await stopping;
    expect(recorder.of("completed").length, "what ran was finished").toBe(2);
    expect(recorder.of("started")).toHaveLength(2);
    expect(await client.count(stage.names.tasks)).toBe(3);
  });

  test("stop() aborts what does not finish within the grace, and the message counts no attempt for it", async () => {
    const system = await stage.connect();
    const aborted: unknown[] = [];
    const Stubborn = actorOf({ name: "stubborn" }, async (_input, ctx) => {
      if (ctx.deliveries > 1) return;
      await new Promise<void>((resolve) => ctx.signal.addEventListener("abort", () => resolve()));
      aborted.push((ctx.signal.reason as Error).message);
    });
    const worker = await system.work([Stubborn]);
    const recorder = record(worker);
    await system.tell(Stubborn, {});
    await recorder.until("started");
    await worker.stop({ grace: 50 });
    expect(aborted).toEqual(["the worker stops"]);
    expect(recorder.of("interrupted")).toHaveLength(1);
    const again = record(await system.work([Stubborn]));
    const [completed] = await again.until("completed");
    expect(completed?.data).toMatchObject({ attempt: 1, deliveries: 2 });
    expect(again.of("stalled"), "the worker did not die").toEqual([]);
  });

  test("each source makes one instance for a worker, and a function may make it", async () => {
    const system = await stage.connect();
    let made = 0;
    const Base = actorOf({ name: "made" }, () => {});
    class Counted extends Base {
      readonly label: string;
      constructor(label: string) {
        super();
        this.label = label;
        made += 1;
      }
    }
    const recorder = record(await system.work([() => new Counted("x")]));
    await system.tellMany("made", upTo(20));
    await recorder.until("completed", 20);
    expect(made).toBe(1);
  });
});

describe("a listener that throws", () => {
  test("harms neither the message nor the worker", async () => {
    const system = await stage.connect();
    const client = await stage.client();
    const Plain = actorOf({ name: "plain", retry: { attempts: 1 } }, (input, ctx) => {
      ctx.progress(1);
      if (input === "fail") throw new Error("no");
    });
    const worker = await system.work([Plain]);
    let calls = 0;
    const buggy = (): void => {
      calls += 1;
      throw new Error("a bug in a listener");
    };
    for (const event of ["started", "completed", "dead", "progress"] as const) worker.on(event, buggy);
    const recorder = record(worker);
    for (const n of upTo(5)) await system.tell(Plain, n);
    await system.tell(Plain, "fail");
    await system.tell(Plain, "last");
    await expect.poll(() => client.count(stage.names.tasks), patient).toBe(0);
    expect(worker.stats.actors["plain"]).toMatchObject({ completed: 6, dead: 1, lost: 0 });
    expect(calls, "7 started, 7 progress, 6 completed, 1 dead").toBe(21);
    expect(recorder.of("completed"), "other listeners hear all of it").toHaveLength(6);
    await worker.stop();
  });
});
