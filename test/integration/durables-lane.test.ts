/** A lane that a deploy adds gets a durable of its own, and no message of it changes hands. */
import { test } from "vitest";
import type { ActorConfig, ActorSystem, Lane } from "../../src/index.ts";
import { Inspector } from "../../src/admin/inspector.ts";
import { actorOf, gate, type Gate } from "../support/actors.ts";
import { patient, useStage, type PlainClient } from "../support/stage.ts";

const stage = useStage();
/** Looks of running workers are 5 s apart. */
const slow = { timeout: 40_000, interval: 100 };

interface Noted {
  ran: string[];
  held: Gate;
}

/** Notes each run as `<body>#<attempt>`. "slow" waits for the gate, "first" fails once. */
function noting({ ran, held }: Noted, config: Partial<ActorConfig> = {}) {
  const own: ActorConfig = { name: "a", concurrency: 50, retry: { base: 3_000, jitter: "none" }, ...config };
  return actorOf<string>(own, async (input, ctx) => {
    ran.push(`${input}#${ctx.attempt}`);
    if (input.startsWith("slow")) await held.opened;
    if (input.startsWith("first") && ctx.attempt === 1) throw new Error("once");
  });
}

const note = (): Noted => ({ ran: [], held: gate() });

async function filtersOf(client: PlainClient, durable: string): Promise<string[] | undefined> {
  try {
    const { config } = await client.jsm.consumers.info(stage.names.tasks, durable);
    return (config.filter_subjects ?? [config.filter_subject ?? ""]).toSorted();
  } catch {
    return undefined;
  }
}

const lanesOf = (...lanes: Lane[]): string[] => lanes.map((lane) => stage.names.taskSubject("a", lane)).toSorted();

async function sendAll(system: ActorSystem, bodies: readonly string[], lane: Lane = "high"): Promise<void> {
  for (const body of bodies) await system.tell("a", body, { lane });
}

const numbered = (what: string): string[] => [1, 2, 3, 4, 5].map((n) => `${what}${n}`);

test.concurrent(
  "a lane added by a rolling deploy runs no message twice, and keeps the attempts of those that back off",
  async ({ expect }) => {
    const [before, after] = [await stage.connect(), await stage.connect()];
    const client = await stage.client();
    const noted = note();
    const older = await before.work([noting(noted)]);
    await sendAll(before, [...numbered("slow"), ...numbered("first")]);
    await expect.poll(() => noted.ran.length, patient).toBe(10);
    const newer = await after.work([noting(noted, { lanes: ["high"] })]);
    expect(await filtersOf(client, "a=high"), "while some are in hand").toBeUndefined();
    await sendAll(after, numbered("later"));
    await expect.poll(() => noted.ran.filter((one) => one.startsWith("later")).length, patient).toBe(5);
    noted.held.open();
    const stopped = older.stop();
    await expect.poll(() => filtersOf(client, "a=high"), slow).toEqual(lanesOf("high"));
    expect(await filtersOf(client, "a")).toEqual(lanesOf("critical", "normal", "low"));
    await stopped;
    await sendAll(after, numbered("last"));
    await expect.poll(() => client.count(stage.names.tasks), slow).toBe(0);
    const once = [...numbered("slow"), ...numbered("later"), ...numbered("last")].map((body) => `${body}#1`);
    const twice = numbered("first").flatMap((body) => [`${body}#1`, `${body}#2`]);
    expect(noted.ran.toSorted()).toEqual([...once, ...twice].toSorted());
    await newer.stop();
  },
);

test.concurrent(
  "a lane with nothing in hand gets a durable of its own at once, with what waits, which lacks nothing",
  async ({ expect }) => {
    const system = await stage.connect();
    const client = await stage.client();
    const noted = note();
    await (await system.work([noting(noted)])).stop();
    await sendAll(system, numbered("n"));
    const worker = await system.work([noting(noted, { lanes: ["high", "critical"] })]);
    expect(await filtersOf(client, "a")).toEqual(lanesOf("normal", "low"));
    expect(await filtersOf(client, "a=high")).toEqual(lanesOf("high"));
    expect(await filtersOf(client, "a=critical")).toEqual(lanesOf("critical"));
    await expect.poll(() => noted.ran.toSorted(), patient).toEqual(numbered("n").map((body) => `${body}#1`));
    await worker.stop();
  },
);

