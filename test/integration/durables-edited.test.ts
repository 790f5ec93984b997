/** Durables that somebody edits under a running worker: put back within seconds, or named, and nothing that waits is lost. */
import type { ConsumerConfig } from "@nats-io/jetstream";
import { describe, test, type ExpectStatic } from "vitest";
import { Inspector } from "../../src/admin/inspector.ts";
import { actorOf } from "../support/actors.ts";
import { consult, said } from "../support/doctor/consult.ts";
import { logged } from "../support/logged.ts";
import { record } from "../support/record.ts";
import { useStage } from "../support/stage.ts";

const stage = useStage();
const ns = (ms: number): number => ms * 1_000_000;
const soon = { timeout: 30_000, interval: 50 };

/** Fails once for what is odd. */
const Fragile = actorOf<number>(
  { name: "one", concurrency: 4, subscribe: ["went.by"], retry: { base: 1, max: 1, jitter: "none" } },
  (input, ctx) => {
    if (typeof input === "number" && input % 2 === 1 && ctx.attempt === 1) throw new Error("once");
  },
);

async function configOf(stream: string, durable = "one"): Promise<ConsumerConfig> {
  const { metadata: _levels, ...config } = (await (await stage.client()).jsm.consumers.info(stream, durable)).config;
  return config;
}

async function edit(stream: string, fields: Partial<ConsumerConfig>): Promise<void> {
  await (await stage.client()).jsm.consumers.update(stream, "one", fields);
}

async function restored(stream: string, expect: ExpectStatic): Promise<void> {
  await expect.poll(async () => (await configOf(stream)).headers_only ?? false, soon).toBe(false);
}

type Edit = [what: string, fields: Partial<ConsumerConfig>];

