/** The doctor on servers that are not as ours: rights withheld, little room, slow or lost disks, a cluster that loses its members. */
import { afterEach, describe, expect, test } from "vitest";
import type { EmbeddedServer } from "../../src/broker/embedded/server.ts";
import { ActorSystem, type SystemOptions } from "../../src/index.ts";
import { actorOf } from "../support/actors.ts";
import { inProcess } from "../support/cli/in-process.ts";
import { consult, consultAs, said, wrong } from "../support/doctor/consult.ts";
import { alteredServer, type Alterations } from "../support/embedded/altered-server.ts";
import { freePort } from "../support/free-port.ts";
import { patient } from "../support/stage.ts";

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).toReversed()) await end();
});

async function start(alterations: Alterations): Promise<EmbeddedServer> {
  const server = await alteredServer(alterations);
  endings.push(() => server.stop());
  return server;
}

async function connect(options: SystemOptions): Promise<ActorSystem> {
  const system = await ActorSystem.connect({ log: "silent", ...options });
  endings.push(() => system.close());
  return system;
}

const Echo = actorOf({ name: "echo" }, (input) => input);

describe("rights", () => {
  const user = (name: string, permissions: object): object => ({ user: name, password: "p", permissions });
  const denying = (name: string, ...deny: string[]): object => user(name, { publish: { deny } });
  const accounts = {
    work: {
      jetstream: { max_streams: 12, max_file: 1e12, max_memory: 1e9 },
      users: [
        { user: "all", password: "p" },
        denying("no-ack", "$JS.ACK.>", "godwit.event.>"),
        denying("no-api", "$JS.API.>"),
        denying("no-look", "$JS.API.CONSUMER.LIST.>", "$JS.API.INFO", "$JS.API.STREAM.PURGE.>"),
        user("deaf", { subscribe: { deny: ["godwit.workers"] } }),
        user("publisher", {
          publish: {
            allow: ["godwit.task.>", "godwit.event.>", "godwit.schedule.>", "$JS.API.STREAM.INFO.>", "$JS.API.INFO"],
          },
          subscribe: { allow: ["_INBOX.>"] },
        }),
      ],
    },
  };

  test("that are missing are named, one subject after the other, and what needs none of them is checked all the same", async () => {
    const server = await start({ config: { accounts } });
    const servers = server.url;
    const system = await connect({ servers, user: "all", pass: "p" });
    await system.work([Echo]);
    const as = (name: string): ReturnType<typeof consultAs> =>
      consultAs({ servers, namespace: "godwit", user: name, pass: "p" });

    const all = await as("all");
    expect(said(all, "rights")).toMatchObject([{ level: "ok" }]);
    // 10 of 12 streams.
    expect(wrong(all)).toEqual(["warning account-limits the account"]);
    expect(said(all, "account-limits")[0]?.finding).toContain("10 of the 12 streams");

    const noAck = await as("no-ack");
    expect(said(noAck, "rights")).toMatchObject([
      {
        level: "warning",
        subject: "publisher rights",
        finding: expect.stringContaining("publish godwit.event.godwit-doctor."),
      },
      {
        level: "warning",
        subject: "worker rights",
        finding: expect.stringMatching(/publish \$JS\.ACK\.godwit_TASKS\.godwit-doctor\./),
      },
    ]);
    expect(said(noAck, "no-worker")).toMatchObject([{ level: "ok" }]);

    const noLook = await as("no-look");
    expect(said(noLook, "account-limits")).toMatchObject([
      { level: "note", finding: "Could not be checked: missing right to publish to $JS.API.INFO." },
    ]);
    expect(said(noLook, "no-worker").map(({ finding }) => finding)).toContain(
      "Could not be checked: missing right to publish to $JS.API.CONSUMER.LIST.godwit_TASKS.",
    );
    expect(said(noLook, "orphan-subject")).toMatchObject([{ level: "note" }]);
    expect(said(noLook, "stream-settings")).toMatchObject([{ level: "ok" }]);
    expect(said(noLook, "rights").map(({ subject }) => subject)).toEqual(
      ["publisher", "worker", "monitor", "provisioner", "admin"].map((role) => `${role} rights`),
    );

    const noApi = await as("no-api");
    const unread = noApi.findings.filter(({ finding }) => finding.startsWith("Could not be checked"));
    for (const { finding } of unread)
      expect(finding).toMatch(/^Could not be checked: missing right to [^ ]+ to [^ ]+\.$/);
    expect(unread.map(({ check }) => check)).toEqual(expect.arrayContaining(["orphan-subject", "worker-silent"]));
    // Nothing is said to be well that could not be looked at.
    const blind = ["stream-missing", "stream-settings", "stream-leader", "no-worker", "paused", "ack-wait"];
    expect(noApi.findings.filter(({ check, level }) => level === "ok" && blind.includes(check))).toEqual([]);

    const turnedAway = await inProcess(["status", "--servers", servers, "--user", "no-api", "--pass", "p"], {
      cwd: "/",
    });
    expect(turnedAway).toMatchObject({ code: 1, stdout: "" });
    expect(turnedAway.stderr).toMatch(
      /no right to publish to \$JS\.API\.INFO, .*'godwit doctor' lists .* \(NOT_AUTHORIZED\)\n$/,
    );

    const deaf = await as("deaf");
    expect(said(deaf, "rights")).toMatchObject([
      { subject: "worker rights", finding: expect.stringContaining("subscribe godwit.workers.") },
    ]);

    const publisher = await inProcess(["doctor", "--servers", servers, "--user", "publisher", "--pass", "p"], {
      cwd: "/",
    });
    expect(publisher).toMatchObject({ code: 1, stderr: "" });
    expect(publisher.stdout).toMatch(/WARNING {2}rights: worker rights/);
  });
});

