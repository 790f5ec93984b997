/** ctx.once when two runs of a message overlap, and when its bucket is away: one outcome, and no effect that nobody may have. */
import { describe, expect, test } from "vitest";
import { silentLogger } from "../../src/kernel/logger.ts";
import { Bucket } from "../../src/broker/bucket.ts";
import { Pipeline } from "../../src/broker/pipeline.ts";
import { Publisher } from "../../src/broker/publisher.ts";
import { ServerClock } from "../../src/broker/server-clock.ts";
import { Once } from "../../src/guard/once/once.ts";
import type { ActorSystem } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { Proxy } from "../support/faults/proxy.ts";
import { untilDrained } from "../support/faults/cast.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();

/** A run of message `m`. */
function runOf({ lost = false, signal = new AbortController().signal } = {}) {
  return { actor: "a", id: "m", cause: "task", signal, log: silentLogger, delivery: { lost } };
}

/** What a process has: `once` over a connection of its own. */
async function process(servers = stage.url, leaseMs = 10_000): Promise<Once> {
  const { connection } = (await stage.connect({ servers })).parts;
  const pipeline = new Pipeline(connection);
  const bucket = new Bucket(stage.names.onceBucket, pipeline, new Publisher(connection, pipeline));
  return new Once(bucket, new ServerClock(pipeline, `KV_${stage.names.onceBucket}`), leaseMs);
}

/** A function that runs until its gate is opened, and gives its name or throws it. */
function effect(name: string, failing = false) {
  const { open, opened } = gate();
  const begun = gate();
  let calls = 0;
  return {
    open,
    begun: begun.opened,
    get calls() {
      return calls;
    },
    run: async (): Promise<string> => {
      calls += 1;
      begun.open();
      await opened;
      if (failing) throw new Error(name);
      return name;
    },
  };
}

/** Takes the bucket away. @returns what brings it back, empty. */
async function removeBucket({ parts }: ActorSystem): Promise<() => Promise<unknown>> {
  const { streams } = parts.connection.jsm;
  const name = `KV_${stage.names.onceBucket}`;
  const { config } = await streams.info(name);
  await streams.delete(name);
  return () => streams.add(config);
}