describe.concurrent("an edit of a durable under a running worker", () => {
  test.for<Edit>([
    ["headers_only", { headers_only: true }],
    ["a priority policy", { priority_policy: "overflow", priority_groups: ["g"] }],
    ["a pinned client", { priority_policy: "pinned_client", priority_groups: ["g"] }],
    ["max_ack_pending", { max_ack_pending: 1 }],
    ["max_deliver", { max_deliver: 5 }],
    ["inactive_threshold", { inactive_threshold: ns(60_000) }],
    ["backoff", { backoff: [ns(60_000)], max_deliver: 5 }],
    ["max_expires", { max_expires: ns(1) }],
    ["max_batch", { max_batch: 1 }],
    ["max_bytes", { max_bytes: 10 }],
    ["mem_storage", { mem_storage: true }],
    ["a shorter ack-wait", { ack_wait: ns(2_000) }],
  ])("%s is put back, logged, and all that was sent meanwhile completes", async ([, fields], { expect }) => {
    const { log, lines } = logged();
    const system = await stage.connect({ log });
    const recorder = record(await system.work([Fragile]));
    const { tasks } = stage.names;
    const before = await configOf(tasks);
    await edit(tasks, fields);
    for (let n = 0; n < 40; n++) await system.tell(Fragile, n);
    await expect.poll(() => configOf(tasks), soon).toEqual(before);
    expect((await recorder.until("completed", 40, 30_000)).length).toBe(40);
    expect(recorder.of("dead")).toEqual([]);
    for (const field of Object.keys(fields)) {
      const changed = { level: "warn", stream: tasks, durable: "one", message: expect.stringContaining(`${field} is`) };
      expect(lines()).toContainEqual(expect.objectContaining(changed));
    }
    expect(system.endpoint.health(60_000).reasons).toEqual([]);
  });

  test("the filters of a durable for events are put back", async ({ expect }) => {
    const system = await stage.connect();
    await system.work([Fragile]);
    const { events, namespace } = stage.names;
    const before = await configOf(events);
    await edit(events, { filter_subjects: [`${namespace}.event.other`] });
    await expect.poll(() => configOf(events), soon).toEqual(before);
  });

  test("the filters of a durable for tasks are put back, and what was passed over meanwhile is named and mended", async ({
    expect,
  }) => {
    const system = await stage.connect();
    const recorder = record(await system.work([Fragile], { rebuildAfter: 300 }));
    const { tasks, namespace } = stage.names;
    const before = await configOf(tasks);
    await edit(tasks, { filter_subjects: [`${namespace}.task.normal.nobody`] });
    for (let n = 0; n < 5; n++) await system.tell(Fragile, 2);
    await expect.poll(() => configOf(tasks), soon).toEqual(before);
    await expect
      .poll(() => system.endpoint.health(60_000).reasons, soon)
      .toContainEqual(expect.stringContaining("5 of its messages are stored, and no durable will ever hand them out"));
    expect(await new Inspector(system).mendStranded()).toMatchObject([{ sentAgain: 5, left: 0 }]);
    expect((await recorder.until("completed", 5, 30_000)).length).toBe(5);
  });

  test("a pause stays, and so does a durable that is gone, which is named", async ({ expect }) => {
    const system = await stage.connect();
    const worker = await system.work([Fragile], { rebuildAfter: 300 });
    const recorder = record(worker);
    const { tasks, schedule, events } = stage.names;
    const { jsm } = await stage.client();
    await jsm.consumers.delete(tasks, "one");
    await jsm.consumers.pause(events, "one", new Date(Date.now() + 3_600_000));
    await edit(events, { headers_only: true });
    await edit(schedule, { headers_only: true });
    await restored(schedule, expect);
    await restored(events, expect);
    expect((await jsm.consumers.info(events, "one")).paused).toBe(true);
    await expect(jsm.consumers.info(tasks, "one")).rejects.toThrow("consumer not found");
    await expect
      .poll(() => system.endpoint.health(1_000).reasons, soon)
      .toContainEqual(expect.stringContaining(`its durable one on ${tasks} is gone`));
    expect(recorder.of("problem").filter(({ data }) => data.error.message.includes("changed the durable"))).toEqual([]);
  });

  test("a lane that a deploy has given a durable of its own is not taken back by workers that do not know it", async ({
    expect,
  }) => {
    const system = await stage.connect();
    const recorder = record(await system.work([Fragile]));
    const { tasks, schedule } = stage.names;
    const next = await stage.connect();
    await next.work([actorOf({ name: "one", lanes: ["high"], subscribe: ["went.by", "came.by"] }, () => {})]);
    const [common, heard] = [await configOf(tasks), await configOf(stage.names.events)];
    expect(common.filter_subjects).toHaveLength(3);
    for (let look = 0; look < 2; look++) {
      await edit(schedule, { headers_only: true });
      await restored(schedule, expect);
    }
    expect(await configOf(tasks)).toEqual(common);
    expect(await configOf(stage.names.events)).toEqual(heard);
    expect(recorder.of("problem")).toEqual([]);
  });

  test("is named in log, health and doctor where it may not be put back; what comes without its body waits", async ({
    expect,
  }) => {
    await stage.connect().then((system) => system.provision([Fragile]));
    const { log, lines } = logged();
    const system = await stage.connect({ provision: "check", log });
    const recorder = record(await system.work([Fragile]));
    const { tasks } = stage.names;
    await edit(tasks, { headers_only: true });
    for (let n = 0; n < 10; n++) await system.tell(Fragile, n);
    const named = expect.stringMatching(/has changed the durable one on .*_TASKS of one: headers_only is true/);
    await expect
      .poll(() => system.endpoint.health(60_000), soon)
      .toMatchObject({
        healthy: false,
        restart: false,
        reasons: [named],
      });
    expect(lines()).toContainEqual(expect.objectContaining({ level: "error", error: named }));
    expect(said(await consult(system), "durable-settings")).toMatchObject([{ level: "fault", subject: "actor one" }]);
    expect((await configOf(tasks)).headers_only).toBe(true);
    await edit(tasks, { headers_only: false });
    expect((await recorder.until("completed", 10, 30_000)).length).toBe(10);
    expect(recorder.of("dead")).toEqual([]);
    await expect.poll(() => system.endpoint.health(60_000).reasons, soon).toEqual([]);
  });

  test("a message whose sender has written that its body was left out does not wait for one", async ({ expect }) => {
    const system = await stage.connect();
    const recorder = record(await system.work([Fragile]));
    const client = await stage.client();
    await client.publish(stage.names.taskSubject("one", "normal"), "", { "Nats-Msg-Size": "7" });
    const [dead] = await recorder.until("dead", 1, 30_000);
    expect(dead?.data.reason).toBe("undecodable");
  });
});
