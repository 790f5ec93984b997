/** What one user's code does stays with it: its listeners' errors, its async context, its copy of the package. */
import { AsyncLocalStorage } from "node:async_hooks";
import { expect, test, vi } from "vitest";
import * as z from "zod";
import { InvalidNameError, TimeLimitError, type WorkerEvents } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { collectLogs } from "../support/logs.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();

test("an asynchronous listener that throws ends no process; it is logged, whatever the event", async () => {
  const { log, lines } = collectLogs();
  const system = await stage.connect({ log });
  const Task = actorOf<string>({ name: "task", retry: { attempts: 2, base: 1, max: 1 } }, (body, ctx) => {
    ctx.progress(1);
    if (body === "bad") throw new Error("no");
  });
  const worker = await system.work([Task]);
  const rejected = (event: string) => () => Promise.reject(new Error(`of ${event}`)) as never;
  const events = ["started", "completed", "retry", "dead", "progress"] as const satisfies (keyof WorkerEvents)[];
  for (const event of events) worker.on(event, rejected(event));
  worker.once("completed", rejected("once"));
  const seen = record(worker);
  await system.tell(Task, "bad");
  await seen.until("dead");
  await system.tell(Task, "good");
  await seen.until("completed");
  await new Promise((resolve) => setImmediate(resolve));
  const messages = new Set(lines.map(({ message }) => message));
  for (const event of events) expect(messages).toContain(`a listener of "${event}" threw`);
});

test("what a handler, a schema, a middleware, a hook or a listener enters of an AsyncLocalStorage no other message sees", async () => {
  const system = await stage.connect();
  const storage = new AsyncLocalStorage<string>();
  const leaks: unknown[] = [];
  const enter = (where: string): void => {
    // Its own message may see it, in what comes after.
    storage.enterWith(where);
  };
  const look = (where: string): void => {
    const store = storage.getStore();
    if (store !== undefined) leaks.push(`${where} sees ${store}`);
  };
  const input = z.number().refine(() => {
    look("schema");
    enter("schema");
    return true;
  });
  const hooks = {
    start: () => enter("start"),
    onDead: () => enter("onDead"),
  };
  const First = actorOf(
    { name: "first", input, concurrency: 1, retry: { attempts: 1 } },
    () => {
      enter("handler");
      throw new Error("no");
    },
    hooks,
  );
  const Second = actorOf<number>(
    { name: "second", concurrency: 1 },
    () => {
      look("second");
      enter("second");
    },
    hooks,
  );
  const worker = await system.work([First, Second], {
    use: [
      (body, ctx, next) => {
        if (ctx.actor === "second") look("middleware");
        enter("middleware");
        return storage.exit(() => next(body));
      },
    ],
  });
  worker.on("started", () => (look("started"), enter("started")));
  worker.on("completed", () => (look("completed"), enter("completed")));
  worker.on("dead", () => enter("dead"));
  const seen = record(worker);
  const bodies = Array.from({ length: 10 }, (_, index) => index);
  await Promise.all([system.tellMany("first", bodies), system.tellMany(Second, bodies)]);
  await seen.until("dead", 10);
  await seen.until("completed", 10);
  await system.tell(Second, 11);
  await seen.until("completed", 11);
  expect(leaks).toEqual([]);
});

test("actors, events, signals and errors of another copy of the package do what those of this one do", async () => {
  const system = await stage.connect();
  vi.resetModules();
  const other = await import("../../src/index.ts");
  expect(other.TimeLimitError).not.toBe(TimeLimitError);
  const Placed = other.event("orders.placed", z.object({ order: z.string() }));
  const ran: string[] = [];
  const Task = class extends other.Actor<{ order: string }> {
    static override readonly config = other.config({
      name: "task",
      input: z.object({ order: z.string() }),
      retry: { attempts: 2, base: 1, max: 1, when: (error) => !(error instanceof other.TimeLimitError) },
      subscribe: [other.on(Placed)],
    });
    override receive({ order }: { order: string }, ctx: { attempt: number; deliveries: number }): void {
      ran.push(`${order} ${ctx.attempt}`);
      if (order === "terminal") throw new other.Terminal("no use");
      if (order === "snooze" && ctx.deliveries === 1) throw new other.Snooze(1);
      if (order === "again" && ctx.attempt === 1) throw new other.RetryAfter(1);
      // As this copy throws it.
      if (order === "limit") throw new TimeLimitError("task", 1);
    }
  };
  const worker = await system.work([Task]);
  const seen = record(worker);
  await system.publish(Placed, { order: "event" });
  for (const order of ["terminal", "snooze", "again", "limit"]) await system.tell(Task, { order });
  await seen.until("completed", 3);
  const dead = await seen.until("dead", 2);
  expect(new Set(dead.map(({ data }) => data.reason))).toEqual(new Set(["terminal"]));
  expect(ran.filter((run) => run.startsWith("snooze"))).toEqual(["snooze 1", "snooze 1"]);
  expect(ran).toContain("again 2");
  await expect(system.tell("no such name", 1)).rejects.toBeInstanceOf(other.InvalidNameError);
  await expect(system.tell("no such name", 1)).rejects.not.toBeInstanceOf(other.TimeLimitError);
  await expect(system.tell("no such name", 1)).rejects.toBeInstanceOf(InvalidNameError);
});
