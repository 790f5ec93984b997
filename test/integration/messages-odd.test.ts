/** What handlers do that nobody expects: odd errors, a throwing backoff, sends while the system closes, sends by both halves of a life. */
import { expect, test } from "vitest";
import { Actor, on, type Context } from "../../src/index.ts";
import { actorOf, gate } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";
import { runsRecord } from "../support/runs-record.ts";

const stage = useStage();

/** As a class field declared over the one that Error has leaves it. */
function textless(): Error {
  return Object.defineProperty(new Error("gone"), "message", { value: undefined });
}

test("a handler that sends while its system closes is drained, and no attempt fails", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  const begun = gate();
  const go = gate();
  const Teller = actorOf({ name: "teller", retry: { attempts: 1 } }, async (_input, ctx) => {
    begun.open();
    await go.opened;
    await ctx.tell("later", { from: ctx.id });
  });
  const recorder = record(await system.work([Teller]));
  await system.tell(Teller, {});
  await begun.opened;
  const closing = system.close();
  go.open();
  await closing;
  expect(recorder.of("dead")).toHaveLength(0);
  expect(recorder.of("completed")).toHaveLength(1);
  expect(await client.last(stage.names.tasks, stage.names.taskSubject("later"))).toBeDefined();
});

test("an error without a message is retried and buried like any other, and the worker lives on", async () => {
  const system = await stage.connect();
  const Odd = actorOf<{ odd?: boolean }>({ name: "odd", retry: { attempts: 2, base: 1 } }, (input) => {
    if (input.odd) throw textless();
  });
  const recorder = record(await system.work([Odd]));
  await system.tell(Odd, { odd: true });
  await recorder.until("dead");
  expect(await onlyDead(system)).toMatchObject({ reason: "exhausted", attempts: 2 });
  await system.tell(Odd, {});
  await recorder.until("completed");
});

test("a backoff that throws waits for the base, and its attempts count", async () => {
  const system = await stage.connect();
  const backoff = (): number => {
    throw new Error("no idea");
  };
  const Failing = actorOf({ name: "failing", retry: { attempts: 3, backoff, base: 5, jitter: "none" } }, () => {
    throw new Error("it broke");
  });
  const recorder = record(await system.work([Failing]));
  await system.tell(Failing, {});
  await recorder.until("dead");
  expect(recorder.of("retry").map(({ data }) => data.delayMs)).toEqual([5, 5]);
});

test("what onDead sends is no duplicate of what receive sent, and neither is what another cause sends", async () => {
  const system = await stage.connect();
  const client = await stage.client();
  class Sending extends Actor {
    static override readonly config = { name: "sending", retry: { attempts: 1 }, subscribe: [on("it.happened")] };
    override async receive(_input: unknown, ctx: Context): Promise<void> {
      await ctx.tell("child", { by: "receive" });
      throw new Error("it broke");
    }
    override async onDead(_input: unknown, _error: Error, ctx: Context): Promise<void> {
      await ctx.tell("child", { by: "onDead" });
    }
  }
  const recorder = record(await system.work([Sending]));
  await system.tell(Sending, {}, { id: "same" });
  await system.publish("it.happened", {}, { id: "same" });
  await recorder.until("dead", 2);
  const { subjects = {} } = (
    await client.jsm.streams.info(stage.names.tasks, { subjects_filter: stage.names.taskSubject("child") })
  ).state;
  expect(subjects[stage.names.taskSubject("child")]).toBe(4);
});

test("a wait of many days waits, and does not end at once", async () => {
  const system = await stage.connect();
  const Answering = actorOf({ name: "answering", result: { ttl: "1m" } }, () => "the answer");
  await system.tell(Answering, {}, { id: "one" });
  const asked = system.ask(Answering, {}, { timeout: "60d" });
  const waited = system.result(Answering, "one", { wait: "60d" });
  await system.work([Answering]);
  expect(await asked).toBe("the answer");
  expect(await waited).toMatchObject({ state: "completed", value: "the answer" });
});

test("a snooze longer than the record's life keeps its attempts, and says until when", async () => {
  const system = await stage.connect();
  const Snoozing = actorOf(
    { name: "snoozing", retry: { attempts: 3, base: 1, jitter: "none" } },
    async (_input, ctx) => {
      if (ctx.attempt === 1) throw new Error("once");
      const { Snooze } = await import("../../src/index.ts");
      throw new Snooze("30d");
    },
  );
  const recorder = record(await system.work([Snoozing]));
  const sent = await system.tell(Snoozing, {});
  await recorder.until("deferred");
  const key = stage.names.runsKey(sent.stream, sent.sequence, stage.names.durable("snoozing"));
  const runs = await runsRecord(system, key);
  expect(runs?.until ?? 0).toBeGreaterThan(Date.now() + 29 * 86_400_000);
  const client = await stage.client();
  const stored = await client.last(`KV_${stage.names.runsBucket}`, `$KV.${stage.names.runsBucket}.${key}`);
  expect(Number.parseInt(stored?.header.get("Nats-TTL") ?? "0", 10)).toBeGreaterThan(36 * 86_400);
});
