/** Deliveries that the server has forgotten and begins to count anew: each run that failed counts as an attempt, once. */
import { expect, test } from "vitest";
import type { ActorClass, ActorSystem } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { onlyDead } from "../support/dead.ts";
import { record } from "../support/record.ts";
import { patient, useStage } from "../support/stage.ts";

const stage = useStage();
const retry = { attempts: 4, base: 300, max: 300, jitter: "none", backoff: "fixed" } as const;

/** A server that was killed may know nothing more of its deliveries; a durable made anew knows none, and counts from 1. */
async function forget(name: string): Promise<void> {
  const client = await stage.client();
  await client.jsm.consumers.delete(stage.names.tasks, stage.names.durable(name));
}

/** Works until a message has failed so often, and then as if nothing of it had been delivered. */
async function workAndForget(system: ActorSystem, actor: ActorClass, failures: number): Promise<void> {
  const worker = await system.work([actor as never]);
  await record(worker).until("retry", failures);
  await worker.stop();
  await forget("failing");
}

async function ended(): Promise<void> {
  const client = await stage.client();
  await expect.poll(() => client.count(stage.names.tasks), patient).toBe(0);
}

test("a message that begins anew as a first delivery has the attempts that it had, and its letter tells each", async () => {
  const system = await stage.connect();
  let ran = 0;
  const Failing = actorOf({ name: "failing", retry }, () => {
    ran += 1;
    throw new Error(`failure ${ran}`);
  });
  await system.tell("failing", 1);
  await workAndForget(system, Failing, 2);
  const seen = record(await system.work([Failing]));
  const [dead] = await seen.until("dead");
  expect(ran).toBe(4);
  expect(dead?.data).toMatchObject({ attempt: 4, deliveries: 2 });
  const letter = await onlyDead(system);
  expect(letter).toMatchObject({ attempts: 4, deliveries: 2, stalls: 0, reason: "exhausted" });
  expect(letter.history.map(({ attempt, message }) => [attempt, message])).toEqual(
    [1, 2, 3, 4].map((attempt) => [attempt, `failure ${attempt}`]),
  );
  await ended();
});

test("forgotten again and again it still dies after its attempts", async () => {
  const system = await stage.connect();
  let ran = 0;
  const Failing = actorOf({ name: "failing", retry }, () => {
    ran += 1;
    throw new Error("no");
  });
  await system.tell("failing", 1);
  for (let time = 0; time < 3; time++) await workAndForget(system, Failing, 1);
  await record(await system.work([Failing])).until("dead");
  expect(ran).toBe(4);
  expect(await onlyDead(system)).toMatchObject({ attempts: 4, deliveries: 1 });
  await ended();
});

test("one that dies before it runs again, since its body no longer fits, is told to have failed as often as it has", async () => {
  const system = await stage.connect();
  const Failing = actorOf({ name: "failing", retry }, () => {
    throw new Error("no");
  });
  await system.tell("failing", 1);
  await workAndForget(system, Failing, 2);
  const input = {
    "~standard": { version: 1, vendor: "test", validate: () => ({ issues: [{ message: "no more" }] }) },
  } as const;
  const Strict = actorOf({ name: "failing", retry, input }, () => undefined);
  await record(await system.work([Strict as never])).until("dead");
  const letter = await onlyDead(system);
  expect(letter).toMatchObject({ reason: "invalid", attempts: 2, deliveries: 1 });
  expect(letter.history.map(({ attempt }) => attempt)).toEqual([1, 2]);
  await ended();
});

test("one whose letter could not be stored before it was forgotten dies with every attempt told", async () => {
  const system = await stage.connect();
  let ran = 0;
  const Failing = actorOf({ name: "failing", ackWait: "2s", retry: { ...retry, attempts: 2 } }, () => {
    ran += 1;
    throw new Error("no");
  });
  const worker = await system.work([Failing]);
  const client = await stage.client();
  await client.jsm.streams.delete(stage.names.dead);
  await system.tell("failing", 1);
  await record(worker).until("deferred");
  await worker.stop();
  await forget("failing");
  const later = await stage.connect();
  await record(await later.work([Failing])).until("dead");
  // A first delivery reads nothing before it runs.
  expect(ran).toBe(3);
  const letter = await onlyDead(later);
  expect(letter).toMatchObject({ reason: "exhausted", attempts: 3 });
  expect(letter.history.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  await ended();
});

test("one that a late run has completed ends where its forgotten delivery fails", async () => {
  const system = await stage.connect();
  const Failing = actorOf({ name: "failing", retry }, () => {
    throw new Error("no");
  });
  const { sequence } = await system.tell("failing", 1);
  const client = await stage.client();
  const stored = await client.jsm.streams.getMessage(stage.names.tasks, { seq: sequence });
  const place = { stream: stage.names.tasks, sequence, storedAtMs: stored?.time.getTime() ?? 0 };
  const of = { ...place, consumer: stage.names.durable("failing"), id: "m", count: 1, nonce: "late" };
  await system.parts.runs.note(of, { state: "completed", late: true }, 5_000);
  const seen = record(await system.work([Failing]));
  await ended();
  expect(seen.of("retry")).toEqual([]);
  expect(seen.of("lost").map(({ data }) => data.reason)).toEqual(["completed"]);
});
