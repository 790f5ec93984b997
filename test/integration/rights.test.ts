/** The accounts of deploy/nats on its three nodes: each role does its whole job with the rights of the table, and nothing else. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configsOf } from "../../src/actor/registry.ts";
import { Inspector } from "../../src/admin/inspector.ts";
import { permissionsOf } from "../../src/admin/rights/permissions.ts";
import { rightsOf } from "../../src/admin/rights/table.ts";
import { Connection } from "../../src/broker/connection.ts";
import { Survey, type Trial } from "../../src/broker/survey.ts";
import { ActorSystem, Terminal, type Context, type SystemOptions } from "../../src/index.ts";
import { loadActors } from "../../src/actor/loader.ts";
import { subjectMatches } from "../../src/message/names.ts";
import { Names } from "../../src/message/subjects.ts";
import { actorOf } from "../support/actors.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { Running, type Ended } from "../support/cli/run.ts";
import { deployFile } from "../support/deploy/files.ts";
import { startDeployed, type Deployed, type DeployedRole } from "../support/nats/deployed.ts";
import { accountFiles, roleFiles } from "../support/nats/generated-rights.ts";
import { recordRights, type UsedRights } from "../support/nats/used-rights.ts";
import { until } from "../support/embedded/until.ts";
import { record } from "../support/record.ts";

interface Order {
  do: "work" | "fail-once" | "die" | "break";
  padding?: Uint8Array;
}

const names = new Names("godwit");
const Charge = actorOf<Order>(
  {
    name: "shop.charge",
    lanes: ["high"],
    retry: { attempts: 2, base: 1, max: 1 },
    result: { ttl: "1m" },
    rateLimit: { name: "partner", limit: 1_000, per: "1s" },
    concurrencyLimit: { name: "partner-slots", limit: 10 },
    subscribe: ["orders.*"],
  },
  async (order, ctx: Context) => {
    const once = await ctx.once("pay", () => "paid");
    if (order.do === "die") throw new Terminal("no");
    if (order.do === "fail-once" && ctx.attempt === 1) throw new Error("again");
    return once;
  },
);
const WithoutLanes = class extends Charge {
  static override readonly config = { ...Charge.config, lanes: [] };
};
const Guarded = actorOf<Order>(
  {
    name: "guarded",
    breaker: { name: "partner", volume: 1, resetAfter: "200ms" },
    retry: { attempts: 9, base: 1, max: 1 },
  },
  (_order, ctx) => {
    if (ctx.attempt === 1) throw new Error("down");
  },
);
const configs = configsOf([Charge, Guarded]);
const roles = ["publisher", "worker", "provisioner", "admin"] as const;
type Role = (typeof roles)[number];
const given = Object.fromEntries(roles.map((role) => [role, permissionsOf(names, [role], configs)])) as Record<
  Role,
  ReturnType<typeof permissionsOf>
>;

let deployed: Deployed;
let rights: UsedRights;
const systems: ActorSystem[] = [];
const errors: string[] = [];

function authOf(role: DeployedRole): { servers: string[]; auth: { nkey: string } } {
  const { servers, nkey } = deployed.as(role);
  return { servers, auth: { nkey } };
}

async function connect(role: DeployedRole, options: SystemOptions = {}): Promise<ActorSystem> {
  const system = await ActorSystem.connect({
    ...deployed.as(role),
    durability: "replicated",
    limits: { maxBytes: 100_000_000, dedupWindow: "1m", deadMaxAge: "20d" },
    payload: { maxAge: "20d" },
    provision: "check",
    log: "silent",
    ...options,
  });
  systems.push(system);
  system.parts.connection.onError((error) => errors.push(`${role}: ${error.message}`));
  return system;
}

beforeAll(async () => {
  deployed = await startDeployed({ ...roleFiles(roles, configs), ...accountFiles(configs) });
  const watched = await Connection.open({ ...authOf("system"), name: "rights test", unchecked: true });
  rights = recordRights(watched.nc);
  await watched.close();
  // A new cluster takes a while to elect who leads it.
  const first = { provision: "create", limits: { maxBytes: 100_000_000 }, payload: {} } as const;
  await until("the cluster has a leader", () => connect("provisioner", first).catch(() => undefined), 60_000);
  const provisioner = await connect("provisioner", first);
  await provisioner.provision([WithoutLanes, Guarded]);
  // Other settings, and a lane: what is there is changed.
  await (await connect("provisioner", { provision: "create" })).provision([Charge, Guarded]);
}, 90_000);

afterAll(async () => {
  for (const system of systems.toReversed()) await system.close();
  rights?.end();
  await deployed?.stop();
});

test("each role does its whole job, and the server refuses nothing of it", { timeout: 120_000 }, async () => {
  const workers = await connect("worker");
  const publisher = await connect("publisher");
  const admin = await connect("admin", { provision: "use" });
  const inspector = new Inspector(admin);
  const worker = await workers.work([Charge, Guarded]);
  const seen = record(worker);

  expect(await publisher.ask(Charge, { do: "work" }, { id: "asked" })).toBe("paid");
  await publisher.tell("shop.charge", { do: "work" }, { id: "delayed", delay: "1s" });
  await publisher.tell("shop.charge", { do: "fail-once" }, { id: "delayed-retried", delay: "1s" });
  await publisher.tell(Charge, { do: "fail-once" }, { id: "retried", lane: "high" });
  await publisher.publish("orders.placed", { do: "fail-once" }, { id: "event" });
  await publisher.tell(Charge, { do: "work", padding: randomBytes(2_000_000) }, { id: "large" });
  await publisher.tell(Charge, { do: "die" }, { id: "small-dead" });
  await publisher.tell(Charge, { do: "die", padding: randomBytes(2_000_000) }, { id: "large-dead" });
  await publisher.tell(Guarded, { do: "break" }, { id: "broken" });
  expect(await publisher.result(Charge, "retried", { wait: "20s" })).toMatchObject({
    state: "completed",
    value: "paid",
  });
  expect(await publisher.result(Charge, "small-dead", { wait: "20s" })).toMatchObject({ state: "failed" });
  await seen.until("completed", 7, 30_000);
  await seen.until("dead", 2, 30_000);
  expect(
    seen
      .of("completed")
      .map(({ data }) => data.id)
      .toSorted(),
  ).toEqual(["asked", "broken", "delayed", "delayed-retried", "event", "large", "retried"].toSorted());

  expect((await inspector.status()).actors.map(({ actor }) => actor).toSorted()).toEqual(["guarded", "shop.charge"]);
  expect(await inspector.workers()).toMatchObject([{ state: "running" }]);
  expect((await inspector.explain("retried")).found.length).toBeGreaterThan(0);
  for (const stream of [names.tasks, names.schedule, names.events]) await inspector.explain(`${stream}:1`);
  expect((await inspector.breakers()).map(({ name }) => name)).toEqual(["partner"]);
  await inspector.openBreaker("partner");
  await inspector.closeBreaker("partner");
  await inspector.holdLimit("partner", "1m");
  await inspector.releaseLimit("partner");
  await inspector.pause("shop.charge");
  await inspector.resume("shop.charge");
  await publisher.tell(Guarded, { do: "break" }, { id: "waiting", delay: "1h" });
  const letters = (await inspector.deadPage()).letters;
  expect(letters.map(({ id }) => id).toSorted()).toEqual(["large-dead", "small-dead"]);
  const large = letters.find(({ id }) => id === "large-dead")?.sequence ?? 0;
  expect((await inspector.deadLetter(large)).sizeBytes).toBeGreaterThan(2_000_000);
  expect(await inspector.requeueDead({ sequences: [large] })).toMatchObject({ done: 1, failures: [] });
  await seen.until("dead", 3, 30_000);
  expect(await inspector.deleteDead({ query: { actor: "shop.charge" } })).toMatchObject({ done: 2, failures: [] });
  await worker.stop();
  // Across accounts the servers do not see that nobody listens any more.
  const { jsm } = admin.parts.connection;
  const pulls = (stream: string) => jsm.consumers.info(stream, names.durable("shop.charge"));
  await until("the worker's pulls have ended", async () => {
    const durables = await Promise.all([names.tasks, names.schedule, names.events].map(pulls));
    return durables.every(({ num_waiting: waiting }) => waiting === 0);
  });
  await publisher.tell(Charge, { do: "work" }, { id: "left" });
  expect((await inspector.explain("left")).found).toMatchObject([{ state: "waiting" }]);
  await expect(inspector.retire("shop.charge")).rejects.toMatchObject({ code: "IN_USE" });
  await inspector.retire("shop.charge", { force: true });

  expect(errors).toEqual([]);
});

/** What the run above has no cause to use, and why it is given all the same. */
const spare = [
  // Servers to come.
  /^worker publish \$JS\.ACK\.\*\.\*\./,
  // godwit restart, and a supervisor of several processes.
  /^(worker (subscribe|publish)|admin publish) godwit\.supervisors(\.present)?$/,
  // A dead letter whose subject is taken.
  /^worker publish \$JS\.API\.DIRECT\.GET\.godwit_DEAD\./,
  // A durable that is made while its actor is paused is paused too.
  /^provisioner publish \$JS\.API\.CONSUMER\.PAUSE\./,
  // The mend of stranded messages.
  /^admin publish (\$JS\.API\.STREAM\.MSG\.DELETE\.godwit_(TASKS|SCHEDULE)|godwit\.due\.\*\.>)$/,
  // explain of a message that is in flight, or backs off, wherever it came from.
  /^admin publish \$JS\.API\.(CONSUMER\.INFO\.|STREAM\.MSG\.GET\.KV_godwit_runs)/,
];