describe.concurrent("two runs of one message at a time", () => {
  test("the second waits for the first, and is given its value", async () => {
    const [here, there] = [await process(), await process()];
    const [mine, yours] = [effect("mine"), effect("yours")];
    yours.open();
    const first = here.call(runOf(), "k", mine.run);
    await mine.begun;
    const second = there.call(runOf(), "k", yours.run);
    mine.open();
    expect(await Promise.all([first, second])).toEqual(["mine", "mine"]);
    expect(yours.calls).toBe(0);
  });

  test("the second waits for longer than a lease while the first renews it", async ({ expect }) => {
    const client = await stage.client();
    const [here, there] = [await process(stage.url, 300), await process(stage.url, 300)];
    const [mine, yours] = [effect("mine"), effect("yours")];
    yours.open();
    const first = here.call(runOf(), "k", mine.run);
    await mine.begun;
    const second = there.call(runOf(), "k", yours.run);
    // One to take it, nine to renew it: three leases.
    await expect.poll(() => client.lastSequence(`KV_${stage.names.onceBucket}`), patient).toBeGreaterThanOrEqual(10);
    mine.open();
    expect(await Promise.all([first, second])).toEqual(["mine", "mine"]);
    expect(yours.calls).toBe(0);
  });

  test("the second runs its own when the first one's has thrown", async () => {
    const [here, there] = [await process(), await process()];
    const [mine, yours] = [effect("mine", true), effect("yours")];
    yours.open();
    const first = here.call(runOf(), "k", mine.run);
    await mine.begun;
    const second = there.call(runOf(), "k", yours.run);
    mine.open();
    await expect(first).rejects.toThrow("mine");
    expect(await second).toBe("yours");
  });

  test("the wait ends with the run's signal, as a deferral", async () => {
    const [here, there] = [await process(), await process()];
    const mine = effect("mine");
    const first = here.call(runOf(), "k", mine.run);
    await mine.begun;
    const stop = new AbortController();
    const second = there.call(runOf({ signal: stop.signal }), "k", () => "yours");
    stop.abort(new Error("the worker stops"));
    await expect(second).rejects.toMatchObject({ reason: "unavailable" });
    mine.open();
    expect(await first).toBe("mine");
  });

  describe("when the first has lost its connection", () => {
    /** The first is cut off in its function, and the second has begun its own. */
    async function overlapping() {
      const proxy = await Proxy.start(stage.url);
      const [here, there] = [await process(proxy.url, 600), await process(stage.url, 600)];
      const [mine, yours] = [effect("mine"), effect("yours")];
      const first = here.call(runOf(), "k", mine.run);
      await mine.begun;
      proxy.cut();
      const second = there.call(runOf(), "k", yours.run);
      await yours.begun;
      return { proxy, first, second, mine, yours };
    }

    test("the second takes over, and the first is given the value of the second, which was noted first", async () => {
      const { proxy, first, second, mine, yours } = await overlapping();
      yours.open();
      expect(await second).toBe("yours");
      mine.open();
      proxy.mend();
      expect(await first).toBe("yours");
      await proxy.stop();
    });

    test("the second, slower one is given the value of the first, whose effect happened", async () => {
      const { proxy, first, second, mine, yours } = await overlapping();
      proxy.mend();
      mine.open();
      expect(await first).toBe("mine");
      yours.open();
      expect(await second).toBe("mine");
      await proxy.stop();
    });
  });

  test("a run that loses its message in the function still notes what it did", async () => {
    const [here, there] = [await process(), await process()];
    const run = runOf();
    await here.call(run, "k", () => {
      run.delivery.lost = true;
      return "mine";
    });
    expect(await there.call(runOf(), "k", () => "yours")).toBe("mine");
  });

  test("a run that has lost its message does not begin", async () => {
    const here = await process();
    const mine = effect("mine");
    await expect(here.call(runOf({ lost: true }), "k", mine.run)).rejects.toMatchObject({ reason: "unavailable" });
    expect(mine.calls).toBe(0);
  });
});

describe.concurrent("without its bucket", () => {
  test("nothing begins: the message is put back without an attempt being counted, and completes when it is there again", async () => {
    let calls = 0;
    const attempts: number[] = [];
    const Charge = actorOf({ name: "charge" }, (_input, ctx) => {
      attempts.push(ctx.attempt);
      return ctx.once("charge", () => ++calls);
    });
    await (await stage.connect()).provision([Charge]);
    // One that may makes it again.
    const system = await stage.connect({ provision: "check" });
    const recorder = record(await system.work([Charge]));
    const restore = await removeBucket(system);
    await system.tell(Charge, {});
    const [{ data }] = (await recorder.until("deferred")) as [(typeof recorder)["all"][0]];
    expect(data).toMatchObject({ reason: "unavailable", delayMs: 1_000 });
    expect(calls).toBe(0);
    await restore();
    await recorder.until("completed");
    expect(calls).toBe(1);
    expect(new Set(attempts)).toEqual(new Set([1]));
  });

  test("what was begun is noted when the bucket is there again", async () => {
    const system = await stage.connect();
    const [here, there] = [await process(), await process()];
    let restore: (() => Promise<unknown>) | undefined;
    const first = here.call(runOf(), "k", async () => {
      restore = await removeBucket(system);
      return "mine";
    });
    const restoring = await until("it is away", () => restore);
    await restoring();
    expect(await first).toBe("mine");
    expect(await there.call(runOf(), "k", () => "yours")).toBe("mine");
  });

  test("a handler goes on with its value when the note cannot be made for long", async () => {
    const system = await stage.connect();
    let restore: (() => Promise<unknown>) | undefined;
    let calls = 0;
    const Charge = actorOf({ name: "charge" }, (_input, ctx) =>
      ctx.once("charge", async () => {
        restore = await removeBucket(system);
        return ++calls;
      }),
    );
    await system.work([Charge]);
    expect(await system.ask(Charge, {}, { timeout: "25s" })).toBe(1);
    await untilDrained(system);
    await restore?.();
    expect(calls).toBe(1);
  });
});