test("how soon a write is on the disk, as the monitoring port tells; and little payload", async () => {
  const [always, later] = [await freePort(), await freePort()];
  const monitor = (port: number): object => ({ http: `127.0.0.1:${port}`, max_payload: 65_536 });
  const strict = await start({ config: monitor(always), jetstream: { sync_interval: "always" } });
  await start({ config: monitor(later), jetstream: { sync_interval: "45s" } });
  const system = await connect({ servers: strict.url });
  const monitors = [`http://127.0.0.1:${always}`, `http://127.0.0.1:${later}`, "http://127.0.0.1:1"];
  const diagnosis = await consult(system, { monitors });
  expect(said(diagnosis, "fsync").map(({ level }) => level)).toEqual(["note", "note", "ok"]);
  expect(JSON.stringify(said(diagnosis, "fsync"))).toContain("after up to 45 s");
  expect(said(diagnosis, "server-version")).toHaveLength(2);
  expect(said(diagnosis, "max-payload")).toMatchObject([{ level: "note", finding: expect.stringContaining("65536") }]);
});

test(
  "a cluster: healthy, then one stream with fewer copies, then one server gone, then two",
  { timeout: 120_000 },
  async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const routes = ports.map((port) => `nats://127.0.0.1:${port}`);
    const nodes = await Promise.all(
      ports.map((port) => start({ config: { cluster: { name: "c", listen: `127.0.0.1:${port}`, routes } } })),
    );
    const servers = nodes.map(({ url }) => url);
    const system = await until3(() => connect({ servers, durability: "replicated" }));
    await expect.poll(async () => wrong(await consult(system)), { ...patient, interval: 200 }).toEqual([]);
    expect(said(await consult(system), "durability")).toMatchObject([
      { level: "ok", finding: "It is durable as by the profile replicated: 3 copies of all." },
    ]);

    const { jsm } = system.parts.connection;
    const { config } = await jsm.streams.info("godwit_EVENTS");
    await jsm.streams.update("godwit_EVENTS", { ...config, num_replicas: 1 });
    expect(wrong(await consult(system))).toEqual(["warning stream-replicas godwit_EVENTS"]);
    await jsm.streams.update("godwit_EVENTS", config);

    await nodes[2]?.stop();
    await expect
      .poll(async () => said(await consult(system), "stream-replicas").map(({ finding }) => finding), {
        timeout: 60_000,
        interval: 500,
      })
      .toContainEqual(expect.stringMatching(/is offline; if one more goes/));

    await nodes[1]?.stop();
    await expect
      .poll(
        async () =>
          said(await consultAs({ servers: servers[0] ?? "", namespace: "godwit" }), "stream-leader").map(
            ({ level }) => level,
          ),
        {
          timeout: 60_000,
          interval: 500,
        },
      )
      .toContain("fault");
  },
);

/** A new cluster refuses streams until its members have found each other. */
async function until3<T>(attempt: () => Promise<T>): Promise<T> {
  let got: T | undefined;
  await expect
    .poll(
      async () => {
        got ??= await attempt().catch(() => undefined);
        return got !== undefined;
      },
      { timeout: 60_000, interval: 300 },
    )
    .toBe(true);
  return got as T;
}