test("each right is used, so that none is given that nothing needs", () => {
  const unused = roles.flatMap((role) =>
    (["publish", "subscribe"] as const).flatMap((operation) =>
      rights
        .unused(
          `_INBOX_${role}`,
          operation,
          permissionsOf(names, [role], configsOf([Charge])).permissions[operation].allow,
        )
        .map((subject) => `${role} ${operation} ${subject}`),
    ),
  );
  expect(unused.filter((one) => !spare.some((pattern) => pattern.test(one)))).toEqual([]);
});

/** What nobody but its own role may do, each made so that it would do no harm. */
const forbidden: Record<"publisher" | "worker", string[]> = {
  worker: [
    "publish godwit.task.normal.shop.charge",
    "publish godwit.schedule.shop.charge.x",
    "publish godwit.event.orders.placed",
    "publish $JS.API.STREAM.PURGE.OBJ_godwit_payloads",
    // A pull in the guise of an acknowledgement to somebody else's consumer.
    "publish $JS.ACK.other.consumer.godwit_TASKS.shop=2Echarge.1.1.1",
  ],
  publisher: [
    "publish $JS.API.CONSUMER.MSG.NEXT.godwit_TASKS.shop=2Echarge",
    "publish $JS.ACK.godwit_TASKS.shop=2Echarge.1.1.1.1.0",
    "publish godwit.task.normal.other",
    "publish godwit.dead.shop.charge.s.1",
    "publish godwit.reply.a.b",
    "publish $KV.godwit_limits.x",
    "subscribe godwit.workers",
  ],
};
const streams = [
  "godwit_TASKS",
  "godwit_SCHEDULE",
  "godwit_EVENTS",
  "godwit_DEAD",
  "KV_godwit_results",
  "OBJ_godwit_bodies",
];
const everybody = [
  "STREAM.MSG.GET",
  "DIRECT.GET",
  "STREAM.PURGE",
  "STREAM.DELETE",
  "STREAM.UPDATE",
  "STREAM.CREATE",
  "STREAM.MSG.DELETE",
  "CONSUMER.LIST",
  "CONSUMER.CREATE",
].flatMap((request) => streams.map((stream) => `publish $JS.API.${request}.${stream}`));
const everybodyToo = [
  ...["CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE", "CONSUMER.DELETE", "CONSUMER.PAUSE"].map(
    (request) => `publish $JS.API.${request}.godwit_TASKS.shop=2Echarge`,
  ),
  "publish $JS.API.STREAM.NAMES",
  "publish $JS.API.CONSUMER.CREATE.OBJ_godwit_payloads.x",
  "publish $SYS.REQ.SERVER.PING",
  ...[">", "godwit.>", "godwit.task.>", "_INBOX.>", "_INBOX_admin.>", "$JS.>", "$KV.>", "$SYS.>"].map(
    (one) => `subscribe ${one}`,
  ),
];

