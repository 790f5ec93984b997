/** Workers on two hosts and one server: work spreads evenly, and what a host had in hand that is cut off goes to the other one, once. */
import { setTimeout as wait } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ActorSystem } from "godwit";
import { untilDrained } from "../support/faults/cast.ts";
import { Scene } from "../support/faults/scene.ts";
import { workName, type Job } from "../support/faults/work.ts";
import { until } from "../support/embedded/until.ts";
import { accountOf } from "./kit/cluster-scene.ts";
import { inWords } from "./kit/checker.ts";
import { makeHosts, type Host, type Hosts } from "./kit/hosts.ts";

let scene: Scene;
let system: ActorSystem;
let hosts: Hosts;
let watcher: NatsConnection;

beforeEach(async () => {
  scene = await Scene.open();
  system = await scene.connect();
  hosts = await makeHosts((address) => scene.proxy(address));
  watcher = await connect({ servers: scene.url });
});

afterEach(async ({ task }) => {
  await watcher.close();
  await scene.close(task.result?.state === "fail");
  await hosts.close();
});

function runsBy(worker: string): number {
  return scene.journal.of("run").filter((entry) => entry.worker === worker).length;
}

async function startWorker({ name, url, prefix }: Host, ackWaitMs: number): Promise<void> {
  await scene.spawn({ worker: name, servers: url, ackWaitMs, concurrency: 20 }, undefined, prefix);
}

test("work spreads within 20 % of even", async () => {
  for (const host of hosts.hosts) await startWorker(host, 5_000);
  const count = 4_000;
  // Never more than the two can have in hand at once several times over, so that it is asked for, not dealt out.
  async function* bodies(): AsyncGenerator<Job> {
    for (let at = 0; at < count; at++) {
      if (at % 20 === 0) await wait(20);
      yield { do: "work", ms: 20 };
    }
  }
  await system.tellMany(workName, bodies());
  await untilDrained(system);
  const shares = hosts.hosts.map(({ name }) => runsBy(name));
  console.log(`${hosts.kind}: ${count} messages, ${shares.join(" and ")}`);
  expect(shares.reduce((sum, share) => sum + share)).toBe(count);
  for (const share of shares) expect(Math.abs(share - count / 2) / (count / 2)).toBeLessThan(0.2);
});

test("a host that is cut off: the other has its work within the ack-wait, and what comes late of it counts for nothing", async () => {
  const ackWaitMs = 6_000;
  const [cut, other] = hosts.hosts;
  const { journal } = scene;
  await startWorker(cut, ackWaitMs);
  // On the host that is cut off each ends at a time of its own: before the ack-wait is over, and after; well, or not.
  const jobs = Array.from({ length: 20 }, (_, at): Job => {
    const here = { do: at % 4 === 3 ? "fail" : "work", ms: 2_500 + at * 500 } as const;
    return { do: "work", ms: 3_000, at: { [cut.name]: here } };
  });
  expect(await system.tellMany(workName, jobs, { id: (_job, index) => `m${index}` })).toMatchObject({ failures: [] });
  const ids = jobs.map((_job, index) => `m${index}`);
  for (const id of ids)
    journal.write({ what: "accepted", at: Date.now(), pid: 0, worker: "", id, attempt: 0, deliveries: 0 });
  await until("it has all of them in hand", () => runsBy(cut.name) === jobs.length);
  await startWorker(other, ackWaitMs);
  const ended = new Set(journal.of("completed").map(({ id }) => id));
  const moved = ids.filter((id) => !ended.has(id));
  const cutAt = Date.now();
  await cut.cut();
  const again = await until(
    "the other has begun all of it",
    () => {
      const runs = journal.of("run").filter(({ worker, id }) => worker === other.name && moved.includes(id));
      return runs.length >= moved.length ? runs : undefined;
    },
    ackWaitMs + 10_000,
  );
  // Everything that anyone says of a delivery from here on.
  const said: string[] = [];
  watcher.subscribe("$JS.ACK.faults_TASKS.>", {
    callback: (_error, message) => {
      said.push(`${message.subject.split(".").slice(4, 6).join(":")} ${message.string()}`);
    },
  });
  await watcher.flush();
  await cut.mend();
  // Once it has run there, everything that was sent before has reached the server.
  await system.tell(workName, { do: "work", at: { [other.name]: { do: "snooze", ms: 20 } } }, { id: "next" });
  await until("the one that was cut off works again", () =>
    journal.of("completed", "next").some(({ worker }) => worker === cut.name),
  );
  await until("its last handler has ended", () => journal.of("aborted", "m18").length === 1);
  await until("it has dropped all", () => journal.of("lost").length >= moved.length);
  await untilDrained(system);
  await until("all is confirmed", () => journal.count("completed").messages === jobs.length + 1);
  const movedMs = Math.max(...again.map(({ at }) => at)) - cutAt;
  const result = await accountOf(scene, system);
  console.log(
    `${hosts.kind}: ${moved.length} messages in hand when their host was cut off, all begun by the other ${movedMs} ms later, ack-wait ${ackWaitMs} ms; ` +
      `${journal.of("lost").length} late results dropped; ${inWords(result)}`,
  );
  // The ack-wait began again with the last mark that arrived.
  expect(movedMs).toBeLessThan(ackWaitMs + 1_000);
  // The first delivery of a message that moved is over.
  const late = said.filter((one) => one.startsWith("1:") && moved.includes(`m${Number(one.split(/[: ]/)[1]) - 1}`));
  expect(late).toEqual([]);
  expect(
    journal
      .of("lost")
      .map(({ id }) => id)
      .toSorted(),
  ).toEqual(moved.toSorted());
  expect(
    journal
      .of("completed")
      .filter(({ id }) => moved.includes(id))
      .map(({ worker }) => worker),
  ).toEqual(moved.map(() => other.name));
  expect(result).toMatchObject({ lost: [], dead: 0, waiting: 0 });
});
