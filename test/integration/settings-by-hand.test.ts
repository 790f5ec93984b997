/** Settings of streams and durables that somebody changed by hand: put back where they lose or hide more, else kept and told of. */
import type { ConsumerConfig, StreamConfig } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { actorOf } from "../support/actors.ts";
import { consult, said } from "../support/doctor/consult.ts";
import { logged } from "../support/logged.ts";
import { useStage } from "../support/stage.ts";
import type { Names } from "../../src/message/subjects.ts";

const stage = useStage();
const ns = (ms: number): number => ms * 1_000_000;
const One = actorOf({ name: "one", subscribe: ["went.by"] }, () => {});

type Of = (names: Names) => string;
const tasks: Of = (names) => names.tasks;
const schedule: Of = (names) => names.schedule;
const events: Of = (names) => names.events;
const dead: Of = (names) => names.dead;
const runs: Of = (names) => `KV_${names.runsBucket}`;
const payloads: Of = (names) => `OBJ_${names.payloadsBucket}`;

async function edit(stream: string, fields: Partial<StreamConfig>): Promise<void> {
  const { jsm } = await stage.client();
  const { config } = await jsm.streams.info(stream);
  await jsm.streams.update(stream, { ...config, ...fields });
}

test.each<[what: string, of: Of, fields: Partial<StreamConfig>]>([
  ["max_age of the tasks", tasks, { max_age: ns(3_000), duplicate_window: ns(3_000) }],
  ["max_age of the schedules", schedule, { max_age: ns(300_000) }],
  ["max_age of a bucket", runs, { max_age: ns(300_000) }],
  ["max_msgs of the dead letters", dead, { max_msgs: 3 }],
  ["max_msgs of an object store", payloads, { max_msgs: 3 }],
  ["max_bytes of the events", events, { max_bytes: 1_000 }],
  ["max_msgs_per_subject of the events", events, { max_msgs_per_subject: 1 }],
  ["max_msg_size of the tasks", tasks, { max_msg_size: 10 }],
  ["max_consumers of the tasks", tasks, { max_consumers: 5 }],
  ["discard of the tasks", tasks, { discard: "old", discard_new_per_subject: false }],
  ["no_ack of the tasks", tasks, { no_ack: true }],
  ["subjects of the events", events, { subjects: ["elsewhere.by.hand"] }],
  ["subject_transform of the events", events, { subject_transform: { src: ">", dest: "away.>" } }],
  ["allow_direct of the dead letters", dead, { allow_direct: false }],
  ["consumer_limits of the tasks", tasks, { consumer_limits: { inactive_threshold: ns(60_000) } }],
  ["retention of the events", events, { retention: "interest" }],
  ["duplicate_window of the tasks", tasks, { duplicate_window: ns(100) }],
])("%s is told by the doctor as a fault or a warning, and put back when a worker starts", async (_what, of, fields) => {
  const system = await stage.connect();
  await system.provision([One]);
  const { jsm } = await stage.client();
  const stream = of(stage.names);
  const { config: before } = await jsm.streams.info(stream);
  await edit(stream, fields);
  const [finding] = said(await consult(system), "stream-settings");
  expect(finding).toMatchObject({ subject: stream, level: expect.stringMatching(/^(fault|warning)$/) });
  for (const field of Object.keys(fields)) expect(finding?.finding).toContain(field);
  await system.work([One]);
  expect((await jsm.streams.info(stream)).config).toEqual(before);
});

test.each<[what: string, of: Of, fields: Partial<StreamConfig>]>([
  ["more max_age of the events", events, { max_age: ns(30 * 86_400_000) }],
  ["more max_bytes of the tasks", tasks, { max_bytes: 20_000_000_000 }],
  ["a longer duplicate_window", tasks, { duplicate_window: ns(300_000) }],
  ["more max_msgs_per_subject of a bucket", runs, { max_msgs_per_subject: 5 }],
  ["a republish", tasks, { republish: { src: ">", dest: "tap.>" } }],
])("%s is kept, logged at the start of a worker, and noted by the doctor", async (_what, of, fields) => {
  await stage.connect();
  const stream = of(stage.names);
  await edit(stream, fields);
  const { log, lines } = logged();
  const system = await stage.connect({ log });
  await system.work([One]);
  const { jsm } = await stage.client();
  const [[field, value]] = Object.entries(fields) as [[string, unknown]];
  expect((await jsm.streams.info(stream)).config).toMatchObject({ [field]: value });
  expect(lines()).toContainEqual({ level: "warn", stream, message: expect.stringContaining(`${field} is`) });
  expect(said(await consult(system), "stream-settings")).toMatchObject([
    { level: "note", subject: stream, finding: expect.stringContaining(field) },
  ]);
});

test.each<[field: string, of: Of, fields: Partial<StreamConfig>]>([
  ["deny_purge", tasks, { deny_purge: true }],
  ["deny_delete", dead, { deny_delete: true }],
  ["sealed", events, { sealed: true }],
])(
  "%s, which the server does not change back, is named at a start and a fault for the doctor",
  async (field, of, fields) => {
    const system = await stage.connect();
    const stream = of(stage.names);
    await edit(stream, fields);
    expect(said(await consult(system), "stream-settings")).toContainEqual(
      expect.objectContaining({
        level: "fault",
        subject: stream,
        finding: expect.stringContaining(`${field} is true`),
      }),
    );
    await expect(system.work([One])).rejects.toMatchObject({
      code: "TOPOLOGY_MISMATCH",
      message: expect.stringMatching(new RegExp(`stream ${stream} exists with other settings .*${field} is true`)),
    });
  },
);

test.each<[what: string, fields: Partial<ConsumerConfig>]>([
  ["max_deliver", { max_deliver: 2 }],
  ["max_ack_pending", { max_ack_pending: 3 }],
  ["headers_only", { headers_only: true }],
  ["backoff", { backoff: [ns(1_000)], max_deliver: 5 }],
  ["inactive_threshold", { inactive_threshold: ns(60_000) }],
  ["max_batch", { max_batch: 1 }],
  ["max_expires", { max_expires: ns(1_000) }],
  ["max_bytes", { max_bytes: 10 }],
  ["mem_storage", { mem_storage: true }],
  ["priority_policy", { priority_policy: "overflow", priority_groups: ["g"] }],
])(
  "%s of a durable is told by the doctor, and put back when a worker starts; its pause stays",
  async (field, fields) => {
    const system = await stage.connect();
    await system.provision([One]);
    const { jsm } = await stage.client();
    const { config: before } = await jsm.consumers.info(stage.names.tasks, "one");
    await jsm.consumers.pause(stage.names.tasks, "one", new Date(Date.now() + 3_600_000));
    await jsm.consumers.update(stage.names.tasks, "one", fields);
    const finding = said(await consult(system), "durable-settings")[0]?.finding;
    expect(finding).toContain(field);
    await system.work([One]);
    const { config, paused } = await jsm.consumers.info(stage.names.tasks, "one");
    const { pause_until: _until, metadata: _levels, ...rest } = config;
    const { metadata: _before, ...wanted } = before;
    expect(rest).toEqual(wanted);
    expect(paused).toBe(true);
  },
);

test("filters of a durable are put back when a worker starts", async () => {
  const system = await stage.connect();
  await system.provision([One]);
  const { jsm } = await stage.client();
  const { config: before } = await jsm.consumers.info(stage.names.events, "one");
  await jsm.consumers.update(stage.names.events, "one", { filter_subjects: [`${stage.namespace}.event.other`] });
  await system.work([One]);
  expect((await jsm.consumers.info(stage.names.events, "one")).config).toEqual(before);
});