test.each(["worker", "publisher"] as const)(
  "a %s can do nothing else: the server refuses each attempt",
  async (role) => {
    const system = await connect(role);
    const trials = [...forbidden[role], ...everybody, ...everybodyToo]
      .concat(`subscribe _INBOX_${role === "worker" ? "publisher" : "worker"}.>`)
      .map((line): Trial => {
        const [operation, subject] = line.split(" ") as ["publish" | "subscribe", string];
        return { operation, subject };
      })
      // What is a publisher's own to read.
      .filter(({ subject }) => role !== "publisher" || subject !== "$JS.API.STREAM.MSG.GET.KV_godwit_results");
    // All that the table gives to others and not to this role.
    const { publish, subscribe } = given[role].permissions;
    for (const { operation, subject } of rightsOf(names, configs)) {
      const filled = subject.replaceAll(/[*>]/g, "godwit-doctor");
      const allowed = (operation === "publish" ? publish : subscribe).allow;
      if (!allowed.some((pattern) => subjectMatches(pattern, filled))) trials.push({ operation, subject: filled });
    }
    expect(trials.length).toBeGreaterThan(100);
    const denied = await new Survey(system.parts.connection, names).denied(trials);
    expect(trials.filter((trial) => !denied.includes(trial))).toEqual([]);
  },
);

