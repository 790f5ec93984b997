/** Rights: what a worker or publisher may ask, with the answer aimed at what it may not, changes nothing; it would, were the streams in its account. */
import { afterEach, expect, test } from "vitest";
import { configsOf } from "../../src/actor/registry.ts";
import { configText, permissionsOf } from "../../src/admin/rights/permissions.ts";
import { Connection } from "../../src/broker/connection.ts";
import { ActorSystem } from "../../src/index.ts";
import { Names } from "../../src/message/subjects.ts";
import { actorOf } from "../support/actors.ts";
import { until } from "../support/embedded/until.ts";
import { startDeployed, type Deployed, type DeployedRole } from "../support/nats/deployed.ts";
import { accountFiles, roleFiles } from "../support/nats/generated-rights.ts";

const names = new Names("godwit");
const Own = actorOf({ name: "own", result: { ttl: "1m" } }, () => "ok");
const Other = actorOf({ name: "other", result: { ttl: "1m" } }, () => "ok");
const own = configsOf([Own]);
const all = configsOf([Own, Other]);

/** As it was before: everybody in the account that has the streams. */
const oneAccount = `accounts {
  GODWIT { jetstream: enabled, users: [
    ${["publisher", "worker", "provisioner", "admin"]
      .map((role) => `{ nkey: $GODWIT_${role.toUpperCase()}, permissions { include "permissions/${role}.conf" } }`)
      .join("\n    ")}
  ] }
  SYS { users: [ { nkey: $GODWIT_SYSTEM } ] }
}
system_account: SYS`;

let deployed: Deployed | undefined;
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).toReversed()) await one.close();
  await deployed?.stop();
  deployed = undefined;
});

interface Attacked {
  before: State;
  after: State;
  attempts: number;
}
interface State {
  events: boolean;
  durable: boolean;
  heldByOther: number;
  deadOfOther: number;
  tasksOfOther: number;
}

async function attack(role: "worker" | "publisher", accounts?: string): Promise<Attacked> {
  const files = {
    ...roleFiles(["worker", "publisher"], own),
    admin: configText(permissionsOf(names, ["admin"], all)),
    // Does all that is to be there before: also what a worker of the other actor does.
    provisioner: configText(permissionsOf(names, ["publisher", "worker", "provisioner"], all)).replaceAll(
      "_INBOX_publisher_worker_provisioner",
      "_INBOX_provisioner",
    ),
    ...accountFiles(all, own),
  };
  deployed = await startDeployed(files, accounts);
  const { as } = deployed;
  const open = async (by: DeployedRole): Promise<Connection> => {
    const { servers, nkey, inboxPrefix } = as(by);
    const connection = await Connection.open({ servers, auth: { nkey }, inboxPrefix, name: "rights test" });
    opened.push(connection);
    return connection;
  };
  const provision = { provision: "create", limits: { maxBytes: 100_000_000 }, durability: "replicated" } as const;
  const system = await until(
    "the cluster has a leader",
    () => ActorSystem.connect({ ...as("provisioner"), ...provision, log: "silent" }).catch(() => undefined),
    60_000,
  );
  opened.push(system);
  await system.provision([Own, Other]);
  await system.tell(Own, {});
  await system.tell(Other, {});
  const { nc, jsm } = system.parts.connection;
  // A durable that is new has no leader for a while, and swallows pulls.
  const pulled = async (actor: string): Promise<string> =>
    until(`a task of ${actor} is pulled`, async () => {
      const subject = `$JS.API.CONSUMER.MSG.NEXT.${names.tasks}.${names.durable(actor)}`;
      const answer = await nc
        .request(subject, '{"batch":1,"no_wait":true}', { timeout: 1_000, noMux: true })
        .catch(() => undefined);
      return answer?.reply;
    });
  const held = await pulled("other");
  const ownHeld = await pulled("own");
  await nc.request(`godwit.dead.other.${names.tasks}.1`, "{}", { timeout: 5_000 });

  const { jsm: look } = await open("admin");
  const known = async (asked: Promise<unknown>): Promise<boolean> =>
    asked.then(
      () => true,
      () => false,
    );
  const count = async (stream: string, subject: string): Promise<number> =>
    Object.values((await jsm.streams.info(stream, { subjects_filter: subject })).state.subjects ?? {}).reduce(
      (sum, one) => sum + one,
      0,
    );
  const state = async (): Promise<State> => ({
    events: await known(look.streams.info(names.events)),
    durable: await known(look.consumers.info(names.schedule, names.durable("other"))),
    heldByOther: (await look.consumers.info(names.tasks, names.durable("other"))).num_ack_pending,
    deadOfOther: await count(names.dead, "godwit.dead.other.>"),
    tasksOfOther: await count(names.tasks, "godwit.task.normal.other"),
  });
  const before = await state();

  const targets = [
    held,
    names.taskSubject("other", "normal"),
    `$JS.API.CONSUMER.DELETE.${names.schedule}.${names.durable("other")}`,
    `$JS.API.STREAM.PURGE.${names.dead}`,
    `$JS.API.STREAM.DELETE.${names.events}`,
  ];
  const attacker = await open(role);
  const errors: Error[] = [];
  attacker.onError((error) => errors.push(error));
  const requests = permissionsOf(names, [role], own).permissions.publish.allow.map((subject) =>
    subject.startsWith("$JS.ACK.") ? ownHeld : subject.replaceAll(/[*>]/g, "x"),
  );
  for (const reply of targets) {
    for (const request of requests) {
      const body = request.includes(".MSG.NEXT.") ? '{"batch":1,"no_wait":true}' : "";
      attacker.nc.publish(request, body, { reply });
    }
    await attacker.nc.flush();
    // Asked behind the requests, of streams and durables alike: what they cause is done, or all but.
    for (let asked = 0; asked < 5; asked++) await state();
  }
  // The one address that the server itself refuses, in each account.
  const others = errors.filter(({ message }) => !message.includes('Publish with Reply of "$JS.ACK.'));
  expect(others, "each is a request that the role may make").toEqual([]);
  const after = await state();
  return { before, after, attempts: requests.length * targets.length };
}

const whole: State = { events: true, durable: true, heldByOther: 1, deadOfOther: 1, tasksOfOther: 1 };

test.each(["worker", "publisher"] as const)("a %s's answers go nowhere else", { timeout: 90_000 }, async (role) => {
  const { before, after, attempts } = await attack(role);
  expect(attempts).toBeGreaterThan(50);
  expect(before).toEqual(whole);
  expect(after).toEqual(whole);
});

test("control: within the account of the streams a worker's would do all of it", { timeout: 90_000 }, async () => {
  const { before, after } = await attack("worker", oneAccount);
  expect(before).toEqual(whole);
  expect(after).toMatchObject({ events: false, durable: false, deadOfOther: 0 });
  expect(after.tasksOfOther).toBeGreaterThan(1);
});

test(
  "control: within the account of the streams a publisher's would store tasks of others",
  { timeout: 90_000 },
  async () => {
    const { before, after } = await attack("publisher", oneAccount);
    expect(before).toEqual(whole);
    expect(after.tasksOfOther).toBeGreaterThan(1);
  },
);
