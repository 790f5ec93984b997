/** What programs asked for of the streams: recorded, taken by those who ask for nothing, and lowered only where that is said twice. */
import type { StreamConfig } from "@nats-io/jetstream";
import { describe, expect, test } from "vitest";
import type { SystemOptions } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { logged } from "../support/logged.ts";
import { useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();
const ns = (ms: number): number => ms * 1_000_000;
const hour = 3_600_000;
const limits = { maxBytes: 5e9, maxPerActor: 7, eventsMaxAge: "1h", deadMaxAge: "1h", dedupWindow: "10m" } as const;

const ofStreams = ({ namespace }: { namespace: string }, config: StreamConfig): boolean =>
  config.name.replace(/^(KV|OBJ)_/, "").startsWith(`${namespace}_`);

/** What options decide of each of the namespace's streams. */
async function standing({ jsm }: PlainClient): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {};
  for await (const { config } of jsm.streams.list()) {
    if (!ofStreams(stage, config)) continue;
    const { storage, num_replicas, max_bytes, max_msgs_per_subject, max_age, duplicate_window } = config;
    found[config.name] = { storage, num_replicas, max_bytes, max_msgs_per_subject, max_age, duplicate_window };
  }
  return found;
}

async function change(client: PlainClient, stream: string, fields: Partial<StreamConfig>): Promise<void> {
  const { config } = await client.jsm.streams.info(stream);
  await client.jsm.streams.update(stream, { ...config, ...fields });
}

test("a program that gives no option takes what others asked for, on all ten streams and the object stores", async () => {
  const client = await stage.client();
  const asked = { limits: { ...limits, sizes: { events: 3e8, runs: 2e8, payloads: 1e8 } }, payload: { maxAge: "2h" } };
  await (await stage.connect(asked as SystemOptions)).provision([actorOf({ name: "one" }, () => {})]);
  const before = await standing(client);
  expect(Object.keys(before)).toHaveLength(12);
  expect(before).toMatchObject({
    [stage.names.tasks]: { max_bytes: 5e9, max_msgs_per_subject: 7, duplicate_window: ns(hour / 6) },
    [stage.names.events]: { max_bytes: 3e8, max_age: ns(hour) },
    [stage.names.dead]: { max_age: ns(hour) },
    [`KV_${stage.names.runsBucket}`]: { max_bytes: 2e8, duplicate_window: ns(hour / 6) },
    [`OBJ_${stage.names.payloadsBucket}`]: { max_bytes: 1e8, max_age: ns(2 * hour) },
  });
  for (const provision of ["create", "keep", "check", "use"] as const) {
    const system = await stage.connect({ provision });
    if (provision !== "use") await system.provision([actorOf({ name: "one" }, () => {})]);
    expect(await standing(client)).toEqual(before);
  }
});

test("a program that gives no option takes streams in memory as they are", async () => {
  await stage.connect({ durability: "dev" });
  const client = await stage.client();
  const before = await standing(client);
  const system = await stage.connect();
  await system.provision([actorOf({ name: "one" }, () => {})]);
  expect(await standing(client)).toMatchObject(before);
  expect(await standing(client)).toMatchObject({ [`OBJ_${stage.names.bodiesBucket}`]: { storage: "memory" } });
});