test("who is not known to any node of the cluster is told so at once", { timeout: 20_000 }, async () => {
  const { servers } = deployed.as("worker");
  const refused = ActorSystem.connect({ servers, log: "silent", provision: "check" });
  await expect(refused).rejects.toMatchObject({ code: "NOT_AUTHORIZED" });
  await expect(ActorSystem.connect({ servers: servers[0] ?? "", log: "silent" })).rejects.toMatchObject({
    code: "NOT_AUTHORIZED",
  });
});

test("the command line does its work with the rights of a role", async () => {
  const run = (role: Role, ...args: string[]): Promise<Ended> => {
    const { servers, nkey, inboxPrefix } = deployed.as(role);
    const env = { NATS_URL: servers.join(","), NATS_NKEY: nkey, NATS_INBOX_PREFIX: inboxPrefix };
    return inProcess(args, { cwd: "/", env });
  };
  const done = { code: 0, stderr: expect.not.stringContaining("iolation") as string };
  expect(await run("publisher", "tell", "guarded", '{"do":"break"}')).toMatchObject(done);
  expect(await run("publisher", "publish", "orders.placed", '{"do":"work"}')).toMatchObject(done);
  for (const command of [
    ["status"],
    ["dead", "list", "--json"],
    ["actor", "pause", "guarded"],
    ["breaker", "list"],
    ["limit", "list"],
  ]) {
    expect(await run("admin", ...command)).toMatchObject(done);
  }
  expect(await run("publisher", "actor", "pause", "guarded")).toMatchObject({ code: 1 });
});

test("a worker's metrics tell how many processes are wanted, without the right to read what waits", async () => {
  const workers = await connect("worker");
  const worker = await workers.work([Guarded]);
  const page = (): Promise<string> => workers.metrics();
  // Of the tests before, which tried what is forbidden.
  errors.splice(0);
  expect(await page()).toMatch(/^godwit_processes_wanted 1$/m);
  const refused = errors.splice(0);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every((error) => error.includes("$JS.API.DIRECT.GET."))).toBe(true);
  // What was read is good for five seconds.
  await wait(5_500);
  expect(await page()).toMatch(/^godwit_processes_wanted 1$/m);
  expect(await page()).not.toMatch(/^godwit_queue_depth{/m);
  expect(errors).toEqual([]);
  await worker.stop();
});

test(
  "a group of processes works with a worker's credential, and an admin's restarts it",
  { timeout: 60_000 },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "godwit-rights-"));
    await writeFile(
      join(folder, "guarded.mjs"),
      'import { Actor } from "godwit";\nexport class Guarded extends Actor { static config = { name: "guarded" }; async receive() {} }\n',
    );
    const envOf = (role: Role): NodeJS.ProcessEnv => {
      const { servers, nkey, inboxPrefix } = deployed.as(role);
      return { NATS_URL: servers.join(","), NATS_NKEY: nkey, NATS_INBOX_PREFIX: inboxPrefix };
    };
    const args = ["worker", "guarded.mjs", "--processes", "2..3", "--provision", "use", "--log", "text"];
    const group = new Running(args, { cwd: folder, env: envOf("worker") });
    try {
      await group.says("ready: 2 processes");
      const restarted = await inProcess(["restart"], { cwd: folder, env: envOf("admin") });
      expect(restarted).toMatchObject({
        code: 0,
        stderr: expect.stringContaining("done, 2 processes replaced") as string,
      });
      group.signal("SIGTERM");
      const { code, stderr } = await group.ended;
      expect(code).toBe(0);
      expect(stderr).not.toMatch(/iolation/);
    } finally {
      group.signal("SIGKILL");
      await group.ended;
      await rm(folder, { recursive: true, force: true });
    }
  },
);

test("the doctor finds each role's own rights complete, and those of others missing, with which an admin has nothing to do", async () => {
  for (const role of roles) {
    const system = await connect(role);
    const { findings } = await new Inspector(system).doctor();
    const about = findings.filter(({ check }) => check === "rights");
    const lacking = about.map(({ subject }) => subject);
    // Those of the worker and the publisher are kept to their actors, and the doctor asks for any.
    const own = role === "provisioner" || role === "admin" ? [`${role} rights`] : [];
    expect(own.filter((one) => lacking.includes(one))).toEqual([]);
    expect(lacking.length).toBeGreaterThan(2);
    // It is no fault of an admin's credential that it can not work.
    expect(new Set(about.map(({ level }) => level))).toEqual(
      new Set(role === "admin" ? ["note"] : ["note", "warning"]),
    );
  }
});

test("the files of deploy/nats are what is generated", async () => {
  const sample = configsOf(await loadActors(["actors"]));
  for (const [file, text] of Object.entries({ ...roleFiles(roles, sample), ...accountFiles(sample) })) {
    expect(deployFile(`nats/permissions/${file}.conf`), "run npm run permissions").toBe(`${text}\n`);
  }
});
