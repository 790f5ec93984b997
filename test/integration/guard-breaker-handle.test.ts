/** `ctx.breaker(name)`: a circuit breaker inside a handler. */
import { expect, test } from "vitest";
import { Actor, config, type Context } from "../../src/index.ts";
import { onlyDead } from "../support/dead.ts";
import { callerOf, Dependency, historyOf } from "../support/guard/dependency.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const settings = { volume: 3, resetAfter: "1s" } as const;

function actor(name: string, receive: (ctx: Context, input: unknown) => unknown, attempts = 1) {
  return class Inside extends Actor<unknown, unknown> {
    static override readonly config = config({ name, retry: { attempts, base: 10, backoff: "fixed", jitter: "none" } });
    override async receive(input: unknown, ctx: Context): Promise<unknown> {
      return receive(ctx, input);
    }
  };
}

test("it opens, and what it refuses and a failed probe put the message back without an attempt", async () => {
  const dependency = new Dependency();
  const system = await stage.connect();
  const fire = (ctx: Context): Promise<void> => ctx.breaker("inner", settings).fire(() => dependency.call(ctx));
  const worker = await system.work([actor("trips", fire, 50), actor("once", fire, 1)]);
  const history = historyOf(worker);
  dependency.up = false;
  await system.tellMany("trips", [1, 2, 3], { id: (n) => `t${n}` });
  await expect.poll(() => history, patient).toContain("inner open");
  await system.tellMany("once", [1, 2, 3], { id: (n) => `m${n}` });
  for (const n of [1, 2, 3]) await expect.poll(() => history, patient).toContain(`deferred m${n}: breaker-open`);
  const opened = dependency.calls.length;
  await expect.poll(() => dependency.calls.length, patient).toBeGreaterThanOrEqual(opened + 2);
  dependency.up = true;
  for (const n of [1, 2, 3]) await expect.poll(() => history, patient).toContain(`completed m${n} in attempt 1`);
  expect(history.filter((line) => line.startsWith("dead"))).toEqual([]);
  expect(history).toContain("inner closed");
});

test("its fallback runs while it is open, and `open` tells", async () => {
  const system = await stage.connect();
  const seen: string[] = [];
  const fire = async (ctx: Context): Promise<void> => {
    const breaker = ctx.breaker("inner", { volume: 1, resetAfter: "1m" });
    const { open } = breaker;
    const fn = (): never => {
      throw new Error("down");
    };
    const given = await breaker.fire(fn, () => "fallen back");
    seen.push(`${open ? "open" : "closed"}: ${given}`);
  };
  const history = historyOf(await system.work([actor("asks", fire, 2)]));
  await system.tell("asks", {}, { id: "a" });
  await expect.poll(() => history, patient).toContain("completed a in attempt 2");
  expect(seen).toEqual(["open: fallen back"]);
  expect(history).toContain("retry a");
});

test("it is the same circuit as that of the config that declares it, with the config's settings", async () => {
  const dependency = new Dependency();
  dependency.up = false;
  const system = await stage.connect();
  let refusal: unknown;
  const asks = actor("asks", async (ctx) => {
    // Its own settings would take 100 calls to open.
    await ctx
      .breaker("api", { volume: 100 })
      .fire(() => dependency.call(ctx))
      .catch((error: unknown) => (refusal = error));
  });
  const worker = await system.work([callerOf(dependency, { attempts: 50, resetAfter: "1m" }), asks]);
  const history = historyOf(worker);
  await system.tellMany("asks", [1, 2, 3], { id: (n) => `a${n}` });
  await expect.poll(() => history, patient).toContain("api open");
  await system.tell("asks", {}, { id: "b" });
  await expect.poll(() => history, patient).toContain("completed b in attempt 1");
  expect(refusal).toMatchObject({ name: "Deferred", reason: "breaker-open", message: "The circuit of api is open." });
  expect(dependency.calls).toHaveLength(3);
});

test("a probe of the config's breaker may ask the same breaker inside", async () => {
  const dependency = new Dependency();
  dependency.up = false;
  const receive = (ctx: Context): Promise<void> => ctx.breaker("api").fire(() => dependency.call(ctx));
  const system = await stage.connect();
  const history = historyOf(await system.work([callerOf(dependency, { attempts: 50, resetAfter: 300, receive })]));
  await system.tellMany("caller", [1, 2, 3], { id: (n) => `m${n}` });
  await expect.poll(() => history, patient).toContain("api open");
  dependency.up = true;
  await expect.poll(() => history, patient).toContain("api closed");
  for (const n of [1, 2, 3])
    await expect.poll(() => history.some((line) => line.startsWith(`completed m${n}`)), patient).toBe(true);
});

test("two handlers that give one name other settings: the second is told", async () => {
  const system = await stage.connect();
  const volumes = actor("asks", (ctx, input) => ctx.breaker("inner", { volume: input as number }).fire(() => "ok"));
  const worker = await system.work([volumes]);
  const errors: string[] = [];
  worker.on("dead", ({ error }) => void errors.push(error.message));
  const history = historyOf(worker);
  await system.tell("asks", 3, { id: "first" });
  await expect.poll(() => history, patient).toContain("completed first in attempt 1");
  await system.tell("asks", 4, { id: "second" });
  await expect.poll(() => errors, patient).toHaveLength(1);
  expect(errors[0]).toMatch(/breaker inner has other settings in a handler of the actor asks .*volume 3 and 4/);
});

test("what is no function is refused", async () => {
  const system = await stage.connect();
  const fire = (ctx: Context): Promise<unknown> => ctx.breaker("odd").fire("call" as never);
  const worker = await system.work([actor("odd", fire)]);
  const history = historyOf(worker);
  await system.tell("odd", 1, { id: "m" });
  await expect.poll(() => history.join(), patient).toContain("dead m");
  expect((await onlyDead(system)).error).toMatchObject({
    code: "INVALID_CONFIG",
    message: expect.stringContaining('ctx.breaker("odd").fire() takes a function'),
  });
});