test.each<[option: string, options: SystemOptions, least: SystemOptions]>([
  ["limits.maxBytes", { limits: { maxBytes: 6e9 } }, { limits: { maxBytes: 1e9 } }],
  ["limits.maxPerActor", { limits: { maxPerActor: 9 } }, { limits: { maxPerActor: 8 } }],
  ["limits.eventsMaxAge", { limits: { eventsMaxAge: "2h" } }, { limits: { eventsMaxAge: "1h" } }],
  ["limits.deadMaxAge", { limits: { deadMaxAge: "2h" } }, { limits: { deadMaxAge: "1h" } }],
  ["limits.dedupWindow", { limits: { dedupWindow: "3m" } }, { limits: { dedupWindow: "2m" } }],
  ["payload.maxAge", { payload: { maxAge: "2h" } }, { payload: { maxAge: "1h" } }],
  ["limits.sizes.dead", { limits: { sizes: { dead: 2e8 } } }, { limits: { sizes: { dead: 1e8 } } }],
])("%s is raised at once, and lowered only where that is said twice", async (option, more, less) => {
  const client = await stage.client();
  const One = [actorOf({ name: "one" }, () => {})];
  await (await stage.connect(less)).provision(One);
  const low = await standing(client);
  await (await stage.connect(more)).provision(One);
  const high = await standing(client);
  expect(high).not.toEqual(low);
  await expect(stage.connect(less)).rejects.toMatchObject({
    code: "TOPOLOGY_MISMATCH",
    message: expect.stringMatching(
      new RegExp(`${option} is \\d+ and \\d+ was asked for.*lower: \\["${option}"\\].*--lower ${option}`),
    ),
  });
  await expect(stage.connect({ ...less, lower: ["replicas"] }), "another option was meant").rejects.toThrow(option);
  expect(await standing(client)).toEqual(high);
  await (await stage.connect({ ...less, lower: [option as "replicas"] })).provision(One);
  expect(await standing(client)).toEqual(low);
  await stage.connect(less);
});

test("a default that nobody asked for stands in nobody's way", async () => {
  await stage.connect();
  await stage.connect({ limits: { maxBytes: 1e9, deadMaxAge: "1d" } });
  const client = await stage.client();
  expect(await standing(client)).toMatchObject({ [stage.names.tasks]: { max_bytes: 1e9 } });
});

test("streams from before there were records count as asked for where they differ from the defaults", async () => {
  await stage.connect({ limits });
  const client = await stage.client();
  const all = Object.keys(await standing(client));
  for (const name of all) {
    const { config } = await client.jsm.streams.info(name);
    await client.jsm.streams.update(name, { ...config, metadata: {} });
  }
  const before = await standing(client);
  await stage.connect();
  expect(await standing(client)).toEqual(before);
  await expect(stage.connect({ limits: { dedupWindow: "5m" } })).rejects.toThrow("limits.dedupWindow");
  // What an older version does that knows of no record.
  await change(client, stage.names.events, { duplicate_window: ns(60_000), max_age: ns(hour / 2) });
  await stage.connect();
  expect(await standing(client)).toEqual(before);
});

test("programs that start at once and ask for different things all get them", async () => {
  const asked: SystemOptions[] = [
    { limits: { maxBytes: 2e9 } },
    { limits: { maxPerActor: 5 } },
    { limits: { dedupWindow: "9m" } },
    { limits: { sizes: { runs: 3e8 } } },
    {},
  ];
  for (const fresh of [true, false]) {
    const namespace = `${stage.namespace}-${fresh}`;
    if (!fresh) await stage.connect({ namespace });
    await Promise.all(asked.map((options) => stage.connect({ ...options, namespace })));
    const { parts } = await stage.connect({
      namespace,
      provision: "check",
      limits: { maxBytes: 2e9, maxPerActor: 5, dedupWindow: "9m", sizes: { runs: 3e8 } },
    });
    const { config } = await parts.connection.jsm.streams.info(parts.names.dead);
    expect(JSON.parse(config.metadata?.["godwit.asked"] ?? "")).toEqual({
      "limits.dedupWindow": 540_000,
      "limits.maxBytes": 2e9,
      "limits.maxPerActor": 5,
      "limits.sizes.runs": 3e8,
    });
  }
});

test("a record that is damaged counts as nothing asked for", async () => {
  await stage.connect();
  const client = await stage.client();
  const texts = ["{", "[]", "null", '"x"', '{"replicas":"3","limits.maxBytes":-1,"placement":7}'];
  for (const text of texts) {
    await change(client, stage.names.tasks, { metadata: { "godwit.asked": text } });
    await stage.connect();
  }
  expect(await standing(client)).toMatchObject({ [stage.names.tasks]: { max_bytes: 1e10, num_replicas: 1 } });
});

describe("every change is logged,", () => {
  test("from what to what", async () => {
    const { log, lines } = logged();
    await stage.connect();
    await stage.connect({ log, limits: { deadMaxAge: "2h" } });
    expect(lines()).toContainEqual({
      level: "warn",
      message: "changed the stream",
      stream: stage.names.dead,
      field: "max_age",
      from: ns(720 * hour),
      to: ns(2 * hour),
    });
  });
});