test.concurrent(
  "a worker without the lane that runs beside pulls it too, and goes on with it alone",
  async ({ expect }) => {
    const [before, after] = [await stage.connect(), await stage.connect()];
    const client = await stage.client();
    const noted = note();
    const older = await before.work([noting(noted, { ackWait: "6s" })]);
    const newer = await after.work([noting(note(), { lanes: ["high"], ackWait: "2s" })]);
    const { config } = await client.jsm.consumers.info(stage.names.tasks, "a=high");
    expect((config.ack_wait ?? 0) / 1e6, "the older one marks what it has every two seconds").toBe(6_000);
    await newer.stop();
    await sendAll(after, numbered("n"));
    await expect.poll(() => noted.ran.toSorted(), slow).toEqual(numbered("n").map((body) => `${body}#1`));
    await older.stop();
  },
);

test.concurrent(
  "several workers that start at once with the lane, under load, lose nothing and run nothing twice",
  async ({ expect }) => {
    const system = await stage.connect();
    const client = await stage.client();
    const noted = note();
    const retry = { base: 700, jitter: "none" as const };
    const older = await system.work([noting(noted, { retry })]);
    const sent: string[] = [];
    let more = true;
    const sending = (async () => {
      for (let n = 0; more; n++) {
        const body = `${n % 20 === 0 ? "first" : "n"}${n}`;
        await system.tell("a", body, { lane: n % 2 === 0 ? "high" : "low" });
        sent.push(body);
      }
    })();
    await expect.poll(() => noted.ran.length, patient).toBeGreaterThan(100);
    const lanes = ["high", "low"] as const;
    const newer = await Promise.all([1, 2, 3].map(() => system.work([noting(noted, { retry, lanes })])));
    await expect.poll(() => sent.length, patient).toBeGreaterThan(500);
    more = false;
    await sending;
    await expect.poll(() => filtersOf(client, "a"), slow).toEqual(lanesOf("critical", "normal"));
    await expect.poll(() => client.count(stage.names.tasks), slow).toBe(0);
    const wanted = sent.flatMap((body) => (body.startsWith("first") ? [`${body}#1`, `${body}#2`] : [`${body}#1`]));
    expect(noted.ran.toSorted()).toEqual(wanted.toSorted());
    await Promise.all([older, ...newer].map((worker) => worker.stop()));
  },
);

test.concurrent(
  "a lane whose durable was to be made by a process that died gets it from a worker that runs",
  async ({ expect }) => {
    const system = await stage.connect();
    const client = await stage.client();
    const noted = note();
    const worker = await system.work([noting(noted)]);
    await client.jsm.consumers.update(stage.names.tasks, "a", {
      filter_subjects: lanesOf("critical", "normal", "low"),
    });
    await sendAll(system, numbered("n"));
    await expect.poll(() => noted.ran.toSorted(), slow).toEqual(numbered("n").map((body) => `${body}#1`));
    await worker.stop();
  },
);

test.concurrent("a pause by hand outlives the change, and holds for the lane's durable too", async ({ expect }) => {
  const system = await stage.connect();
  const client = await stage.client();
  const inspector = new Inspector(system);
  const noted = note();
  await (await system.work([noting(noted)])).stop();
  const [, worker] = await Promise.all([inspector.pause("a"), system.work([noting(noted, { lanes: ["high"] })])]);
  await expect.poll(() => filtersOf(client, "a=high"), slow).toEqual(lanesOf("high"));
  const paused = async () => (await inspector.durables()).map(({ pausedUntilMs }) => pausedUntilMs !== undefined);
  expect(await paused()).toEqual([true, true, true]);
  await sendAll(system, ["n"]);
  await inspector.resume("a");
  expect(await paused()).toEqual([false, false, false]);
  await expect.poll(() => noted.ran, patient).toEqual(["n#1"]);
  await worker.stop();
});
